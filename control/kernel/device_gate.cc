#include "control/kernel/device_gate.h"

#include <net/if_arp.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "control/kernel/ethtool.h"

namespace sluice {
namespace {

// Ethernet, VLAN tag and 1500 bytes: a frame that the driver's small buffers hold (drivers/net/virtio_net.c:
// GOOD_PACKET_LEN).
constexpr uint32_t kSmallBufferMtuBytes = 1500;

struct RefusedKind {
  const char* kind;  // IFLA_INFO_KIND
  const char* why;
};
// Kinds that users meet. Others are refused as well, in general words.
constexpr std::array<RefusedKind, 13> kRefusedKinds = {{
    {"bond", "its packets come in by its members' queues; make one of these a port, outside of the bond"},
    {"team", "its packets come in by its members' queues; make one of these a port, outside of the team"},
    {"bridge", "its packets come in by its members' queues; make one of these a port, outside of the bridge"},
    {"vlan", "it has no queues of its own; make the device below it the port, and match the VLAN by a rule (vlan = N)"},
    {"macvlan", "it has no queues of its own; make the device below it the port"},
    {"macvtap", "it has no queues of its own; make the device below it the port"},
    {"ipvlan", "it has no queues of its own; make the device below it the port"},
    {"ipvtap", "it has no queues of its own; make the device below it the port"},
    {"macsec", "it has no queues of its own, and its frames are encrypted below it"},
    {"vrf", "it is a routing table; make one of its members the port"},
    {"dummy", "it has no wire: what is sent to it is gone, and nothing comes in"},
    {"ifb", "its packets are those that tc redirects from another device; make that one the port"},
    {"vxlan", "it is a tunnel without queues of its own; make the device below it the port"},
}};

// Kinds of software devices with queues of their own, which XDP sees whole.
bool HasQueuesOfItsOwn(const std::string& kind) {
  return kind.empty() || kind == "veth" || kind == "tun" || kind == "netdevsim";
}

absl::Status CheckKind(const GateFacts& facts) {
  if (facts.driver == "net_failover") {
    return absl::FailedPreconditionError(
        "it is the master of a failover pair, and its packets come in by the other two devices; switch VIRTIO_NET_F_"
        "STANDBY off (QEMU: failover=off)");
  }
  if (HasQueuesOfItsOwn(facts.link.kind)) {
    return absl::OkStatus();
  }
  for (const RefusedKind& refused : kRefusedKinds) {
    if (facts.link.kind == refused.kind) {
      return absl::FailedPreconditionError(absl::StrCat("it is a ", refused.kind, ": ", refused.why));
    }
  }
  return absl::FailedPreconditionError(absl::StrCat("it is a device of kind ", facts.link.kind,
                                                    ", which is not known to have queues of its own; make the device "
                                                    "below it the port"));
}

// A VRF only chooses the routing table: its members' packets are their own (drivers/net/vrf.c has no rx_handler).
absl::Status CheckMaster(const GateFacts& facts) {
  if (facts.link.master_ifindex == 0 || facts.link.master_kind == "vrf") {
    return absl::OkStatus();
  }
  const std::string kind = facts.link.master_kind.empty() ? "device" : facts.link.master_kind;
  return absl::FailedPreconditionError(absl::StrCat("it is a member of ", kind, " ", facts.master,
                                                    ", which takes its packets and sends on it; take it out: ip link "
                                                    "set dev ",
                                                    facts.link.name, " nomaster"));
}

absl::Status CheckVirtio(const GateFacts& facts) {
  if (!facts.virtio.has_value()) {
    return absl::OkStatus();
  }
  // With napi_tx=0 a transmit completes before the device has read the frame: we would overwrite it
  // (drivers/net/virtio_net.c: start_xmit, skb_orphan; net/xdp/xsk.c: IFF_TX_SKB_NO_LINEAR).
  if (facts.virtio->napi_tx == false) {
    return absl::FailedPreconditionError(
        "virtio_net runs with napi_tx=0, which gives frames back before the device has read them; load the module with "
        "napi_tx=1 (kernel command line: virtio_net.napi_tx=1)");
  }
  // Native XDP runs on buffers of one page or less (drivers/net/virtio_net.c: add_recvbuf_small).
  if (!facts.virtio->Has(VirtioFeature::kMrgRxbuf) && facts.link.mtu_bytes > kSmallBufferMtuBytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("MTU ", facts.link.mtu_bytes, " is more than its receive buffers hold (", kSmallBufferMtuBytes,
                     " bytes without ", "VIRTIO_NET_F_MRG_RXBUF): longer packets would be lost; ip link set dev ",
                     facts.link.name, " mtu ", kSmallBufferMtuBytes, ", or QEMU: mrg_rxbuf=on"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GateFacts> ReadGateFacts(const Link& link) {
  GateFacts facts;
  facts.link = link;
  if (const absl::StatusOr<DriverInfo> driver = GetDriver(link.name); driver.ok()) {
    facts.driver = driver->driver;
  }
  if (link.master_ifindex != 0) {
    const absl::StatusOr<Link> master = GetLink(link.master_ifindex);
    facts.master = master.ok() ? master->name : absl::StrCat("of index ", link.master_ifindex);
  }
  absl::StatusOr<std::optional<VirtioDevice>> virtio = ReadVirtioDevice(link.name);
  if (!virtio.ok()) {
    return virtio.status();
  }
  facts.virtio = *std::move(virtio);
  return facts;
}

absl::Status CheckGate(const GateFacts& facts) {
  if (facts.link.loopback) {
    return absl::FailedPreconditionError("it is the loopback device, which has no wire; give the port another netdev");
  }
  if (facts.link.hardware_type != ARPHRD_ETHER) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it carries no Ethernet frames (ARPHRD ", facts.link.hardware_type, facts.link.kind.empty() ? "" : ", kind ",
        facts.link.kind, "), such as a tun or a tunnel of bare IP packets; a port needs an Ethernet device"));
  }
  absl::Status s = CheckKind(facts);
  if (s.ok()) {
    s = CheckMaster(facts);
  }
  return s.ok() ? CheckVirtio(facts) : s;
}

std::string PinFolder(const std::string& netdev) {
  return absl::StrReplaceAll(netdev, {{"%", "%25"}, {".", "%2E"}});
}

}  // namespace sluice
