// The addresses whose packets this machine cannot do without: its own, its gateways, its nameservers. Any thread.
#ifndef SLUICE_CONTROL_KERNEL_VITAL_ADDRESSES_H_
#define SLUICE_CONTROL_KERNEL_VITAL_ADDRESSES_H_

#include <string>
#include <vector>

#include "bpf/sluice_abi.h"

namespace sluice {

struct VitalAddress {
  sluice_address address{};
  std::string role;  // "an address of this machine", "a gateway", "a nameserver"
};

// Returns all that it can read: LocalAddresses(); gateways of the first 1,024 routes, among which are the default
// ones (/proc/net/route, /proc/net/ipv6_route); /etc/resolv.conf. Without loopback.
std::vector<VitalAddress> VitalAddresses();

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_VITAL_ADDRESSES_H_
