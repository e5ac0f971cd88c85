// The stats segment, mapped read-only, and the sums that status and resizes need.
//
// Ownership: it owns the memfd and the mapping; the dataplane has copies of the descriptor. Threads: the agent's loop.
// The dataplane's workers write the counters meanwhile (dataplane/contract/stats_segment.h).
#ifndef SLUICE_CONTROL_DATAPLANE_STATS_VIEW_H_
#define SLUICE_CONTROL_DATAPLANE_STATS_VIEW_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/stats_segment.h"

namespace sluice {

// The parts of the accounting law (dataplane/README.md), over every lane and port. Exact when no packet is on its way;
// read under load, the parts may be a burst apart. Offloaded packets, which only XDP sees, are not in them.
struct BalanceSums {
  uint64_t received = 0;
  uint64_t originated = 0;
  uint64_t transmitted = 0;
  uint64_t passed = 0;
  uint64_t dropped = 0;
  uint64_t held = 0;
  int64_t unaccounted() const {
    return static_cast<int64_t>(received + originated - transmitted - passed - dropped - held);
  }
};

class StatsView {
 public:
  // Makes a new segment of zeros, with magic and version.
  static absl::StatusOr<StatsView> Make();
  // Takes a segment that a surviving dataplane handed over. DataLoss for another layout.
  static absl::StatusOr<StatsView> Adopt(UniqueFd memfd);

  StatsView(StatsView&& other) noexcept;
  StatsView& operator=(StatsView&& other) noexcept;
  ~StatsView();

  int fd() const { return memfd_.get(); }
  const StatsSegment& operator*() const { return *segment_; }
  const StatsSegment* operator->() const { return segment_; }
  BalanceSums Balance() const;

 private:
  StatsView(UniqueFd memfd, const StatsSegment* segment) : memfd_(std::move(memfd)), segment_(segment) {}

  UniqueFd memfd_;
  const StatsSegment* segment_ = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_STATS_VIEW_H_
