// Wakes one worker out of its sleep.
//
//   worker                                    somebody with news for it
//     AboutToSleep()      sleeping = true       publish the news
//     look for news once more                   WakeIfAsleep()   sleeping? then write the eventfd
//     sleep on poll_fd() too
//     Awake()             sleeping = false
//
// Nothing is slept through: both sides write, then read what the other writes, all sequentially
// consistent. In the one total order of these four operations either the news comes before the worker's
// last look, or `sleeping = true` comes before the other's test of it. (The news' own publication has to
// be a seq_cst store or a read-modify-write, and the last look a seq_cst load.)
//
// A Waker outlives its worker: who still holds a pointer to it wakes nobody, harmlessly.
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
  // Relaxed: whoever still sees `true` writes the eventfd in vain, which costs one empty round.
  void Awake() { sleeping_.store(false, std::memory_order_relaxed); }
  void Clear() {
    uint64_t count;
    (void)!read(event_.get(), &count, sizeof(count));
  }

  // Any thread. The exchange lets one of several callers pay for the system call.
  void WakeIfAsleep() {
    if (sleeping_.load(std::memory_order_seq_cst) && sleeping_.exchange(false, std::memory_order_seq_cst)) {
      Wake();
    }
  }
  // Any thread: the next sleep ends at once, whether the worker sleeps by now or not.
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
