#include "control/kernel/links.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "control/kernel/kernel_error.h"
#include "control/kernel/netlink.h"

namespace sluice {
namespace {

absl::Status AskRoute(
    NetlinkRequest& request, absl::string_view doing,
    absl::FunctionRef<void(const nlmsghdr*)> on_answer = [](const nlmsghdr*) {}) {
  absl::StatusOr<Netlink> netlink = Netlink::Open(NETLINK_ROUTE);
  if (!netlink.ok()) {
    return netlink.status();
  }
  return netlink->Ask(request, doing, on_answer);
}

// IFLA_LINKINFO: the kinds of the link and of its master.
void ReadLinkInfo(const nlattr* info, Link& link) {
  ForEachAttribute(info, [&link](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) {
      link.kind = mnl_attr_get_str(attribute);
    } else if (mnl_attr_get_type(attribute) == IFLA_INFO_SLAVE_KIND) {
      link.master_kind = mnl_attr_get_str(attribute);
    }
  });
}

Link ReadLink(const nlmsghdr* answer) {
  Link link;
  const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(answer));
  link.ifindex = header->ifi_index;
  link.hardware_type = header->ifi_type;
  link.loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.carrier = (header->ifi_flags & IFF_LOWER_UP) != 0;
  // The kernel reports what users set (net/core/dev.c: dev_get_flags takes IFF_PROMISC from gflags).
  link.promiscuous = (header->ifi_flags & IFF_PROMISC) != 0;
  ForEachAttribute(answer, sizeof(ifinfomsg), [&link](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_IFNAME:
        link.name = mnl_attr_get_str(attribute);
        break;
      case IFLA_MTU:
        link.mtu_bytes = mnl_attr_get_u32(attribute);
        break;
      case IFLA_ADDRESS:
        if (mnl_attr_get_payload_len(attribute) == link.mac.size()) {
          std::memcpy(link.mac.data(), mnl_attr_get_payload(attribute), link.mac.size());
        }
        break;
      case IFLA_NUM_RX_QUEUES:
        link.rx_queues = mnl_attr_get_u32(attribute);
        break;
      case IFLA_NUM_TX_QUEUES:
        link.tx_queues = mnl_attr_get_u32(attribute);
        break;
      case IFLA_IFALIAS:
        link.alias = mnl_attr_get_str(attribute);
        break;
      case IFLA_LINK:
        link.lower_ifindex = static_cast<int>(mnl_attr_get_u32(attribute));
        break;
      case IFLA_MASTER:
        link.master_ifindex = static_cast<int>(mnl_attr_get_u32(attribute));
        break;
      case IFLA_LINKINFO:
        ReadLinkInfo(attribute, link);
        break;
      default:
        break;
    }
  });
  return link;
}

// Sends a request for one link.
absl::StatusOr<Link> AskLink(NetlinkRequest& request, const std::string& doing) {
  Link link;
  const absl::Status status = AskRoute(request, doing, [&link](const nlmsghdr* answer) { link = ReadLink(answer); });
  if (!status.ok()) {
    return status;
  }
  return link;
}

absl::Status SetFlag(const std::string& name, uint32_t flag, bool on, absl::string_view doing) {
  const absl::StatusOr<Link> link = GetLink(name);
  if (!link.ok()) {
    return link.status();
  }
  NetlinkRequest request(RTM_NEWLINK, 0);
  auto* header = request.PutHeader<ifinfomsg>();
  header->ifi_index = link->ifindex;
  header->ifi_flags = on ? flag : 0;
  header->ifi_change = flag;
  return AskRoute(request, doing);
}

// Tells the kernel to give a link no IPv6 addresses. The link must exist: the kernel ignores IFLA_AF_SPEC while it
// creates one (net/core/rtnetlink.c: rtnl_newlink_create).
absl::Status DisableIpv6Addresses(const std::string& name) {
  NetlinkRequest request(RTM_NEWLINK, 0);
  request.PutHeader<ifinfomsg>();
  request.PutString(IFLA_IFNAME, name);
  nlattr* families = request.BeginNest(IFLA_AF_SPEC);
  nlattr* inet6 = request.BeginNest(AF_INET6);
  request.PutU8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  request.EndNest(inet6);
  request.EndNest(families);
  const absl::Status status = AskRoute(request, absl::StrCat("switching off IPv6 addresses of ", name));
  // A kernel without IPv6 makes no such addresses either: EAFNOSUPPORT, or EINVAL when switched off at boot.
  const std::string if_inet6 = "/proc/net/if_inet6";
  return status.ok() || access(if_inet6.c_str(), F_OK) != 0 ? absl::OkStatus() : status;
}

// Puts the attributes that both ends of a veth pair have.
void PutVethEnd(NetlinkRequest& request, const std::string& name, uint32_t mtu_bytes) {
  request.PutString(IFLA_IFNAME, name);
  request.PutU32(IFLA_MTU, mtu_bytes);
  request.PutU32(IFLA_NUM_RX_QUEUES, 1);
  request.PutU32(IFLA_NUM_TX_QUEUES, 1);
}

// Tells 127.0.0.0/8 and ::1 from other addresses, which are real ones on `lo` as well (anycast, router ids).
bool IsLoopback(const sluice_address& address) {
  if (address.family == 4) {
    return (ntohl(address.addr_be[0]) >> 24) == 127;
  }
  return address.addr_be[0] == 0 && address.addr_be[1] == 0 && address.addr_be[2] == 0 &&
         address.addr_be[3] == htonl(1);
}

bool IsMulticast(const sluice_address& address) {
  const uint32_t first = ntohl(address.addr_be[0]);
  return address.family == 4 ? IN_MULTICAST(first) : first >> 24 == 0xff;
}

}  // namespace

absl::StatusOr<Link> GetLink(const std::string& name) {
  const std::string doing = absl::StrCat("looking up netdev ", name);
  if (name.empty() || name.size() >= ALTIFNAMSIZ) {
    return KernelError(ENODEV, doing);
  }
  NetlinkRequest request(RTM_GETLINK, 0);
  request.PutHeader<ifinfomsg>();
  // The kernel looks for either among all names (net/core/rtnetlink.c: rtnl_dev_get), but takes only short ones here.
  request.PutString(name.size() < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, name);
  return AskLink(request, doing);
}

absl::StatusOr<Link> GetLink(int ifindex) {
  NetlinkRequest request(RTM_GETLINK, 0);
  request.PutHeader<ifinfomsg>()->ifi_index = ifindex;
  return AskLink(request, absl::StrCat("looking up the netdev of index ", ifindex));
}

absl::StatusOr<std::vector<Link>> AllLinks() {
  NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP);
  request.PutHeader<ifinfomsg>();
  std::vector<Link> links;
  const absl::Status status = AskRoute(request, "listing the network devices",
                                       [&links](const nlmsghdr* answer) { links.push_back(ReadLink(answer)); });
  if (!status.ok()) {
    return status;
  }
  return links;
}

absl::Status SetLinkUp(const std::string& name, bool up) {
  return SetFlag(name, IFF_UP, up, absl::StrCat("taking ", name, up ? " up" : " down"));
}

absl::Status SetPromiscuous(const std::string& name, bool on) {
  return SetFlag(name, IFF_PROMISC, on, absl::StrCat("switching promiscuous mode of ", name, on ? " on" : " off"));
}

absl::Status SetMtu(const std::string& name, uint32_t mtu_bytes) {
  NetlinkRequest request(RTM_NEWLINK, 0);
  request.PutHeader<ifinfomsg>();
  request.PutString(IFLA_IFNAME, name);
  request.PutU32(IFLA_MTU, mtu_bytes);
  return NameValue(AskRoute(request, absl::StrCat("setting the MTU of ", name, " to ", mtu_bytes)),
                   absl::StrCat("an MTU of ", mtu_bytes, " bytes, which follows the port's"));
}

absl::Status SetAlias(const std::string& name, const std::string& alias) {
  NetlinkRequest request(RTM_NEWLINK, 0);
  request.PutHeader<ifinfomsg>();
  request.PutString(IFLA_IFNAME, name);
  request.PutString(IFLA_IFALIAS, alias);
  return AskRoute(request, absl::StrCat("naming ", name));
}

absl::Status CreateVeth(const std::string& near, const std::string& far, uint32_t mtu_bytes) {
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.PutHeader<ifinfomsg>();
  PutVethEnd(request, near, mtu_bytes);
  nlattr* info = request.BeginNest(IFLA_LINKINFO);
  request.PutString(IFLA_INFO_KIND, "veth");
  nlattr* data = request.BeginNest(IFLA_INFO_DATA);
  nlattr* peer = request.BeginNest(VETH_INFO_PEER);
  request.PutHeader<ifinfomsg>();
  PutVethEnd(request, far, mtu_bytes);
  request.EndNest(peer);
  request.EndNest(data);
  request.EndNest(info);
  absl::Status status = AskRoute(request, absl::StrCat("creating veth pair ", near, " and ", far));
  if (!status.ok()) {
    return status;
  }
  for (const std::string& end : {near, far}) {
    status = DisableIpv6Addresses(end);
    if (!status.ok()) {
      DeleteLink(near).IgnoreError();
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status DeleteLink(const std::string& name) {
  NetlinkRequest request(RTM_DELLINK, 0);
  request.PutHeader<ifinfomsg>();
  request.PutString(IFLA_IFNAME, name);
  const absl::Status status = AskRoute(request, absl::StrCat("deleting ", name));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::vector<sluice_address>> LocalAddresses() {
  NetlinkRequest request(RTM_GETADDR, NLM_F_DUMP);
  request.PutHeader<ifaddrmsg>()->ifa_family = AF_UNSPEC;
  std::vector<sluice_address> addresses;
  const absl::Status status = AskRoute(request, "listing addresses", [&addresses](const nlmsghdr* answer) {
    const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(answer));
    if (header->ifa_family != AF_INET && header->ifa_family != AF_INET6) {
      return;
    }
    // On point-to-point links IFA_ADDRESS is the other side and IFA_LOCAL ours; IPv6 often has only the former.
    const nlattr* own = nullptr;
    ForEachAttribute(answer, sizeof(ifaddrmsg), [&own](const nlattr* attribute) {
      const int type = mnl_attr_get_type(attribute);
      if (type == IFA_LOCAL || (type == IFA_ADDRESS && own == nullptr)) {
        own = attribute;
      }
    });
    sluice_address address{};
    address.family = header->ifa_family == AF_INET ? 4 : 6;
    const size_t length = address.family == 4 ? 4 : 16;
    if (own == nullptr || mnl_attr_get_payload_len(own) != length) {
      return;
    }
    std::memcpy(address.addr_be, mnl_attr_get_payload(own), length);
    if (!IsLoopback(address) && !IsMulticast(address)) {
      addresses.push_back(address);
    }
  });
  if (!status.ok()) {
    return status;
  }
  return addresses;
}

}  // namespace sluice
