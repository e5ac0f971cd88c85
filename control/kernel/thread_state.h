// State and CPU time of another process's threads, from /proc/PID/task/TID/stat (proc(5); fs/proc/array.c:
// do_task_stat). Any thread.
#ifndef SLUICE_CONTROL_KERNEL_THREAD_STATE_H_
#define SLUICE_CONTROL_KERNEL_THREAD_STATE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

struct ThreadState {
  char state = 0;        // R, S, D, T, t and so on
  int64_t cpu_ns = 0;    // used so far, in steps of a clock tick
  uint64_t started = 0;  // in clock ticks since the boot; with the id, it names a thread once and for all
  bool stopped() const { return state == 'T' || state == 't'; }  // by a signal or by a tracer
};

// Reads the text of a `stat` file; nullopt: it is none.
std::optional<ThreadState> ParseThreadState(const std::string& stat);
// nullopt: the process has no such thread, or it may not be seen.
std::optional<ThreadState> ReadThreadState(pid_t process, pid_t thread);
// Returns the ids of a process's threads; none when there is no such process.
std::vector<pid_t> ThreadsOf(pid_t process);
// True when every thread of the process has ended, so that its descriptors are closed. The process itself has not ended
// as long as a tracer has not waited for a thread (kernel/exit.c: delay_group_leader).
bool EveryThreadHasEnded(pid_t process);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_THREAD_STATE_H_
