// Lists of sources on their way from text into tries, in a thread of their own: a million prefixes take seconds, in
// which the agent's loop has a dataplane to watch and requests to answer. The tries are in force nowhere until the loop
// puts them there (Steering).
//
//   loop: ListLoad(job) ─► thread: text ─► prefixes ─► tries ─► `done` ─► loop: Finish()
//
// Threads: the loop's, but for `job` and `done`.
#ifndef SLUICE_CONTROL_SERVE_LIST_LOAD_H_
#define SLUICE_CONTROL_SERVE_LIST_LOAD_H_

#include <atomic>
#include <functional>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "control/steering/loaded_lists.h"

namespace sluice {

class ListLoad {
 public:
  // Loads the lists; Cancelled soon after `go_on` returned false.
  using Job = std::function<absl::StatusOr<LoadedLists>(absl::FunctionRef<bool()> go_on)>;

  // Calls `done` from the thread, once done() is true.
  ListLoad(Job job, std::function<void()> done);
  ListLoad(const ListLoad&) = delete;
  ListLoad& operator=(const ListLoad&) = delete;
  // Gives up. Waits for the thread: at most as long as it takes to read and parse the text.
  ~ListLoad();

  bool done() const { return done_.load(std::memory_order_acquire); }
  // Once, after done(). Errors are the job's.
  absl::StatusOr<LoadedLists> Finish();

 private:
  absl::StatusOr<LoadedLists> loaded_;  // the thread's until done_
  std::atomic<bool> done_ = false;      // acquire and release: they publish loaded_. The thread writes it.
  std::atomic<bool> give_up_ = false;   // relaxed: it carries no data. The destructor writes it.
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_LIST_LOAD_H_
