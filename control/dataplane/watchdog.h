// Tells a dataplane that hangs from one to which the machine gives no time.
//
// Every thread of the dataplane counts beats in the stats segment, at least one every kBeatEveryMs, also without work.
// The agent looks every kLookEveryMs. A thread whose beats stand still is silent; after a while its state in the kernel
// decides (/proc, proc(5)):
//
//   its state               hangs when silent for    reason
//   T, t  stopped           kBoundNs                 by a signal, or by a tracer
//   R     running           kBoundNs                 it has used kEndlessCpuNs of CPU time since: an endless loop. The
//                                                    control thread: kLongBoundNs, since some requests are long work
//   R     without CPU time  never                    starved: it waits for a core, as its successor would
//   S     asleep            kSleepBoundNs            unless another thread is starved, for which it may be waiting.
//                                                    Longer than for T: a virtual CPU that its host does not run
//                                                    leaves a thread asleep whose timer is over
//   D     in the kernel     kLongBoundNs             calls that wait for RCU take seconds on a starved machine
//   -     cannot be read    kLongBoundNs
//
// Time is the time in which the agent was awake: a look counts for kLongestNapNs at most. So a pause of the machine or
// of the agent (a long request, SIGSTOP) does not count.
//
// A dataplane that a stranger has taken over can beat and do nothing else: this finds accidents, not malice.
//
// Pure; one thread.
#ifndef SLUICE_CONTROL_DATAPLANE_WATCHDOG_H_
#define SLUICE_CONTROL_DATAPLANE_WATCHDOG_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "control/kernel/thread_state.h"

namespace sluice {

class Watchdog {
 public:
  static constexpr int kLookEveryMs = 100;
  static constexpr int64_t kBoundNs = 1'000'000'000;
  static constexpr int64_t kSleepBoundNs = 2 * kBoundNs;
  static constexpr int64_t kLongBoundNs = 10 * kBoundNs;
  // Much more than a round takes, also in an emulated guest.
  static constexpr int64_t kEndlessCpuNs = 500'000'000;
  // A thread that is starved for this long is a reason to warn.
  static constexpr int64_t kStarvedBoundNs = 5 * kBoundNs;
  static constexpr int64_t kLongestNapNs = 2'000'000LL * kLookEveryMs;

  struct Thread {
    std::string name;
    pid_t id = 0;
    uint64_t beats = 0;
    bool is_control = false;
  };
  struct Verdict {
    bool hangs = false;
    std::string why;  // what hangs, or is starved, for users; empty: all is well
  };
  // Returns a thread's state in the kernel; nullopt: it cannot be read.
  using ReadState = absl::FunctionRef<std::optional<ThreadState>(pid_t)>;

  // Adds those of a process's threads that have not said which worker they are, as long as they are in state R: a
  // worker that has waited for its core since it was made. The control thread waits for it, and must not count as
  // hanging.
  static void AddNew(absl::Span<const pid_t> all, ReadState read, std::vector<Thread>& threads);

  // Looks at all threads at the monotonic time `now_ns`. One that was not there at the last look starts afresh.
  Verdict Look(int64_t now_ns, absl::Span<const Thread> threads, ReadState read);

 private:
  enum class Finding { kWell, kHangs, kStarved, kAsleep };
  struct Watched {
    Thread thread;
    int64_t silent_ns = 0;
    std::optional<ThreadState> then;  // after kSuspectNs of silence
  };

  void Note(int64_t elapsed_ns, absl::Span<const Thread> threads, ReadState read);
  static Finding Judge(const Watched& watched, const std::optional<ThreadState>& now);

  int64_t last_look_ns_ = 0;
  std::vector<Watched> watched_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_WATCHDOG_H_
