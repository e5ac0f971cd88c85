#include "control/resize/resizer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "control/resize/lane_repair.h"
#include "dataplane/base/steady_time.h"
#include "tests/resize/resize_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ResizerTest : public ResizeTest {
 protected:
  const FinishedResize& Last() { return *resizer_->last_resize(); }
  // Returns the lines of the log that begin with one of `parts`, in order.
  std::vector<std::string> Where(const std::vector<std::string>& parts) const {
    std::vector<std::string> lines;
    for (const std::string& line : log_) {
      if (std::any_of(parts.begin(), parts.end(), [&](const std::string& part) { return line.find(part) == 0; })) {
        lines.push_back(line);
      }
    }
    return lines;
  }
};

TEST_F(ResizerTest, GrowsAndShrinks) {
  Start(2);
  ASSERT_TRUE(Resize(4).ok());
  EXPECT_TRUE(Last().outcome.error.ok()) << Last().outcome.error;
  ExpectPairs(4);
  EXPECT_TRUE(transmit_->spreading()) << "flows move to the fresh lanes";
  EXPECT_EQ(placement_->workers(), 4U);
  ASSERT_TRUE(Resize(1).ok());
  EXPECT_TRUE(Last().outcome.error.ok()) << Last().outcome.error;
  ExpectPairs(1);
  EXPECT_EQ(resizer_->totals().at({Lever::kChannels, ResizeOutcome::State::kDone}).count, 2U);
  EXPECT_FALSE(state_.state().has_resize());
  EXPECT_EQ(state_.state().active_pairs(), 1U);
}

TEST_F(ResizerTest, TheWindowIsBehindFences) {
  Start(2);
  ASSERT_TRUE(Resize(3).ok());
  EXPECT_THAT(Where({"dataplane: hold", "dataplane: release", "eth0: xdp", "eth0: pairs"}),
              ElementsAre("dataplane: hold 64", "eth0: xdp off", "dataplane: release after 0,1,2",  // lane 2 is made
                          "eth0: pairs 3",                                                          //
                          "dataplane: hold 0,1,2", "eth0: xdp on", "dataplane: release after 64",   //
                          "dataplane: hold 0,1,2,64", "dataplane: release after ",                  // transmit by 3
                          "dataplane: hold 0,1,2,64", "dataplane: release after "));                // spread flows
}

TEST_F(ResizerTest, LanesWhoseDeviceIsGoneAreMadeAnew) {
  Start(2);
  EXPECT_TRUE(lanes_->AllAreBound());
  for (const auto& [index, lane] : lanes_->lanes()) {
    kernel_.Unbind(lane.sockets.sockets[0].get());
  }
  EXPECT_FALSE(lanes_->AllAreBound());
  ASSERT_TRUE(resizer_->RemakeLanes().ok());
  ExpectPairs(2);
  EXPECT_EQ(resizer_->wanted_pairs(), 2U);
}

TEST_F(ResizerTest, ADeviceThatCameBackWithFewerPairsHasThemAll) {
  Start(3);
  fakes_[0]->pairs = 2;
  for (const auto& [index, lane] : lanes_->lanes()) {
    kernel_.Unbind(lane.sockets.sockets[0].get());
  }
  ASSERT_TRUE(resizer_->RemakeLanes().ok());
  ExpectPairs(2);
  EXPECT_EQ(resizer_->wanted_pairs(), 3U);
}

TEST_F(ResizerTest, EachStepsCallsAreTimed) {
  Start(2);
  ASSERT_TRUE(Resize(3).ok());
  const auto step = std::find_if(Last().outcome.steps.begin(), Last().outcome.steps.end(),
                                 [](const TimedStep& one) { return one.text == "put XDP back"; });
  ASSERT_NE(step, Last().outcome.steps.end());
  std::vector<std::string> calls;
  for (const TimedCall& call : step->calls) {
    calls.push_back(call.name);
    EXPECT_EQ(call.times, call.name == "XDP on" ? kPorts : 1U);
  }
  EXPECT_THAT(calls, ElementsAre("hold lanes back", "XDP on", "wait until the bridge is empty",
                                 "wait until the old way is empty"));
  EXPECT_GT(Last().outcome.blocked, absl::ZeroDuration());
}

TEST_F(ResizerTest, ADryRunOnlyLooks) {
  Start(2);
  const absl::StatusOr<ResizePlan> plan = Resize(4, std::nullopt, /*dry_run=*/true);
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->steps, Not(IsEmpty()));
  EXPECT_THAT(log_, ElementsAre("eth0: reconcile", "eth1: reconcile"));
  EXPECT_FALSE(resizer_->last_resize().has_value());
  ASSERT_TRUE(Resize(2).ok()) << "there are two pairs already";
  EXPECT_FALSE(resizer_->last_resize().has_value());
}

TEST_F(ResizerTest, RefusesWhileAPortsProgramsDoNotSeeItsPackets) {
  Start(2);
  fakes_[1]->found.programs = absl::FailedPreconditionError("somebody else's program is there");
  const absl::Status refused = Resize(4).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("eth1: somebody else's program"));
  EXPECT_FALSE(resizer_->last_resize().has_value());
  fakes_[1]->found = {};
  EXPECT_TRUE(Resize(4).ok());
}

TEST_F(ResizerTest, RefusesWhileTheDataplaneIsDown) {
  Start(2);
  Die();
  EXPECT_THAT(std::string(Resize(4).status().message()), HasSubstr("it is being restarted"));
  EXPECT_TRUE(absl::IsFailedPrecondition(resizer_->SetWorkers(1, SteadyTime::InfiniteFuture()).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(resizer_->SetPlacement({3, {}}, SteadyTime::InfiniteFuture())));
  EXPECT_TRUE(Resize(4, std::nullopt, /*dry_run=*/true).ok()) << "a plan needs no dataplane";
  EXPECT_FALSE(placement_->wish().workers.has_value());
}

// Refuses, one after the other, each call that a resize makes to a port.
TEST_F(ResizerTest, AResizeThatAPortRefusesIsRolledBack) {
  for (const auto& [from, to] : {std::pair(2U, 4U), std::pair(4U, 2U)}) {
    Start(from);
    for (FakePort* port : fakes_) {
      port->pairs = from;
    }
    for (const std::string call : {"xdp off", "xdp on", to > from ? "pairs 4" : "pairs 2"}) {
      fakes_[1]->refused = {call};
      ASSERT_TRUE(Resize(to).ok());
      if (call == "xdp on") {
        // The rollback cannot turn XDP on either, so it stays off at every port and packets take the bridge.
        EXPECT_EQ(Last().outcome.state, ResizeOutcome::State::kRollbackFailed);
        EXPECT_FALSE(fakes_[0]->xdp);
        fakes_[0]->xdp = fakes_[1]->xdp = true;
      } else {
        EXPECT_EQ(Last().outcome.state, ResizeOutcome::State::kRolledBack) << Last().outcome.error;
      }
      EXPECT_THAT(std::string(Last().outcome.error.message()), HasSubstr("eth1 refuses " + call));
      fakes_[1]->refused.clear();
      ExpectPairs(from);
      EXPECT_FALSE(state_.state().has_resize());
    }
    lanes_->Clear();
    connection_.lanes.clear();
  }
}

TEST_F(ResizerTest, ALaneThatCannotBeMadeOrBoundIsRolledBack) {
  Start(2);
  kernel_.refuses_to_make = "sluice-lane-3";
  ASSERT_TRUE(Resize(4).ok());
  EXPECT_EQ(Last().outcome.state, ResizeOutcome::State::kRolledBack);
  ExpectPairs(2);
  EXPECT_THAT(Logged("xdp off"), IsEmpty()) << "the window was not opened";
  kernel_.refuses_to_make.clear();
  kernel_.refuses_to_bind = "eth0/3";
  ASSERT_TRUE(Resize(4).ok());
  EXPECT_EQ(Last().outcome.state, ResizeOutcome::State::kRolledBack);
  ExpectPairs(2);
}

// Lets the dataplane die in each request of a shrink, as the fault tests in tests/netns do with processes.
TEST_F(ResizerTest, ADataplaneThatDiesInTheMiddleLeavesOneStateOrTheOther) {
  std::vector<std::string> requests;
  for (size_t request = 0; request == 0 || request < requests.size(); ++request) {
    connection_.alive = true;
    connection_.lanes.clear();
    connection_.dies_at.reset();
    lanes_->Clear();
    dataplane_.SetUp();
    for (FakePort* port : fakes_) {
      port->pairs = 3;
    }
    Start(3);
    if (request > 0) {
      connection_.dies_at = requests[request];
    }
    ASSERT_TRUE(Resize(1).ok());
    if (request == 0) {
      for (const std::string& line : Logged("dataplane: ")) {
        requests.push_back(line.substr(std::string("dataplane: ").size()));
      }
    }
    const uint32_t now = fakes_[0]->pairs;
    EXPECT_EQ(now, Last().outcome.state == ResizeOutcome::State::kDone ? 1U : 3U) << requests[request];
    EXPECT_NE(Last().outcome.state, ResizeOutcome::State::kRollbackFailed)
        << requests[request] << ": " << Last().outcome.error;
    EXPECT_EQ(fakes_[1]->pairs, now);
    EXPECT_EQ(lanes_->pair_lanes(), now) << requests[request];
    for (const auto& [index, lane] : lanes_->lanes()) {
      EXPECT_TRUE(lanes_->IsBound(lane)) << requests[request] << ", lane " << index;
    }
    EXPECT_TRUE(fakes_[0]->xdp && fakes_[1]->xdp) << requests[request];
  }
  EXPECT_GT(requests.size(), 10U);
}

TEST_F(ResizerTest, SpreadChangesTablesAloneAndIsUndoneByThem) {
  for (FakePort* port : fakes_) {
    port->info().has_rss = true;
  }
  Start(2);
  ASSERT_TRUE(Resize(1, Lever::kSpread).ok());
  EXPECT_EQ(resizer_->active_pairs(), 1U);
  EXPECT_EQ(lanes_->pair_lanes(), 2U);
  EXPECT_THAT(Where({"eth0: spread", "dataplane: hold", "eth0: xdp"}),
              ElementsAre("dataplane: hold 0", "eth0: spread 1"));
  fakes_[1]->refused = {"spread 2"};
  ASSERT_TRUE(Resize(2, Lever::kSpread).ok());
  EXPECT_EQ(Last().outcome.state, ResizeOutcome::State::kRolledBack);
  EXPECT_EQ(fakes_[0]->spread_over, 1U);
  EXPECT_EQ(resizer_->active_pairs(), 1U);
}

TEST_F(ResizerTest, WhatTheHostMayMixCountsWhereFlowsAreAnswered) {
  for (FakePort* port : fakes_) {
    port->info().has_rss = true;
  }
  Start(2);
  const auto resize_under_traffic = [&](uint32_t pairs, bool answered) {
    std::atomic<bool> over = false;
    std::thread traffic([&] {
      while (!over) {
        for (LanePortStats& port : stats_->lanes[0].ports) {
          port.rx_packets.Add(1);
          port.tx_packets.Add(answered ? 1 : 0);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    EXPECT_TRUE(Resize(pairs, Lever::kSpread).ok());
    over = true;
    traffic.join();
    return Last().costs.reordered;
  };
  EXPECT_GT(resize_under_traffic(1, /*answered=*/true), 0U);
  EXPECT_EQ(resize_under_traffic(2, /*answered=*/true), 0U) << "flows move to lane 1, which gets nothing";
  EXPECT_EQ(resize_under_traffic(1, /*answered=*/false), 0U) << "the host has no reason to move a flow";
  for (FakePort* port : fakes_) {
    port->info().is_virtio = false;
  }
  EXPECT_EQ(resize_under_traffic(2, /*answered=*/true), 0U);
  EXPECT_EQ(resize_under_traffic(1, /*answered=*/true), 0U);
}

TEST_F(ResizerTest, WorkersAreSetAndStaySetOverResizes) {
  Start(2);
  ASSERT_TRUE(resizer_->SetWorkers(1, SteadyTime::InfiniteFuture()).ok());
  EXPECT_EQ(placement_->workers(), 1U);
  EXPECT_EQ(resizer_->WorkersFor(4), 1U);
  EXPECT_EQ(Last().lever, Lever::kCores);
  ASSERT_TRUE(Resize(4).ok());
  EXPECT_EQ(placement_->workers(), 1U);
  EXPECT_TRUE(absl::IsInvalidArgument(resizer_->SetWorkers(5, SteadyTime::InfiniteFuture()).status()));
}

TEST_F(ResizerTest, APlacementIsMadeAsWishedOrNotAtAll) {
  Start(2);
  ASSERT_TRUE(resizer_->SetPlacement({1, {3}}, SteadyTime::InfiniteFuture()).ok());
  EXPECT_THAT(placement_->worker_cores(), ElementsAre(3));
  connection_.refused["cores 2 lanes 0:0 1:0 64:0"] = absl::InternalError("no thread");
  EXPECT_EQ(resizer_->SetPlacement({1, {2}}, SteadyTime::InfiniteFuture()).message(), "no thread");
  EXPECT_THAT(placement_->worker_cores(), ElementsAre(3));
  EXPECT_THAT(placement_->usable_cores(), ElementsAre(3));
  EXPECT_THAT(placement_->wish().cores, ElementsAre(3));
  log_.clear();
  ASSERT_TRUE(resizer_->SetPlacement({1, {3}}, SteadyTime::InfiniteFuture()).ok());
  EXPECT_THAT(log_, IsEmpty()) << "the placement is as wished already";
}

TEST_F(ResizerTest, FollowsCpusThatComeAndGo) {
  Start(2);
  resizer_->FollowCpus();
  EXPECT_THAT(log_, IsEmpty());
  online_ = std::vector<uint32_t>{2};
  resizer_->FollowCpus();
  EXPECT_THAT(placement_->worker_cores(), ElementsAre(2));
  online_ = std::vector<uint32_t>{0, 1, 2};
  connection_.refused["cores 0,1 lanes 0:0 1:1 64:0"] = absl::InternalError("no thread");
  resizer_->FollowCpus();
  EXPECT_THAT(placement_->worker_cores(), ElementsAre(2));
  connection_.refused.clear();
  resizer_->FollowCpus();
  EXPECT_THAT(placement_->worker_cores(), ElementsAre(0, 1)) << "a failed placement is tried again";
}

TEST_F(ResizerTest, CountsTheCostsOfAResize) {
  Start(2);
  stats_->lanes[0].fence_held.Add(5);
  stats_->lanes[kBridgeLane].ports[1].rx_packets.Add(7);
  const ResizeCosts before = CountCosts(Objects());
  EXPECT_EQ(before.held, 5U);
  EXPECT_EQ(before.bridged, 7U);
  fakes_[0]->counters[1].packets[SLUICE_VERDICT_BRIDGED] = 9;
  EXPECT_EQ(FramesOnBridges(Objects()), 2);
  kernel_.drops_of_each.rx_ring_full = 1;
  stats_->lanes[1].ports[0].CountDrops(DropReason::kTxRingFull, 3);
  stats_->lanes[1].ports[0].CountDrops(DropReason::kFunction, 100);
  fakes_[1]->counters[0].packets[SLUICE_VERDICT_OVERLOADED] = 2;
  const ResizeCosts costs = CountCosts(Objects()) - before;
  EXPECT_EQ(costs.lost, (Losses{{"tx_ring_full", 3}, {"kernel_rx_ring_full", 3 * kPorts}, {"overloaded", 2}}))
      << "of the kernel one at each socket of three lanes; what the function drops is not lost";
  EXPECT_EQ(Sum(costs.lost), 5 + 3 * kPorts);
  EXPECT_EQ((costs + costs).lost.at("tx_ring_full"), 6U);
  EXPECT_EQ(costs.held, 0U);
}

class TakeoverTest : public ResizerTest {
 protected:
  // Sets up the remains of an agent that died: lanes of the dataplane, pairs of each port, and the saved resize.
  void Leave(uint32_t lanes, std::vector<uint32_t> pairs, uint32_t transmit, const std::string& method = "",
             uint32_t from = 0, uint32_t to = 0) {
    StartLanes(lanes);
    transmit_->Adopt(transmit);
    for (uint32_t port = 0; port < kPorts; ++port) {
      fakes_[port]->pairs = pairs[port];
    }
    state_.Update([&](SavedState& state) {
      state.set_active_pairs(lanes);
      if (!method.empty()) {
        state.mutable_resize()->set_method(method);
        state.mutable_resize()->set_from(from);
        state.mutable_resize()->set_to(to);
        state.mutable_resize()->set_held_before(10);
      }
    });
    log_.clear();
  }
};

TEST_F(TakeoverTest, NothingIsPlacedAgainWhenNothingIsWrong) {
  Leave(2, {2, 2}, 2);
  ASSERT_TRUE(resizer_->TakeOver().ok());
  ExpectPairs(2);
  EXPECT_THAT(log_,
              ElementsAre("dataplane: hold 0,1,64", "dataplane: transmit by 2, probing", "dataplane: release after "));
  resizer_->ReportInterrupted();
  EXPECT_FALSE(resizer_->last_resize().has_value());
}

TEST_F(TakeoverTest, LanesFollowTheDevices) {
  Leave(4, {2, 4}, 4, "channels", 4, 2);
  ASSERT_TRUE(resizer_->TakeOver().ok());
  ExpectPairs(2);
  EXPECT_THAT(Where({"dataplane: transmit", "dataplane: remove", "eth1: pairs"}),
              ElementsAre("dataplane: transmit by 2, probing", "dataplane: remove lane 3", "dataplane: remove lane 2",
                          "eth1: pairs 2", "dataplane: transmit by 2, probing"));
  resizer_->ReportInterrupted();
  EXPECT_EQ(Last().lever, Lever::kChannels);
  EXPECT_EQ(Last().outcome.state, ResizeOutcome::State::kDone);
  EXPECT_THAT(std::string(Last().outcome.error.message()), HasSubstr("the agent died"));
  EXPECT_FALSE(state_.state().has_resize()) << "the interrupted resize is reported once";
}

TEST_F(TakeoverTest, MissingLanesAreOpened) {
  Leave(2, {3, 3}, 2, "channels", 2, 4);
  ASSERT_TRUE(resizer_->TakeOver().ok());
  ExpectPairs(3);
  resizer_->ReportInterrupted();
  EXPECT_EQ(Last().outcome.state, ResizeOutcome::State::kRollbackFailed)
      << "3 pairs are neither the 2 before nor the 4 wanted";
}

TEST_F(TakeoverTest, ABridgeLaneThatWasNotReadyIsMadeAgain) {
  Leave(2, {2, 2}, 2);
  ASSERT_TRUE(lanes_->Remove(kBridgeLane).ok());
  ASSERT_TRUE(resizer_->TakeOver().ok());
  ExpectPairs(2);
}

TEST_F(TakeoverTest, FewerPairsGetTrafficAfterTheSpreadLever) {
  for (FakePort* port : fakes_) {
    port->info().has_rss = true;
  }
  Leave(4, {4, 4}, 4);
  state_.Update([](SavedState& state) { state.set_active_pairs(3); });
  ASSERT_TRUE(resizer_->TakeOver().ok());
  EXPECT_EQ(resizer_->active_pairs(), 3U);
  EXPECT_EQ(resizer_->wanted_pairs(), 3U);
}

TEST_F(TakeoverTest, WithoutRssAllPairsGetTrafficWhateverTheStateSays) {
  Leave(4, {4, 4}, 4);
  state_.Update([](SavedState& state) { state.set_active_pairs(3); });
  ASSERT_TRUE(resizer_->TakeOver().ok());
  EXPECT_EQ(resizer_->active_pairs(), 4U);
}

TEST_F(TakeoverTest, AnInterruptedSpreadIsRestored) {
  for (FakePort* port : fakes_) {
    port->info().has_rss = true;
  }
  Leave(4, {4, 4}, 4, "spread", 3, 2);
  state_.Update([](SavedState& state) { state.set_active_pairs(3); });
  ASSERT_TRUE(resizer_->TakeOver().ok());
  EXPECT_EQ(resizer_->active_pairs(), 3U);
  EXPECT_EQ(fakes_[1]->spread_over, 3U) << "the table is written whatever the device had";
}

TEST_F(TakeoverTest, AMoveBetweenCoresIsAsTheDataplaneHasIt) {
  Leave(2, {2, 2}, 2, "cores", 2, 1);
  placement_->Adopt({1});
  ASSERT_TRUE(resizer_->TakeOver().ok());
  EXPECT_EQ(placement_->workers(), 1U);
  resizer_->ReportInterrupted();
  EXPECT_EQ(Last().lever, Lever::kCores);
  EXPECT_EQ(Last().outcome.state, ResizeOutcome::State::kDone);
}

TEST_F(TakeoverTest, AReportCountsFromTheStartOfTheResize) {
  Leave(2, {2, 2}, 2, "channels", 2, 4);
  stats_->lanes[0].fence_held.Add(12);
  ASSERT_TRUE(resizer_->TakeOver().ok());
  resizer_->ReportInterrupted();
  EXPECT_EQ(Last().costs.held, 2U);
  EXPECT_EQ(Last().costs.bridged, 0U);
  EXPECT_EQ(Last().outcome.blocked, absl::ZeroDuration());
}

TEST_F(TakeoverTest, ARepairThatFailsIsReported) {
  Leave(4, {2, 4}, 4);
  connection_.refused["remove lane 3"] = absl::InternalError("stuck");
  EXPECT_EQ(resizer_->TakeOver().message(), "stuck");
}

}  // namespace
}  // namespace sluice
