// A worker: a thread pinned to one core that polls its lanes, round after round.
//
//      TakeOrder ─► PollLanes ─► Account ─► sleep if idle ─┐
//         ▲                                                │
//         └────────────────────────────────────────────────┘
//
// Orders. The control thread gives a worker a function to run between two rounds (Run), and waits until it has run. So
// no round sees a half-changed lane, nothing in the packet path is locked, and a round pays one relaxed load. A lane
// moves between workers by two orders: the old worker gives it up, then the new one takes it. Hence the old worker's
// last round has ended before the new worker's first one begins, and the acquire/release pairs in Run make all its
// writes visible: old worker -> control thread -> new worker.
//
// Sleep. Depending on its Polling, a worker that finds nothing sleeps on its lanes' sockets and its Waker (wait_set.h,
// waker.h); a worker without lanes always does. A worker that keeps looking yields its core now and then.
//
// Beats. Each round counts one (WorkerStats::beats), and a sleep ends after kBeatEveryMs at the latest.
//
// Ownership: `function`, `stats` and `waker` are the caller's, and outlive the worker; the lanes, too.
//
// Threads: the control thread calls Start, Pin, Run and the destructor; orders run in the worker's thread, which is the
// only writer of its WorkerStats. The packet path allocates nothing; orders may.
#ifndef SLUICE_DATAPLANE_WORKER_WORKER_H_
#define SLUICE_DATAPLANE_WORKER_WORKER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/network_function.h"
#include "dataplane/lane/lane.h"
#include "dataplane/lane/waker.h"
#include "dataplane/worker/spin_policy.h"
#include "dataplane/worker/wait_set.h"

namespace sluice {

enum class Polling {
  kAdaptive,   // keep looking where that pays (spin_policy.h), else sleep
  kBusy,       // never sleep
  kInterrupt,  // sleep as soon as a round has found nothing
};

class Worker {
 public:
  // Makes the thread and pins it to `core`. Errors: InvalidArgument when the thread cannot run on that core;
  // ResourceExhausted when there is no thread or no epoll set.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(uint32_t index, uint32_t core, Polling polling,
                                                       NetworkFunction& function, WorkerStats& stats, Waker& waker);
  // Ends the thread. Requires that it has given up all its lanes.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  uint32_t core() const { return core_; }
  // Moves the thread to another core. On an error it stays where it is.
  absl::Status Pin(uint32_t core);

  // Makes the worker run `order` between two rounds. Returns when it has run.
  void Run(absl::FunctionRef<void()> order);
  // For use inside an order. TakeLane wakes this worker from now on when frames are handed to the lane.
  void TakeLane(Lane& lane);
  void GiveUpLane(Lane& lane);

 private:
  Worker(Polling polling, NetworkFunction& function, WorkerStats& stats, Waker& waker);

  void Loop();
  void TakeOrder();
  uint32_t PollLanes();
  void Account(uint32_t moved);
  bool MaySleep() const;
  void Listen(bool wanted);
  void Sleep();
  bool HasNews() const;
  void YieldNowAndThen();

  const Polling polling_;
  NetworkFunction& function_;
  Waker& waker_;

  // Between the control thread and the loop; see Run.
  std::atomic<const absl::FunctionRef<void()>*> order_{nullptr};

  // The loop's own.
  std::vector<Lane*> lanes_;
  WaitSet waits_for_;  // the waker, and every socket of every lane
  WorkerStats& stats_;
  bool ended_ = false;
  bool was_busy_ = false;
  uint32_t rounds_unaccounted_ = 0;
  uint32_t idle_rounds_ = 0;
  int64_t accounted_until_ns_;  // busy_ns and idle_ns cover the time up to here
  int64_t last_work_ns_;
  int64_t woken_ns_ = 0;
  bool listens_ = false;
  SpinPolicy spin_policy_;

  // The control thread's own.
  uint32_t core_ = 0;
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKER_WORKER_H_
