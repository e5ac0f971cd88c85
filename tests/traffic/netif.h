// A network interface as flowgen needs it: in a namespace, with an index, an address and counters.
#ifndef SLUICE_TESTS_TRAFFIC_NETIF_H_
#define SLUICE_TESTS_TRAFFIC_NETIF_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/traffic/frame.h"

namespace sluice::flowgen {

// Moves the calling thread, and threads that it starts later, into the namespace made by `ip netns add NAME`. Sockets
// stay in the namespace in which they were made.
absl::Status EnterNetns(const std::string& name);

struct NetifInfo {
  int index = 0;
  uint32_t mtu = 0;
  MacAddress mac{};
};

// Finds an interface of the calling thread's namespace. Errors name the interface.
absl::StatusOr<NetifInfo> FindNetif(const std::string& name);

struct NetifCounters {
  uint64_t rx_packets = 0;
  uint64_t rx_dropped = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_dropped = 0;
};

// Reads the counters from the calling thread's /proc/net/dev; zeros if there is no such interface.
NetifCounters ReadNetifCounters(const std::string& name);

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_NETIF_H_
