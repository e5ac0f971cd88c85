// Runs a resize plan step by step; when a step fails, undoes those before it in reverse order. One thread.
#ifndef SLUICE_CONTROL_RESIZE_RESIZE_RUN_H_
#define SLUICE_CONTROL_RESIZE_RESIZE_RUN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control/dataplane/call_log.h"
#include "control/resize/resize_plan.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

// Carries out the steps. A failed Do() has changed nothing, or has undone its changes.
class ResizeActions {
 public:
  virtual ~ResizeActions() = default;
  virtual absl::Status Do(const Step& step, SteadyTime deadline) = 0;
  virtual absl::Status Undo(const Step& step) = 0;
  // Returns the calls that the last Do() or Undo() spent its time on, as far as they were timed, and forgets them.
  virtual std::vector<TimedCall> TakeCalls() { return {}; }
};

struct TimedStep {
  std::string text;
  absl::Duration took;
  std::vector<TimedCall> calls;
};

struct ResizeOutcome {
  enum class State { kDone, kRolledBack, kRollbackFailed };
  State state = State::kDone;
  absl::Status error;  // why not done: DeadlineExceeded when the time ran out
  std::vector<TimedStep> steps;
  // From the start of the step that took XDP off to the end of the one that put it back.
  absl::Duration blocked;
};

// Checks `deadline` between steps and passes it to each; rolling back has no deadline.
ResizeOutcome RunPlan(const ResizePlan& plan, ResizeActions& actions, SteadyTime deadline);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZE_RUN_H_
