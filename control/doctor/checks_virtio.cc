#include "control/doctor/checks_virtio.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/doctor/kernel_version.h"
#include "control/kernel/device_limits.h"

namespace sluice::doctor {
namespace {

// The last kernel known to have no zero-copy in virtio_net.
constexpr KernelVersion kNoZeroCopyKernel = {6, 12};

struct NamedFeature {
  VirtioFeature bit;
  const char* name;
};
constexpr NamedFeature kGuestOffloads[] = {
    {VirtioFeature::kGuestCsum, "guest_csum"}, {VirtioFeature::kGuestTso4, "guest_tso4"},
    {VirtioFeature::kGuestTso6, "guest_tso6"}, {VirtioFeature::kGuestEcn, "guest_ecn"},
    {VirtioFeature::kGuestUfo, "guest_ufo"},   {VirtioFeature::kGuestUso4, "guest_uso4"},
    {VirtioFeature::kGuestUso6, "guest_uso6"}};

std::vector<std::string> Offered(const VirtioDevice& device) {
  std::vector<std::string> names;
  for (const NamedFeature& feature : kGuestOffloads) {
    if (device.Has(feature.bit)) {
      names.emplace_back(feature.name);
    }
  }
  return names;
}

// Switches off exactly the offloads that are on: an older QEMU refuses properties that it does not know.
std::string OffloadsFix(const std::vector<std::string>& offered) {
  return Fix({absl::StrCat(absl::StrJoin(offered, "=off,"), "=off"),
              "<guest csum='off' tso4='off' tso6='off' ecn='off' ufo='off'/>", ""});
}

}  // namespace

void CheckModern(const MachineFacts&, const PortFacts& port, Report& report) {
  if (port.virtio->Has(VirtioFeature::kVersion1)) {
    report.Ok("virtio 1 (modern) device");
  } else {
    report.Warning("legacy virtio device (no VIRTIO_F_VERSION_1)",
                   "feature bits above 31 do not exist there: no RSS, no ring reset, no zero-copy",
                   Fix({"disable-legacy=on,disable-modern=off", "<model type='virtio-non-transitional'/>",
                        "useVirtioTransitional: false"}));
  }
}

void CheckMultiqueue(const MachineFacts& machine, const PortFacts& port, Report& report) {
  if (!port.virtio->Has(VirtioFeature::kCtrlVq)) {
    report.Warning("no control queue (VIRTIO_NET_F_CTRL_VQ)",
                   "queue pairs, RSS and receive offloads cannot be changed from within the guest",
                   Fix({"ctrl_vq=on", "", ""}));
  } else if (!port.virtio->Has(VirtioFeature::kMq)) {
    report.Warning("one queue pair (no VIRTIO_NET_F_MQ)", "this port cannot use more than one core",
                   QueuesFix(machine.online_cpus));
  } else {
    report.Ok("several queue pairs, changed over the control queue");
  }
}

void CheckReceiveBuffers(const MachineFacts&, const PortFacts& port, Report& report) {
  if (port.virtio->Has(VirtioFeature::kMrgRxbuf)) {
    report.Ok("mergeable receive buffers");
    return;
  }
  report.Warning("no mergeable receive buffers (VIRTIO_NET_F_MRG_RXBUF)",
                 "with guest TSO or a large MTU the driver uses buffers of several pages, on which XDP does not run",
                 Fix({"mrg_rxbuf=on", "<host mrg_rxbuf='on'/>", ""}));
}

// The kernel's side: drivers/net/virtio_net.c: virtnet_xdp_set, virtnet_clear_guest_offloads, mergeable_xdp_get_buf.
void CheckGuestOffloads(const MachineFacts&, const PortFacts& port, Report& report) {
  const std::vector<std::string> offered = Offered(*port.virtio);
  if (offered.empty()) {
    report.Ok("the device offers no guest offloads: a channels resize loses no large packets");
    return;
  }
  const std::string what = absl::StrCat("the device offers ", absl::StrJoin(offered, ", "));
  if (!port.virtio->Has(VirtioFeature::kCtrlGuestOffloads)) {
    report.Warning(absl::StrCat(what, " and no way to switch them off (VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)"),
                   "virtio_net refuses native XDP: only the slow skb mode is left", OffloadsFix(offered));
    return;
  }
  report.Note(what,
              "a channels resize takes XDP off for a moment, which switches them on; putting it back drops the packets "
              "that were queued in between. 20 such resizes under two TCP streams cost 6,194 to 8,428 retransmissions, "
              "and 742 to 1,016 with the offloads off in the device. The cores and spread levers do not touch them",
              OffloadsFix(offered));
}

// With XDP on, the driver drops frames with a partial checksum and super-packets before any program sees them
// (mergeable_xdp_get_buf, receive_small_xdp), and counts them like a program's XDP_DROP.
void CheckRxDrops(const MachineFacts&, const PortFacts& port, Report& report) {
  if (!port.rx_drops.has_value()) {
    report.Note("virtio_net does not say how many frames it dropped (ethtool -S)",
                "frames that it drops itself, as for a partial checksum, go unseen", "");
    return;
  }
  const RxDrops& drops = *port.rx_drops;
  const uint64_t accounted = port.dropped_in_xdp.value_or(0);
  const uint64_t at_xdp = drops.xdp_drops - std::min(drops.xdp_drops, accounted);
  const uint64_t elsewhere = drops.drops - std::min(drops.drops, drops.xdp_drops);
  const std::string counted = absl::StrCat("virtio_net counts rx_drops ", drops.drops, ", xdp_drops ", drops.xdp_drops);
  const std::string whose = port.dropped_in_xdp.has_value()
                                ? absl::StrCat(": ", at_xdp, " that no rule and no full socket accounts for")
                                : ", among them the packets that rules drop: only the agent can tell these apart";
  const std::string look = absl::StrCat("ethtool -S ", port.netdev, " | grep drops: which queue, and whether it grows");
  const std::vector<std::string> offered = Offered(*port.virtio);
  if (at_xdp == 0 && elsewhere == 0) {
    report.Ok(absl::StrCat(counted, drops.drops == 0 ? "" : ": rules and full sockets account for them"));
  } else if (at_xdp == 0) {
    report.Note(absl::StrCat(counted, ": ", elsewhere, " without XDP"),
                "these frames did not fit the driver's buffers, or it had no memory for new ones", look);
  } else if (offered.empty()) {
    report.Note(
        counted + whose,
        "the device offers no guest offloads, so these had no partial checksums: another XDP program dropped them, "
        "or rules did before this agent was started",
        look);
  } else {
    report.Warning(
        counted + whose,
        "with XDP on, virtio_net drops frames with a partial checksum, which the host left to the guest to complete, "
        "and super-packets; no program sees them. Such frames are on their way when XDP is put on, at the start and in "
        "a channels resize; their senders have to send them again",
        OffloadsFix(offered));
  }
}

// In copy mode virtio transmits the frame itself, without a copy (IFF_TX_SKB_NO_LINEAR). Without napi_tx the driver
// orphans the skb on transmit (start_xmit), which completes the frame before the device has read it.
void CheckNapiTx(const MachineFacts&, const PortFacts& port, Report& report) {
  const std::string fix =
      "echo 'options virtio_net napi_tx=1' > /etc/modprobe.d/virtio_net.conf, or virtio_net.napi_tx=1 on the kernel's "
      "command line; then reboot";
  if (!port.virtio->napi_tx.has_value()) {
    report.Note("virtio_net's parameter napi_tx cannot be read", "were it off, sent frames could be overwritten", fix);
  } else if (!*port.virtio->napi_tx) {
    report.Error("virtio_net runs with napi_tx=0",
                 "a frame counts as sent before the device has read it: packets would be overwritten before they leave",
                 fix);
  } else if (port.frames_sent_unread > 0) {
    report.Warning(
        "a transmit queue lost its NAPI: a CPU went offline while XDP was put on or off, or the link up",
        absl::StrCat("frames count as sent before the device has read them; therefore ", port.frames_sent_unread,
                     " for each queue pair are quarantined, which leaves less memory for bursts"),
        absl::StrCat("ip link set ", port.netdev, " down && ethtool -C ", port.netdev, " tx-frames 1 && ip link set ",
                     port.netdev, " up (the link's routes go with it)"));
  } else {
    report.Ok("transmit completions come from the device (napi_tx)");
  }
}

void CheckRingReset(const MachineFacts&, const PortFacts& port, Report& report) {
  if (port.virtio->Has(VirtioFeature::kRingReset)) {
    report.Ok("single queues can be reset");
  } else {
    report.Note(
        "no reset of single queues (VIRTIO_F_RING_RESET)", "no zero-copy, no ring resize (ethtool -G)",
        Fix({"queue_reset=on (QEMU 7.2, machine type 7.2 or newer)", "<type machine='pc-q35-7.2'> or newer", ""}));
  }
}

// Zero-copy needs a DMA device, which exists only with VIRTIO_F_ACCESS_PLATFORM, and mergeable buffers, and queues that
// can be reset (drivers/net/virtio_net.c: virtnet_xsk_pool_enable).
void CheckZeroCopy(const MachineFacts& machine, const PortFacts& port, Report& report) {
  const std::optional<KernelVersion> kernel = ParseKernelVersion(machine.kernel_release);
  const char* cost = "sockets work in copy mode: each packet is copied once on receive";
  if (kernel.has_value() && *kernel <= kNoZeroCopyKernel) {
    report.Note(absl::StrCat("this kernel's virtio_net has no zero-copy (", machine.kernel_release, ")"), cost,
                "a newer kernel (7.3 is known to have it)");
    return;
  }
  std::vector<std::string> missing;
  const NamedFeature needed[] = {{VirtioFeature::kVersion1, "VIRTIO_F_VERSION_1"},
                                 {VirtioFeature::kAccessPlatform, "VIRTIO_F_ACCESS_PLATFORM"},
                                 {VirtioFeature::kRingReset, "VIRTIO_F_RING_RESET"},
                                 {VirtioFeature::kMrgRxbuf, "VIRTIO_NET_F_MRG_RXBUF"}};
  for (const NamedFeature& feature : needed) {
    if (!port.virtio->Has(feature.bit)) {
      missing.emplace_back(feature.name);
    }
  }
  if (missing.empty() && port.virtio->SendsStrayZeroCopyHeaders()) {
    report.Note("virtio_net is a loadable module: zero-copy frames go out with a header from elsewhere in memory",
                absl::StrCat("mode \"auto\" avoids zero-copy, so ", cost,
                             "; with mode \"zerocopy\" the host may refuse frames that count as sent"),
                "a kernel with virtio_net built in (CONFIG_VIRTIO_NET=y)");
  } else if (missing.empty()) {
    report.Ok("the device has what zero-copy needs");
  } else {
    report.Note(absl::StrCat("no zero-copy without ", absl::StrJoin(missing, ", ")), cost,
                Fix({"disable-legacy=on,iommu_platform=on",
                     "<model type='virtio-non-transitional'/> <driver iommu='on'/>", ""}));
  }
}

}  // namespace sluice::doctor
