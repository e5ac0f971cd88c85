// Runs a resize plan step by step; when one fails, undoes those done in reverse order.
#ifndef SLUICE_CONTROL_RESIZE_RESIZE_RUN_H_
#define SLUICE_CONTROL_RESIZE_RESIZE_RUN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control/dataplane/call_log.h"
#include "control/resize/resize_plan.h"

namespace sluice {

// What the steps do. A failed Do() has changed nothing, or has put back what it changed.
class ResizeActions {
 public:
  virtual ~ResizeActions() = default;
  virtual absl::Status Do(const Step& step, absl::Time deadline) = 0;
  virtual absl::Status Undo(const Step& step) = 0;
  // What the last of these spent its time on, as far as it says.
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

// `deadline` is looked at between steps and passed to each; rolling back has no deadline.
ResizeOutcome RunPlan(const ResizePlan& plan, ResizeActions& actions, absl::Time deadline);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZE_RUN_H_
