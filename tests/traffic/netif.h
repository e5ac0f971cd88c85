// A network interface as flowgen needs it: in a namespace, with an index, an address and counters.
#ifndef SLUICE_TESTS_TRAFFIC_NETIF_H_
#define SLUICE_TESTS_TRAFFIC_NETIF_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/traffic/frame.h"

namespace sluice::flowgen {

// The calling thread, and threads that it starts from then on, are in the namespace made by `ip netns add
// NAME`. Sockets stay in the namespace they were made in.
absl::Status EnterNetns(const std::string& name);

struct NetifInfo {
  int index = 0;
  uint32_t mtu = 0;
  MacAddress mac{};
};

// Of the calling thread's namespace. Errors name the interface.
absl::StatusOr<NetifInfo> FindNetif(const std::string& name);

struct NetifCounters {
  uint64_t rx_packets = 0;
  uint64_t rx_dropped = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_dropped = 0;
};

// From the calling thread's /proc/net/dev; zeros when the interface is not there.
NetifCounters ReadNetifCounters(const std::string& name);

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_NETIF_H_
