// Packets per second, from two samples of the agent's counters. Pure; any thread.
#ifndef SLUICE_CONTROL_CLI_RATES_H_
#define SLUICE_CONTROL_CLI_RATES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "control/wire/sluice.pb.h"

namespace sluice::cli {

inline constexpr uint32_t kBridgeIndex = UINT32_MAX;  // stands for the bridge among a port's queues

struct QueueRate {
  double rx_pps = 0;
  double tx_pps = 0;
  double drops_pps = 0;
};

class Rates {
 public:
  Rates() = default;  // no rate of any queue
  // A queue that is not in both samples has no rate. A counter that went back has a rate of zero.
  Rates(const wire::StatsResponse& before, const wire::StatsResponse& after);
  std::optional<QueueRate> Get(const std::string& port, uint32_t queue_index) const;

 private:
  std::map<std::pair<std::string, uint32_t>, QueueRate> rates_;
};

// Sums the drops of all reasons.
uint64_t Drops(const wire::Queue& queue);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RATES_H_
