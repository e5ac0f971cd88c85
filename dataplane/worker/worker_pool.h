// All workers, and the placement of lanes on them.
//
// Ownership: the pool owns threads and wakers. Wakers are made once for each index and live as long as the pool, since
// lanes keep pointers to them (waker.h). Lanes are the caller's and must outlive their placement.
//
// Threads: the control thread. Every function but cores, size and worker_of waits for rounds of workers to end, and
// beats before it does (stats_segment.h), so that a loop of such waits does not look like a hang.
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
  // Gives up all lanes first.
  ~WorkerPool();

  uint32_t size() const { return static_cast<uint32_t>(workers_.size()); }
  std::vector<uint32_t> cores() const;
  // Requires that a worker polls the lane.
  uint32_t worker_of(const Lane& lane) const { return placement_.at(const_cast<Lane*>(&lane)); }

  // Makes `worker`, which must exist, poll the lane from now on.
  void Take(Lane& lane, uint32_t worker);
  // Returns when no worker polls the lane any more.
  void GiveUp(Lane& lane);
  // Runs `order` between two rounds of the lane's worker, or in this thread if no worker polls the lane.
  void RunFor(Lane& lane, absl::FunctionRef<void()> order);

  // Makes and ends threads as needed, so that worker w runs on cores[w]; then moves each lane in `moves` to its worker.
  // Lanes that are not named stay with theirs, which must still be there. No lane loses, repeats or reorders a frame.
  // Errors: InvalidArgument for too many workers, a lane on a worker that does not exist, or a core that cannot be
  // used; ResourceExhausted when no thread, epoll set or eventfd is left. On an error nothing has changed.
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
