// Runs plans. If a step fails, those before it are undone in reverse order, and the report says so.
#include "control/resize/resize_run.h"

#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/steady_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Remembers the steps that are in force. Fails at the steps that a test names.
class FakeActions : public ResizeActions {
 public:
  absl::Status Do(const Step& step, SteadyTime /*deadline*/) override {
    log.push_back("do " + step.text);
    if (step.text == fails_to_do) {
      return absl::FailedPreconditionError("the kernel said no");
    }
    in_force.push_back(step.text);
    return absl::OkStatus();
  }
  absl::Status Undo(const Step& step) override {
    log.push_back("undo " + step.text);
    EXPECT_EQ(in_force.back(), step.text) << "undone out of order";
    in_force.pop_back();
    return step.text == fails_to_undo ? absl::InternalError("stuck") : absl::OkStatus();
  }

  std::string fails_to_do, fails_to_undo;
  std::vector<std::string> in_force, log;
};

ResizePlan Plan() {
  ResizePlan plan{Lever::kChannels, 1, 4, {}, {}};
  for (const auto& [kind, text] : std::vector<std::pair<StepKind, std::string>>{{StepKind::kMakeLanes, "memory"},
                                                                                {StepKind::kSuspendXdp, "suspend"},
                                                                                {StepKind::kSetChannels, "channels"},
                                                                                {StepKind::kResumeXdp, "resume"},
                                                                                {StepKind::kPlaceLanes, "place"}}) {
    plan.steps.push_back({kind, 1, 4, 0, text});
  }
  return plan;
}

TEST(RunPlan, DoesEveryStepInOrder) {
  FakeActions actions;
  const ResizeOutcome outcome = RunPlan(Plan(), actions, SteadyTime::InfiniteFuture());
  EXPECT_EQ(outcome.state, ResizeOutcome::State::kDone);
  EXPECT_THAT(actions.in_force, ElementsAre("memory", "suspend", "channels", "resume", "place"));
  EXPECT_EQ(outcome.steps.size(), 5U);
  EXPECT_GE(outcome.blocked, absl::ZeroDuration());
}

class EveryStep : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(RunPlan, EveryStep, ::testing::Range<size_t>(0, 5));

TEST_P(EveryStep, ThatFailsLeavesNothingInForce) {
  FakeActions actions;
  actions.fails_to_do = Plan().steps[GetParam()].text;
  const ResizeOutcome outcome = RunPlan(Plan(), actions, SteadyTime::InfiniteFuture());
  EXPECT_EQ(outcome.state, ResizeOutcome::State::kRolledBack);
  EXPECT_TRUE(actions.in_force.empty());
  EXPECT_THAT(std::string(outcome.error.message()), HasSubstr(actions.fails_to_do + ": the kernel said no"));
  EXPECT_EQ(outcome.steps.size(), 2 * GetParam() + 1)
      << "the steps that were done, the one that failed, and those that were undone";
}

TEST(RunPlan, GoesOnUndoingPastAnUndoThatFailsAndSaysSo) {
  FakeActions actions;
  actions.fails_to_do = "resume";
  actions.fails_to_undo = "channels";
  const ResizeOutcome outcome = RunPlan(Plan(), actions, SteadyTime::InfiniteFuture());
  EXPECT_EQ(outcome.state, ResizeOutcome::State::kRollbackFailed);
  EXPECT_TRUE(actions.in_force.empty());
  EXPECT_THAT(std::string(outcome.error.message()), HasSubstr("stuck"));
}

TEST(RunPlan, StopsAtTheDeadlineBeforeTheNextStep) {
  FakeActions actions;
  const ResizeOutcome outcome = RunPlan(Plan(), actions, SteadyTime::InfinitePast());
  EXPECT_EQ(outcome.state, ResizeOutcome::State::kRolledBack);
  EXPECT_TRUE(absl::IsDeadlineExceeded(outcome.error));
  EXPECT_TRUE(actions.log.empty()) << "no step was begun";
}

}  // namespace
}  // namespace sluice
