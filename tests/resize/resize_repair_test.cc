// Interrupts every plan at every step. If the step is refused, the state is as before. If the agent dies there, its
// successor makes it the state before or the one after.
#include "control/resize/resize_repair.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/port/port_set.h"
#include "control/resize/resize_plan.h"
#include "dataplane/base/steady_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/resize/device_model.h"

namespace sluice {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Resizing {
  uint32_t ports, from, to;
  bool rss;
};

std::string Name(const ::testing::TestParamInfo<Resizing>& info) {
  return absl::StrCat(info.param.ports, "Port", info.param.from, "To", info.param.to, info.param.rss ? "Rss" : "");
}

class EveryPlan : public ::testing::TestWithParam<Resizing> {
 protected:
  static ResizePlan Plan() {
    ResizeState state;
    state.open_pairs = state.active_pairs = state.workers = GetParam().from;
    state.usable_cores = state.possible_cpus = 4;
    for (uint32_t port = 0; port < GetParam().ports; ++port) {
      state.ports.emplace_back();
      state.ports.back().netdev = absl::StrCat("eth", port);
      state.ports.back().max_pairs = 4;
      state.ports.back().has_rss = GetParam().rss;
    }
    absl::StatusOr<ResizePlan> plan = PlanResize(state, {GetParam().to, Lever::kChannels});
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *plan;
  }
  static Machine Before() { return Machine(GetParam().ports, GetParam().from); }
  static Machine After() { return Machine(GetParam().ports, GetParam().to); }

  // Repairs like RepairLanes() (lane_repair.h). NetdevPort::BringUp() has turned XDP on before that.
  static void TakeOver(Machine& machine) {
    machine.xdp.assign(machine.xdp.size(), true);
    const auto found = [&] { return FoundLanes{machine.lanes, true, machine.transmit}; };
    const std::vector<uint32_t> choices = PairsToTry(machine.channels);
    const LaneRepair first = PlanLaneRepair(found(), choices.front());
    if (first.transmit_first.has_value()) {
      ASSERT_TRUE(machine.SetTransmit(*first.transmit_first).ok());
    }
    for (const uint32_t lane : first.close) {
      ASSERT_TRUE(machine.CloseLane(lane).ok()) << lane;
    }
    absl::Status s;
    for (const uint32_t pairs : choices) {
      s = absl::OkStatus();
      for (uint32_t port = 0; port < machine.channels.size() && s.ok(); ++port) {
        machine.xdp[port] = false;
        s = machine.channels[port] == pairs ? absl::OkStatus() : machine.SetChannels(port, pairs);
        machine.xdp[port] = true;
      }
      if (s.ok()) {
        break;
      }
    }
    ASSERT_TRUE(s.ok()) << s;
    const uint32_t pairs = machine.channels.front();
    for (const uint32_t lane : PlanLaneRepair(found(), pairs).open) {
      ASSERT_TRUE(machine.OpenLane(lane).ok()) << lane;
    }
    ASSERT_TRUE(machine.SetTransmit(pairs).ok());
    machine.workers = pairs;
  }

  static void ExpectOldOrNew(const Machine& machine) {
    EXPECT_THAT(machine.Describe(), AnyOf(Before().Describe(), After().Describe()));
  }
};

INSTANTIATE_TEST_SUITE_P(Resize, EveryPlan,
                         ::testing::Values(Resizing{1, 1, 4, false}, Resizing{1, 4, 1, false}, Resizing{1, 2, 3, true},
                                           Resizing{1, 4, 2, true}, Resizing{2, 1, 2, false}, Resizing{2, 4, 2, false},
                                           Resizing{4, 2, 4, false}, Resizing{4, 3, 1, true}),
                         Name);

TEST_P(EveryPlan, LeadsToTheNewStateUnderTheKernelsRules) {
  Machine machine = Before();
  MachineActions actions(machine);
  const ResizeOutcome outcome = RunPlan(Plan(), actions, SteadyTime::InfiniteFuture());
  EXPECT_EQ(outcome.state, ResizeOutcome::State::kDone) << outcome.error;
  EXPECT_EQ(machine.Describe(), After().Describe());
}

TEST_P(EveryPlan, RefusedAtAnyStepLeavesTheOldState) {
  for (size_t k = 0; k < Plan().steps.size(); ++k) {
    SCOPED_TRACE(Plan().steps[k].text);
    Machine machine = Before();
    MachineActions actions(machine);
    actions.refuse = k;
    const ResizeOutcome outcome = RunPlan(Plan(), actions, SteadyTime::InfiniteFuture());
    EXPECT_EQ(outcome.state, ResizeOutcome::State::kRolledBack) << outcome.error;
    EXPECT_EQ(machine.Describe(), Before().Describe());
  }
}

TEST_P(EveryPlan, AgentDeadAfterAnyStepIsFollowedByOldOrNew) {
  for (size_t k = 0; k <= Plan().steps.size(); ++k) {
    SCOPED_TRACE(absl::StrCat("after ", k, " steps"));
    ResizePlan begun = Plan();
    begun.steps.resize(k);
    Machine machine = Before();
    MachineActions actions(machine);
    ASSERT_EQ(RunPlan(begun, actions, SteadyTime::InfiniteFuture()).state, ResizeOutcome::State::kDone);
    TakeOver(machine);
    ExpectOldOrNew(machine);
  }
}

// Interrupts the steps that treat one lane after the other in between.
TEST_P(EveryPlan, AgentDeadBetweenTwoLanesIsFollowedByOldOrNew) {
  const ResizePlan plan = Plan();
  for (size_t k = 0; k < plan.steps.size(); ++k) {
    const StepKind kind = plan.steps[k].kind;
    if (kind != StepKind::kMakeLanes && kind != StepKind::kBindLanes && kind != StepKind::kCloseLanes) {
      continue;
    }
    const uint32_t low = std::min(plan.from, plan.to);
    for (uint32_t lanes_done = 0; lanes_done < std::max(plan.from, plan.to) - low; ++lanes_done) {
      SCOPED_TRACE(absl::StrCat(plan.steps[k].text, ", ", lanes_done, " done"));
      ResizePlan begun = plan;
      begun.steps.resize(k);
      Machine machine = Before();
      MachineActions actions(machine);
      ASSERT_EQ(RunPlan(begun, actions, SteadyTime::InfiniteFuture()).state, ResizeOutcome::State::kDone);
      for (uint32_t i = 0; i < lanes_done; ++i) {
        ASSERT_TRUE((kind == StepKind::kCloseLanes  ? machine.CloseLane(plan.from - 1 - i)
                     : kind == StepKind::kMakeLanes ? machine.MakeLane(low + i)
                                                    : machine.BindLane(low + i))
                        .ok());
      }
      TakeOver(machine);
      ExpectOldOrNew(machine);
    }
  }
}

TEST_P(EveryPlan, PortsThatCannotGetTheLowerCountGetTheHigher) {
  if (GetParam().ports == 1) {
    return;
  }
  Machine machine(GetParam().ports, std::min(GetParam().from, GetParam().to));
  machine.channels.back() = machine.kernel_keeps_queues = std::max(GetParam().from, GetParam().to);
  TakeOver(machine);
  ExpectOldOrNew(machine);
  EXPECT_EQ(machine.channels.front(), machine.kernel_keeps_queues);
}

TEST(PlanLaneRepair, HasNothingToDoWhenAllIsWell) {
  const LaneRepair repair = PlanLaneRepair({{{0, true}, {1, true}}, true, 2}, 2);
  EXPECT_FALSE(repair.transmit_first.has_value());
  EXPECT_THAT(repair.close, IsEmpty());
  EXPECT_THAT(repair.open, IsEmpty());
  EXPECT_FALSE(repair.remake_bridge);
}

TEST(PlanLaneRepair, FramesLeaveByLanesThatStayBeforeOthersGo) {
  const LaneRepair repair = PlanLaneRepair({{{0, true}, {1, true}, {2, true}, {3, false}}, true, 4}, 2);
  EXPECT_EQ(repair.transmit_first, 2U);
  EXPECT_THAT(repair.close, ElementsAre(3, 2));
  EXPECT_THAT(repair.open, IsEmpty());
}

TEST(PlanLaneRepair, AGapIsFilledAndALaneThatIsNotBoundIsMadeAgain) {
  const LaneRepair repair = PlanLaneRepair({{{0, false}, {2, true}}, true, 1}, 3);
  EXPECT_FALSE(repair.transmit_first.has_value()) << "lane 0 does not stay, so there is no lane to transmit by";
  EXPECT_THAT(repair.close, ElementsAre(0));
  EXPECT_THAT(repair.open, ElementsAre(0, 1));
}

TEST(PlanLaneRepair, TheBridgeLaneIsRemadeWhenItIsMissingOrNotBound) {
  EXPECT_TRUE(PlanLaneRepair({{{0, true}}, std::nullopt, 1}, 1).remake_bridge);
  EXPECT_TRUE(PlanLaneRepair({{{0, true}}, false, 1}, 1).remake_bridge);
}

TEST(OutcomeOfInterrupted, SaysWhichStateItIs) {
  EXPECT_EQ(OutcomeOfInterrupted(4, 2, 2).state, ResizeOutcome::State::kDone);
  EXPECT_EQ(OutcomeOfInterrupted(4, 2, 4).state, ResizeOutcome::State::kRolledBack);
  EXPECT_EQ(OutcomeOfInterrupted(4, 2, 3).state, ResizeOutcome::State::kRollbackFailed);
  EXPECT_THAT(std::string(OutcomeOfInterrupted(4, 2, 4).error.message()), HasSubstr("as it was before"));
}

}  // namespace
}  // namespace sluice
