#include "dataplane/process/crash_accounting.h"

#include <algorithm>
#include <numeric>

namespace sluice {

CrashAccounting::CrashAccounting(const StatsSegment& stats) {
  for (uint32_t lane = 0; lane < kMaxLanes; ++lane) {
    for (const LanePortStats& port : stats.lanes[lane].ports) {
      surplus_[lane] += static_cast<int64_t>(port.rx_packets.Get() + port.originated.Get() - port.tx_packets.Get() -
                                             port.passed.Get());
      for (const StatsCounter& drops : port.drops) {
        surplus_[lane] -= static_cast<int64_t>(drops.Get());
      }
    }
  }
}

void CrashAccounting::Adopt(uint32_t lane, uint64_t held) {
  if (!adopted_[lane]) {
    adopted_[lane] = true;
    surplus_[lane] -= static_cast<int64_t>(held);
  }
}

CrashAccounting::Drops CrashAccounting::CountDrops() {
  Drops drops;
  int64_t total = std::accumulate(surplus_.begin(), surplus_.end(), int64_t{0});
  if (total < 0) {
    drops.unexplained = total;
    total = 0;
  }
  for (uint32_t lane = 0; lane < kMaxLanes && total > 0; ++lane) {
    const int64_t share = std::min(total, std::max<int64_t>(surplus_[lane], 0));
    drops.by_lane[lane] = static_cast<uint64_t>(share);
    total -= share;
  }
  surplus_.fill(0);
  adopted_.set();
  return drops;
}

}  // namespace sluice
