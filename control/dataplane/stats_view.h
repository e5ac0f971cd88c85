// The stats segment, mapped read-only, and the sums that status and resizes need.
//
// The dataplane writes every counter, and it is a stranger: a value means nothing but a number to show. Indices are the
// agent's, and one beyond the segment (a device may have more queues than Sluice has lanes) gives counters of 0.
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
  // Takes a segment that a surviving dataplane handed over. DataLoss for another layout, and for memory that could
  // shrink under our reads.
  static absl::StatusOr<StatsView> Adopt(UniqueFd memfd);

  StatsView(StatsView&& other) noexcept;
  StatsView& operator=(StatsView&& other) noexcept;
  ~StatsView();

  int fd() const { return memfd_.get(); }
  const LaneStats& lane(uint32_t lane) const;
  const LanePortStats& port(uint32_t lane, uint32_t port) const;
  // `reason` counts the dataplane's own reasons first, then the function's.
  uint64_t drops(uint32_t lane, uint32_t port, uint32_t reason) const;
  // Returns the sum over all lanes of a counter of the function's.
  uint64_t function_counter(uint32_t counter) const;
  const WorkerStats& worker(uint32_t worker) const;
  uint64_t control_beats() const { return segment_->control_beats.Get(); }
  uint64_t flows_offloaded() const { return segment_->flows_offloaded.Get(); }
  BalanceSums Balance() const;

 private:
  StatsView(UniqueFd memfd, const StatsSegment* segment) : memfd_(std::move(memfd)), segment_(segment) {}

  UniqueFd memfd_;
  const StatsSegment* segment_ = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_STATS_VIEW_H_
