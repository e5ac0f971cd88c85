// The multicast groups that the guest's own stack takes part in on a port. The port's device has joined them, or a
// VLAN or MAC device on top of it, which gets its packets by the port.
//
// The lists are the kernel's, in /proc/net/igmp and igmp6. Linux joins 224.0.0.1 on every device that is up, and
// ff02::1 also where IPv6 is switched off, so two kinds do not count:
//
//   IPv6  on a device with disable_ipv6, whose packets the kernel drops (net/ipv6/ip6_input.c: ip6_rcv_core)
//   IPv4  224.0.0.1 on a device without an IPv4 address that has joined nothing else
//
// One thread.
#ifndef SLUICE_CONTROL_KERNEL_JOINED_GROUPS_H_
#define SLUICE_CONTROL_KERNEL_JOINED_GROUPS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bpf/sluice_abi.h"

namespace sluice {

// Returns the groups of the device and those on top of it, without duplicates and in order; none if it is gone.
absl::StatusOr<std::vector<sluice_address>> JoinedGroups(int ifindex);

// A group of one device.
struct DeviceGroup {
  std::string netdev;
  sluice_address group{};
};

// Read the text of /proc/net/igmp (net/ipv4/igmp.c: igmp_mc_seq_show) and igmp6 (net/ipv6/mcast.c: igmp6_mc_seq_show).
// Lines of another shape are passed over. Pure.
std::vector<DeviceGroup> ParseIgmp(absl::string_view text);
std::vector<DeviceGroup> ParseIgmp6(absl::string_view text);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_JOINED_GROUPS_H_
