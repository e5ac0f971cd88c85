// Wakes one worker out of its sleep.
//
//   worker                                    a thread with news for it
//     AboutToSleep()      sleeping = true       publish the news
//     look for news once more                   WakeIfAsleep()   sleeping? then write the eventfd
//     sleep on poll_fd() too
//     Awake()             sleeping = false
//
// The worker sleeps through no news: each side writes, then reads the other's variable, all sequentially consistent. In
// the one total order of these four operations either the news comes before the worker's last look, or `sleeping =
// true` comes before the other thread's test of it. (News must be published by a seq_cst store or a read-modify-write,
// and the last look be a seq_cst load.)
//
// A Waker outlives its worker: a thread that still has a pointer to it wakes no worker, and does no harm.
//
// Threads: each function says its own.
#ifndef SLUICE_DATAPLANE_LANE_WAKER_H_
#define SLUICE_DATAPLANE_LANE_WAKER_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "dataplane/base/unique_fd.h"

namespace sluice {

class Waker {
 public:
  Waker() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  bool ok() const { return static_cast<bool>(event_); }

  // The worker.
  int poll_fd() const { return event_.get(); }
  void AboutToSleep() { sleeping_.store(true, std::memory_order_seq_cst); }
  // Relaxed: a thread that still sees `true` writes the eventfd in vain, which costs one empty round.
  void Awake() { sleeping_.store(false, std::memory_order_relaxed); }
  void Clear() {
    uint64_t count;
    (void)!read(event_.get(), &count, sizeof(count));
  }

  // Any thread. By the exchange only one of several callers makes the system call.
  void WakeIfAsleep() {
    if (sleeping_.load(std::memory_order_seq_cst) && sleeping_.exchange(false, std::memory_order_seq_cst)) {
      Wake();
    }
  }
  // Any thread. Ends the worker's sleep at once; the next one, if it is awake.
  void Wake() {
    const uint64_t one = 1;
    (void)!write(event_.get(), &one, sizeof(one));
  }

 private:
  UniqueFd event_;
  std::atomic<bool> sleeping_{false};  // set by the worker, cleared by anyone
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_WAKER_H_
