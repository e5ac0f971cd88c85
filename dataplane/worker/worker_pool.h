// All workers, and which lane is polled by which.
//
// Threads: the control thread. Wakers are made once for each index and live as long as the worker_pool, since
// lanes keep pointers to them (waker.h).
#ifndef SLUICE_DATAPLANE_WORKER_WORKER_POOL_H_
#define SLUICE_DATAPLANE_WORKER_WORKER_POOL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/worker/worker.h"

namespace sluice {

class WorkerPool {
 public:
  WorkerPool(Polling polling, NetworkFunction& function, StatsSegment& stats);
  // Lanes still polled are given up first.
  ~WorkerPool();

  uint32_t size() const { return static_cast<uint32_t>(workers_.size()); }
  std::vector<uint32_t> cores() const;
  // The lane must be polled.
  uint32_t worker_of(const Lane& lane) const { return placement_.at(const_cast<Lane*>(&lane)); }

  // From now on `worker` polls the lane. It must exist.
  void Take(Lane& lane, uint32_t worker);
  // When it returns, nobody polls the lane.
  void GiveUp(Lane& lane);
  // Runs `order` between two rounds of the lane's worker; right here when nobody polls it.
  void RunFor(Lane& lane, absl::FunctionRef<void()> order);

  // Worker w runs on cores[w], with threads made and ended as needed; then every lane moves to its new
  // worker. Lanes not named stay with theirs, which must still be there. No lane loses, repeats or
  // reorders a frame. On an error nothing has changed.
  absl::Status Place(absl::Span<const uint32_t> cores, absl::Span<const std::pair<Lane*, uint32_t>> moves);

 private:
  absl::Status GrowAndPin(absl::Span<const uint32_t> cores);

  const Polling polling_;
  NetworkFunction& function_;
  StatsSegment& stats_;
  std::vector<std::unique_ptr<Waker>> wakers_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<Lane*, uint32_t> placement_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKER_WORKER_POOL_H_
