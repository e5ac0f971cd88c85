#include "control/resize/resize_run.h"

#include "absl/strings/str_cat.h"
#include "dataplane/base/steady_time.h"

namespace sluice {
namespace {

// Goes on past a failed undo: the later ones may still bring packets back.
absl::Status RollBack(const ResizePlan& plan, size_t steps_done, ResizeActions& actions, ResizeOutcome& outcome) {
  absl::Status first_error;
  for (size_t i = steps_done; i-- > 0;) {
    const SteadyTime start = SteadyTime::Now();
    absl::Status s = actions.Undo(plan.steps[i]);
    outcome.steps.push_back(
        {absl::StrCat("undo: ", plan.steps[i].text), SteadyTime::Now() - start, actions.TakeCalls()});
    if (!s.ok() && first_error.ok()) {
      first_error = absl::Status(s.code(), absl::StrCat("undoing \"", plan.steps[i].text, "\": ", s.message()));
    }
  }
  return first_error;
}

}  // namespace

ResizeOutcome RunPlan(const ResizePlan& plan, ResizeActions& actions, SteadyTime deadline) {
  ResizeOutcome outcome;
  SteadyTime suspended_at = SteadyTime::InfiniteFuture();
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    const SteadyTime start = SteadyTime::Now();
    absl::Status s =
        start >= deadline ? absl::DeadlineExceededError("the time given ran out") : actions.Do(step, deadline);
    const SteadyTime end = SteadyTime::Now();
    outcome.steps.push_back({step.text, end - start, actions.TakeCalls()});
    if (step.kind == StepKind::kSuspendXdp) {
      suspended_at = start;
    }
    if (!s.ok()) {
      outcome.state = ResizeOutcome::State::kRolledBack;
      std::string message = absl::StrCat(step.text, ": ", s.message());
      if (absl::Status undone = RollBack(plan, i, actions, outcome); !undone.ok()) {
        outcome.state = ResizeOutcome::State::kRollbackFailed;
        absl::StrAppend(&message, "; and rolling back failed: ", undone.message());
      }
      outcome.error = absl::Status(s.code(), message);
      if (suspended_at != SteadyTime::InfiniteFuture()) {
        outcome.blocked = SteadyTime::Now() - suspended_at;
      }
      return outcome;
    }
    if (step.kind == StepKind::kResumeXdp) {
      outcome.blocked = end - suspended_at;
      suspended_at = SteadyTime::InfiniteFuture();
    }
  }
  return outcome;
}

}  // namespace sluice
