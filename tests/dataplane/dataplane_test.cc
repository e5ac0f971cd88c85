#include "dataplane/process/dataplane.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "dataplane/contract/self_test_frame.h"
#include "tests/dataplane/fake_agent.h"

namespace sluice {
namespace {

using dataplane::Request;

TEST_F(DataplaneTest, WantsToBeConfiguredOnceAndFirst) {
  EXPECT_EQ(Place(1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(dataplane_->hello().configured());
  EXPECT_EQ(Configure("nat").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Configure("forward").ok());
  EXPECT_EQ(Configure("forward").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(dataplane_->hello().configured());
  EXPECT_EQ(dataplane_->hello().configuration().function(), "forward");
  EXPECT_EQ(stats_->magic, kStatsMagic);
  EXPECT_FALSE(dataplane_->Execute(Request(), {}).ok());
}

TEST_F(DataplaneTest, RefusesAStatsSegmentThatIsNone) {
  ASSERT_EQ(ftruncate(stats_fd_.get(), 100), 0);
  EXPECT_EQ(Configure().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(ftruncate(stats_fd_.get(), sizeof(StatsSegment)), 0);
  const uint32_t magic = 0xdead;
  ASSERT_EQ(pwrite(stats_fd_.get(), &magic, sizeof(magic), 0), 4);
  EXPECT_EQ(Configure().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DataplaneTest, BeatsFromItsConfigurationOn) {
  EXPECT_EQ(dataplane_->tick_every(), absl::InfiniteDuration());
  const uint64_t stale = 4711;
  const auto place = reinterpret_cast<char*>(&stats_->workers[3].thread) - reinterpret_cast<char*>(stats_);
  ASSERT_EQ(pwrite(stats_fd_.get(), &stale, sizeof(stale), place), 8);
  ASSERT_EQ(stats_->workers[3].thread.Get(), stale);
  ASSERT_TRUE(Configure().ok());
  EXPECT_EQ(stats_->workers[3].thread.Get(), 0U) << "it was a predecessor's";
  EXPECT_EQ(dataplane_->tick_every(), absl::Milliseconds(kBeatEveryMs));
  const uint64_t before = stats_->control_beats.Get();
  dataplane_->Tick(SteadyTime::Now());
  EXPECT_EQ(stats_->control_beats.Get(), before + 1);
}

TEST_F(DataplaneTest, ALaneWorksFromAddToRemove) {
  Start(1);
  EXPECT_EQ(kernel_.entries.size(), kPorts);
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(socket(0, i % 2).Deliver(UdpPacket(1, i)));
  }
  EXPECT_TRUE(Remove(0).ok());
  EXPECT_TRUE(kernel_.entries.empty());
  EXPECT_EQ(kernel_.fences, 1);
  EXPECT_EQ(socket(0, 0).TakeSent().size() + socket(0, 1).TakeSent().size(), 100U);
  EXPECT_EQ(Balance::Of(*stats_).tx, 100U);
  EXPECT_TRUE(dataplane_->held_lanes().empty());
  EXPECT_EQ(Remove(0).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Add(*agent_lanes_[0]).ok()) << "a lane that was removed can be added again";
}

TEST_F(DataplaneTest, PresentAndFutureLanesQuarantineSentFrames) {
  Start(1);
  EXPECT_EQ(Quarantine(kPorts, 16).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(Quarantine(0, 16).ok());
  ASSERT_TRUE(Add(MakeLane(1), 1).ok());
  for (uint32_t lane : {0U, 1U}) {
    const uint64_t free_before = stats_->lanes[lane].free_frames.Get();
    for (uint64_t i = 0; i < 100; ++i) {
      ASSERT_TRUE(socket(lane, i % 2).Deliver(UdpPacket(1, i)));
    }
    ASSERT_TRUE(Settled(100 * (lane + 1)));
    EXPECT_EQ(stats_->lanes[lane].free_frames.Get(), free_before - 16) << "port 0 quarantines 16 frames, port 1 none";
  }
  ASSERT_TRUE(Quarantine(0, 0).ok());
}

TEST_F(DataplaneTest, ALaneCountsTheFramesOfASelfTestApart) {
  Start(1);
  const SelfTestToken token = {1, 2, 3, 4};
  Request expect;
  expect.mutable_expect_self_test()->set_token(token.data(), sizeof(token) - 1);
  EXPECT_EQ(dataplane_->Execute(expect, {}).code(), absl::StatusCode::kInvalidArgument);
  expect.mutable_expect_self_test()->set_token(token.data(), sizeof(token));
  expect.mutable_expect_self_test()->set_lane(5);
  EXPECT_EQ(dataplane_->Execute(expect, {}).code(), absl::StatusCode::kNotFound);
  expect.mutable_expect_self_test()->set_lane(0);
  ASSERT_TRUE(dataplane_->Execute(expect, {}).ok());
  const sluice_self_test_frame frame = MakeSelfTestFrame({2, 0, 0, 0, 0, 1}, token);
  ASSERT_TRUE(socket(0, 1).Deliver(std::string(reinterpret_cast<const char*>(&frame), sizeof(frame))));
  ASSERT_TRUE(socket(0, 1).Deliver(UdpPacket(1, 0)));
  ASSERT_TRUE(Settled(1));
  EXPECT_EQ(stats_->lanes[0].ports[1].self_test_packets.Get(), 1U);
  EXPECT_EQ(stats_->lanes[0].ports[1].rx_packets.Get(), 1U);
}

TEST_F(DataplaneTest, ALaneThatCannotBeAddedLeavesNoTrace) {
  Start(1);
  const auto entries = kernel_.entries;
  AgentLane& lane = MakeLane(1);
  kernel_.refused_keys = {11};  // the lane's key in the XSKMAP of its second port
  EXPECT_EQ(Add(lane).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(kernel_.entries, entries);
  EXPECT_EQ(dataplane_->held_lanes().size(), 1U);
  kernel_.refused_keys.clear();

  EXPECT_EQ(Add(lane, 7).code(), absl::StatusCode::kFailedPrecondition) << "no such worker";
  EXPECT_EQ(Add(*agent_lanes_[0]).code(), absl::StatusCode::kAlreadyExists);
  auto broken = [&](auto change) {
    const dataplane::LaneSpec good = lane.spec;
    change(lane.spec);
    const absl::Status status = Add(lane);
    lane.spec = good;
    return status.code();
  };
  using dataplane::LaneSpec;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.set_index(kMaxPairLanes); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.set_kind(dataplane::LANE_KIND_BRIDGE); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.set_kind(dataplane::LANE_KIND_UNSPECIFIED); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.set_frame_count(10); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.set_frame_count(1 << 20); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.set_frame_size_bytes(3000); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.mutable_sockets(1)->set_port(0); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.mutable_sockets(1)->set_port(2); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.mutable_sockets(1)->set_tx_size(0); }), kInvalid);
  EXPECT_EQ(broken([](LaneSpec& spec) { spec.mutable_sockets()->RemoveLast(); }), kInvalid);
  EXPECT_TRUE(Add(lane).ok());
}

TEST_F(DataplaneTest, SteeringIsTakenOutAndPutBackWithoutClosing) {
  Start(2);
  Request request;
  request.mutable_set_lane_steering()->set_index(1);
  ASSERT_TRUE(dataplane_->Execute(request, {}).ok());
  EXPECT_EQ(kernel_.entries.size(), kPorts);
  EXPECT_EQ(kernel_.fences, 1);
  request.mutable_set_lane_steering()->set_attached(true);
  ASSERT_TRUE(dataplane_->Execute(request, {}).ok());
  EXPECT_EQ(kernel_.entries.size(), 2 * kPorts);
  kernel_.rcu_error = absl::InternalError("no grace period");
  request.mutable_set_lane_steering()->set_attached(false);
  EXPECT_EQ(dataplane_->Execute(request, {}), kernel_.rcu_error);
  EXPECT_EQ(kernel_.entries.size(), 2 * kPorts) << "a request that fails has changed nothing";
  request.mutable_set_lane_steering()->set_index(5);
  EXPECT_FALSE(dataplane_->Execute(request, {}).ok());
}

TEST_F(DataplaneTest, ALaneThatIsNotBoundYetIsLetInLater) {
  ASSERT_TRUE(Configure().ok());
  ASSERT_TRUE(Place(1).ok());
  const AgentLane& lane = MakeLane(0);
  Request add;
  *add.mutable_add_lane()->mutable_lane() = lane.spec;
  add.mutable_add_lane()->set_unsteered(true);
  ASSERT_TRUE(dataplane_->Execute(add, Fds(lane)).ok());
  EXPECT_TRUE(kernel_.entries.empty());
  Request steer;
  steer.mutable_set_lane_steering()->set_index(0);
  steer.mutable_set_lane_steering()->set_attached(true);
  ASSERT_TRUE(dataplane_->Execute(steer, {}).ok());
  EXPECT_EQ(kernel_.entries.size(), kPorts);
}

TEST_F(DataplaneTest, TheBridgeLaneLeavesByThePairs) {
  Start(2);
  EXPECT_EQ(TransmitBy(0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TransmitBy(3).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Add(MakeLane(kBridgeLane, dataplane::LANE_KIND_BRIDGE)).ok());
  ASSERT_TRUE(TransmitBy(2).ok());
  for (uint64_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(socket(kBridgeLane, 1).Deliver(UdpPacket(i % 20, i)));
  }
  ASSERT_TRUE(Settled(200)) << Balance::Of(*stats_);
  ASSERT_TRUE(Remove(kBridgeLane).ok());
  size_t sent = 0;
  for (const uint32_t lane : {0U, 1U}) {
    const auto packets = socket(lane, 1).TakeSent();
    EXPECT_FALSE(packets.empty());
    ExpectOrder(packets);
    sent += packets.size();
  }
  EXPECT_EQ(sent, 200U);
  EXPECT_EQ(stats_->lanes[kBridgeLane].handoff_out.Get(), 200U);
}

TEST_F(DataplaneTest, ALaneWhoseDestinationIsGoneHasNoRoute) {
  Start(2);
  ASSERT_TRUE(TransmitBy(1).ok());
  ASSERT_TRUE(Remove(0).ok());
  ASSERT_TRUE(socket(1, 0).Deliver(UdpPacket(1, 1)));
  ASSERT_TRUE(Settled(1)) << Balance::Of(*stats_);
  ASSERT_TRUE(Add(*agent_lanes_[0]).ok());
  ASSERT_TRUE(socket(1, 0).Deliver(UdpPacket(1, 2)));
  ASSERT_TRUE(Remove(1).ok());
  // Lane 0's worker may not have sent the frame yet that lane 1 handed over.
  EXPECT_TRUE(Settled(2));
  EXPECT_EQ(Drops(stats_->lanes[1], 0, DropReason::kNoRoute), 1U);
  EXPECT_EQ(socket(0, 0).TakeSent().size(), 1U);
}

TEST_F(DataplaneTest, ADrainThatReachesItsBoundIsCounted) {
  Start(1);
  socket(0, 0).set_frames_per_wakeup(0);
  for (uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(1, i)));
  }
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(Remove(0, 50).ok());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(50));
  EXPECT_EQ(Drops(stats_->lanes[0], 0, DropReason::kLaneClosed), 10U);
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
}

TEST_F(DataplaneTest, ASuccessorTakesOverAndSettles) {
  Start(1);
  for (uint64_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(1, i)));
  }
  ASSERT_TRUE(Settled(50));
  // A crash leaves ten frames that were counted as received and are nowhere, and stale gauges.
  auto* writable = static_cast<StatsSegment*>(
      mmap(nullptr, sizeof(StatsSegment), PROT_READ | PROT_WRITE, MAP_SHARED, stats_fd_.get(), 0));
  dataplane_.reset();
  writable->lanes[0].ports[0].rx_packets.Add(10);
  writable->lanes[0].handoff_held.Set(4);
  writable->lanes[9].ports[0].held.Set(77);
  munmap(writable, sizeof(StatsSegment));

  dataplane_ = std::make_unique<Dataplane>(kernel_);
  ASSERT_TRUE(Configure().ok());
  ASSERT_TRUE(Place(1).ok());
  const auto entries = kernel_.entries;
  ASSERT_TRUE(Add(*agent_lanes_[0]).ok());
  EXPECT_EQ(kernel_.entries, entries);
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(Drops(stats_->lanes[0], 0, DropReason::kCrash), 10U);
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(Drops(stats_->lanes[0], 0, DropReason::kCrash), 10U);
  ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(1, 99)));
  EXPECT_TRUE(Settled(61));
}

TEST_F(DataplaneTest, EndsInTheMiddleOfHandoffs) {
  Start(2);
  ASSERT_TRUE(Add(MakeLane(kBridgeLane, dataplane::LANE_KIND_BRIDGE)).ok());
  ASSERT_TRUE(TransmitBy(1).ok());
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(socket(kBridgeLane, 0).Deliver(UdpPacket(1, i)));
    ASSERT_TRUE(socket(1, 0).Deliver(UdpPacket(1, i)));
  }
  dataplane_.reset();
  EXPECT_EQ(kernel_.entries.size(), 3 * kPorts) << "a successor goes on with these XSKMAP entries";
}

TEST_F(DataplaneTest, TellsANewAgentWhatItHolds) {
  Start(3);
  ASSERT_TRUE(TransmitBy(2).ok());
  ASSERT_TRUE(Place(2, {{2, 1}}).ok());
  EXPECT_EQ(Place(2, {{7, 1}}).code(), absl::StatusCode::kNotFound);
  const dataplane::Hello hello = dataplane_->hello();
  EXPECT_EQ(hello.contract_version(), dataplane::CONTRACT_VERSION_CURRENT);
  EXPECT_EQ(hello.cores_size(), 2);
  EXPECT_EQ(hello.transmit_lanes(), 2U);
  EXPECT_EQ(hello.held_lanes(), 3U);
  const std::vector<HeldLanes::Report> held = dataplane_->held_lanes();
  ASSERT_EQ(held.size(), 3U);
  EXPECT_EQ(held[2].message.lane().index(), 2U);
  EXPECT_EQ(held[2].message.worker(), 1U);
  EXPECT_EQ(held[2].fds.size(), 5U);
}

TEST_F(DataplaneTest, ShutdownLetsEverythingGo) {
  Start(3);
  ASSERT_TRUE(Add(MakeLane(kBridgeLane, dataplane::LANE_KIND_BRIDGE)).ok());
  ASSERT_TRUE(TransmitBy(2).ok());
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(socket(kBridgeLane, 0).Deliver(UdpPacket(i, i)));
    ASSERT_TRUE(socket(2, 0).Deliver(UdpPacket(i, i)));
  }
  Request request;
  request.mutable_shutdown()->set_drain_ms(2000);
  ASSERT_TRUE(dataplane_->Execute(request, {}).ok());
  EXPECT_TRUE(dataplane_->shut_down());
  EXPECT_TRUE(dataplane_->held_lanes().empty());
  EXPECT_TRUE(kernel_.entries.empty());
  EXPECT_EQ(Balance::Of(*stats_).tx, 200U);
}

}  // namespace
}  // namespace sluice
