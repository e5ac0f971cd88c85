// Plans resizes: the lever, the steps and their order, and refusals with their messages.
#include "control/resize/resize_plan.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ResizePort VirtioPort(const std::string& netdev) {
  ResizePort port;
  port.netdev = netdev;
  port.max_pairs = 4;
  port.is_virtio = true;
  return port;
}

// Returns the state of a guest with four vCPUs and four pairs, `open` of them in use.
ResizeState Guest(uint32_t open) {
  ResizeState state;
  state.open_pairs = state.active_pairs = state.workers = open;
  state.usable_cores = state.possible_cpus = 4;
  state.ports = {VirtioPort("eth0")};
  return state;
}

ResizeState GuestWithRss(uint32_t open, uint32_t active) {
  ResizeState state = Guest(open);
  state.active_pairs = state.workers = active;
  state.ports[0].has_rss = true;
  return state;
}

std::vector<StepKind> Kinds(const ResizePlan& plan) {
  std::vector<StepKind> kinds;
  for (const Step& step : plan.steps) {
    kinds.push_back(step.kind);
  }
  return kinds;
}

ResizePlan MustPlan(const ResizeState& state, const ResizeWish& wish) {
  absl::StatusOr<ResizePlan> plan = PlanResize(state, wish);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : ResizePlan{};
}

std::string Refusal(const ResizeState& state, const ResizeWish& wish) {
  absl::StatusOr<ResizePlan> plan = PlanResize(state, wish);
  EXPECT_FALSE(plan.ok());
  return std::string(plan.status().message());
}

TEST(PlanResize, TheSameWishTwiceDoesNothing) {
  const ResizePlan plan = MustPlan(Guest(2), {2});
  EXPECT_EQ(plan.lever, Lever::kNone);
  EXPECT_THAT(plan.steps, IsEmpty());
}

TEST(PlanResize, GrowingMakesLanesBeforeTheWindowAndUsesNewLanesAfterIt) {
  const ResizePlan plan = MustPlan(Guest(1), {4});
  EXPECT_EQ(plan.lever, Lever::kChannels);
  EXPECT_THAT(Kinds(plan), ElementsAre(StepKind::kMakeLanes, StepKind::kSuspendXdp, StepKind::kSetChannels,
                                       StepKind::kBindLanes, StepKind::kResumeXdp, StepKind::kSetTransmitLanes,
                                       StepKind::kSpreadFlows, StepKind::kPlaceLanes));
  EXPECT_EQ(plan.steps.back().to, 4U) << "one worker for each pair";
}

TEST(PlanResize, NewQueuesAreEmptyBeforeZeroCopyClearsThem) {
  ResizeState state = Guest(1);
  state.zero_copy = true;
  EXPECT_THAT(Kinds(MustPlan(state, {4})),
              ElementsAre(StepKind::kMakeLanes, StepKind::kSuspendXdp, StepKind::kSetChannels, StepKind::kWaitQuiet,
                          StepKind::kBindLanes, StepKind::kResumeXdp, StepKind::kSetTransmitLanes,
                          StepKind::kSpreadFlows, StepKind::kPlaceLanes));
}

TEST(PlanResize, ShrinkingEmptiesLanesBeforeTheWindow) {
  const ResizePlan plan = MustPlan(Guest(4), {2});
  EXPECT_THAT(Kinds(plan),
              ElementsAre(StepKind::kSetTransmitLanes, StepKind::kWaitQuiet, StepKind::kCloseLanes,
                          StepKind::kSuspendXdp, StepKind::kSetChannels, StepKind::kResumeXdp, StepKind::kPlaceLanes));
  EXPECT_THAT(plan.warnings, ElementsAre(HasSubstr("one-way flows")));
}

TEST(PlanResize, EveryPortGetsItsChannelsInOneWindow) {
  ResizeState state = Guest(2);
  state.ports.push_back(VirtioPort("eth1"));
  const ResizePlan plan = MustPlan(state, {1});
  const std::vector<StepKind> kinds = Kinds(plan);
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), StepKind::kSuspendXdp), 1);
  std::vector<std::string> channels;
  for (const Step& step : plan.steps) {
    if (step.kind == StepKind::kSetChannels) {
      channels.push_back(step.text);
    }
  }
  EXPECT_THAT(channels, ElementsAre("ethtool -L eth0 combined 1", "ethtool -L eth1 combined 1"));
}

TEST(PlanResize, WithRssTheCheaperLeverIsTakenAsFarAsPairsAreOpen) {
  EXPECT_EQ(MustPlan(GuestWithRss(4, 4), {2}).lever, Lever::kSpread);
  EXPECT_EQ(MustPlan(GuestWithRss(4, 2), {4}).lever, Lever::kSpread);
  EXPECT_EQ(MustPlan(GuestWithRss(2, 2), {4}).lever, Lever::kChannels);
}

TEST(PlanResize, RssTablesLeaveQueuesBeforeTheyGoAndUseFreshOnesOnceTheyAreThere) {
  const std::vector<StepKind> grow = Kinds(MustPlan(GuestWithRss(2, 2), {4}));
  const auto spread = std::find(grow.begin(), grow.end(), StepKind::kSetSpread);
  ASSERT_NE(spread, grow.end());
  EXPECT_LT(std::find(grow.begin(), grow.end(), StepKind::kResumeXdp), spread);
  EXPECT_EQ(std::count(grow.begin(), grow.end(), StepKind::kSpreadFlows), 0) << "the RSS table moves the flows";

  const ResizePlan shrink = MustPlan(GuestWithRss(4, 4), {2, Lever::kChannels});
  EXPECT_EQ(shrink.steps.front().kind, StepKind::kSetSpread);
  EXPECT_EQ(shrink.steps.front().to, 2U);
}

TEST(PlanResize, FlowsAreSpreadWhereTheDeviceFollowsTransmitQueues) {
  EXPECT_TRUE(FlowsFollowTransmit(Guest(1)));
  EXPECT_FALSE(FlowsFollowTransmit(GuestWithRss(1, 1)));
  const std::vector<StepKind> grow = Kinds(MustPlan(Guest(1), {4}));
  EXPECT_EQ(std::count(grow.begin(), grow.end(), StepKind::kSpreadFlows), 1);
}

TEST(PlanResize, ChannelsByNameAlsoClosesPairsThatAreOpenButIdle) {
  const ResizePlan plan = MustPlan(GuestWithRss(4, 2), {2, Lever::kChannels});
  EXPECT_EQ(plan.lever, Lever::kChannels);
  EXPECT_EQ(Kinds(plan).front(), StepKind::kSetTransmitLanes);
}

TEST(PlanResize, CoresLeavesTheDeviceAlone) {
  const ResizePlan plan = MustPlan(Guest(4), {2, Lever::kCores});
  EXPECT_EQ(plan.lever, Lever::kCores);
  EXPECT_THAT(Kinds(plan), ElementsAre(StepKind::kPlaceLanes));
}

TEST(PlanResize, WorkersNeverOutnumberTheCores) {
  ResizeState state = Guest(1);
  state.usable_cores = 2;
  EXPECT_EQ(MustPlan(state, {4}).steps.back().to, 2U);
  state.workers_wanted = 1;
  EXPECT_EQ(MustPlan(state, {4}).steps.back().to, 1U);
}

TEST(PlanResize, RefusesCountsTheDeviceDoesNotHave) {
  EXPECT_THAT(Refusal(Guest(1), {0}), HasSubstr("at least one"));
  EXPECT_THAT(Refusal(Guest(1), {5}), HasSubstr("eth0 has at most 4 queue pairs"));
  EXPECT_THAT(Refusal(Guest(1), {1000}), HasSubstr("more than the 64"));
}

TEST(PlanResize, SaysWhyADeviceHasOnlyOnePair) {
  ResizeState state = Guest(1);
  state.ports[0].max_pairs = 1;
  state.ports[0].why_one_pair = "the device does not offer VIRTIO_NET_F_MQ";
  EXPECT_THAT(Refusal(state, {2}), HasSubstr("VIRTIO_NET_F_MQ"));
}

TEST(PlanResize, RefusesSpreadWhereItCannotReach) {
  EXPECT_THAT(Refusal(Guest(4), {2, Lever::kSpread}), HasSubstr("needs a device with RSS"));
  EXPECT_THAT(Refusal(GuestWithRss(2, 2), {4, Lever::kSpread}), HasSubstr("the 2 open pairs"));
}

TEST(PlanResize, ForeignProgramsNeedForce) {
  ResizeState state = Guest(4);
  state.ports[0].other_xdp_programs = 1;
  EXPECT_THAT(Refusal(state, {2}), HasSubstr("--force"));
  EXPECT_EQ(MustPlan(state, {2, std::nullopt, /*force=*/true}).lever, Lever::kChannels);
}

TEST(PlanResize, RefusesCountsAtWhichXdpWouldNeedMoreQueues) {
  ResizeState state = Guest(8);
  state.ports[0].max_pairs = 8;
  EXPECT_THAT(Refusal(state, {4}), HasSubstr("frames sent there vanish"));
  EXPECT_EQ(MustPlan(state, {5}).lever, Lever::kChannels);
}

TEST(PlanResize, WarnsWhenGuestOffloadsCostPackets) {
  ResizeState state = Guest(1);
  state.ports[0].offers_guest_offloads = true;
  EXPECT_THAT(MustPlan(state, {2}).warnings, ElementsAre(HasSubstr("guest_tso4=off")));
}

TEST(PlanWorkers, RefusesMoreWorkersThanCores) {
  EXPECT_FALSE(PlanWorkers(Guest(4), 0).ok());
  EXPECT_FALSE(PlanWorkers(Guest(4), 5).ok());
  ResizeState large = Guest(4);
  large.usable_cores = 128;
  EXPECT_TRUE(PlanWorkers(large, 64).ok());
  EXPECT_EQ(PlanWorkers(large, 65).status().message(), "65 workers are more than the 64 this build handles");
  EXPECT_EQ(PlanWorkers(Guest(4), 4)->lever, Lever::kNone);
  EXPECT_EQ(PlanWorkers(Guest(4), 2)->lever, Lever::kCores);
}

TEST(ParseLever, KnowsThreeNames) {
  EXPECT_EQ(**ParseLever("spread"), Lever::kSpread);
  EXPECT_EQ(*ParseLever(""), std::nullopt);
  EXPECT_THAT(std::string(ParseLever("magic").status().message()), HasSubstr("cores, spread, channels"));
}

}  // namespace
}  // namespace sluice
