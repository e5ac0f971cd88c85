// Reads and changes network interfaces and addresses, through rtnetlink (libmnl). Errors as in ethtool.h. One thread.
#ifndef SLUICE_CONTROL_KERNEL_LINKS_H_
#define SLUICE_CONTROL_KERNEL_LINKS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bpf/sluice_abi.h"

namespace sluice {

struct Link {
  std::string name;  // the kernel's, also when it was looked up by an alternative one
  int ifindex = 0;
  uint16_t hardware_type = 0;  // ARPHRD_*
  bool loopback = false;       // IFF_LOOPBACK
  std::string kind;            // IFLA_INFO_KIND: "veth", "bond", "vlan"; empty for a device with a driver of its own
  int lower_ifindex = 0;       // IFLA_LINK: of the device below a VLAN or MAC device; also of a veth's other end
  int master_ifindex = 0;      // of the device that it is a part of, such as a bond or a bridge; 0: none
  std::string master_kind;     // IFLA_INFO_SLAVE_KIND: "bond", "bridge", "vrf"
  uint32_t mtu_bytes = 0;
  std::array<uint8_t, 6> mac{};
  bool up = false;           // IFF_UP: somebody set it up
  bool carrier = false;      // IFF_LOWER_UP: the other end is there, too
  bool promiscuous = false;  // IFF_PROMISC as set by a user, not by a packet socket
  uint32_t rx_queues = 0;    // IFLA_NUM_RX_QUEUES
  uint32_t tx_queues = 0;
  std::string alias;  // ifalias; empty when there is none
};

// By its name, or an alternative one (`ip link property add altname`). NotFound: there is none in this namespace.
absl::StatusOr<Link> GetLink(const std::string& name);
absl::StatusOr<Link> GetLink(int ifindex);
// Lists every link of this network namespace.
absl::StatusOr<std::vector<Link>> AllLinks();
absl::Status SetLinkUp(const std::string& name, bool up);
absl::Status SetPromiscuous(const std::string& name, bool on);
absl::Status SetMtu(const std::string& name, uint32_t mtu_bytes);
absl::Status SetAlias(const std::string& name, const std::string& alias);
// Makes a veth pair of one queue pair, both ends down. The kernel gives them no IPv6 addresses
// (IN6_ADDR_GEN_MODE_NONE).
absl::Status CreateVeth(const std::string& near, const std::string& far, uint32_t mtu_bytes);
// Deletes a link. OK when it is not there.
absl::Status DeleteLink(const std::string& name);

// Lists every address of this network namespace, except loopback and multicast ones (`ip address add … autojoin`).
absl::StatusOr<std::vector<sluice_address>> LocalAddresses();

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_LINKS_H_
