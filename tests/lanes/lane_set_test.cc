#include "control/lanes/lane_set.h"

#include <string>
#include <vector>

#include "dataplane/base/steady_time.h"
#include "tests/lanes/lanes_fixture.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LaneSetTest : public LanesTest {
 protected:
  static SurvivingLane Held(uint32_t index) {
    SurvivingLane held;
    held.spec.set_index(index);
    held.spec.set_kind(index == kBridgeLane ? dataplane::LANE_KIND_BRIDGE : dataplane::LANE_KIND_PAIR);
    held.fds.emplace_back(memfd_create("umem", MFD_CLOEXEC));
    for (uint32_t port = 0; port < kPorts; ++port) {
      held.spec.add_sockets()->set_port(port);
      held.fds.emplace_back(memfd_create("socket", MFD_CLOEXEC));
      held.fds.emplace_back(memfd_create("map", MFD_CLOEXEC));
    }
    return held;
  }
};

TEST_F(LaneSetTest, ALaneIsMadeGivenAwayBoundAndLetIn) {
  ASSERT_TRUE(lanes_->Open(0, 1, SteadyTime::InfiniteFuture()).ok());
  EXPECT_THAT(log_, ElementsAre("kernel: make sluice-lane-0", "dataplane: add lane 0 unsteered with 5 fds",
                                "kernel: bind eth0/0", "eth0: credit base 0", "eth1: credit base 0",
                                "dataplane: steer lane 0"));
  const LaneEntry& lane = *lanes_->Find(0);
  EXPECT_TRUE(lanes_->IsBound(lane));
  EXPECT_EQ(lane.sockets.layout.frame_count, kPorts * 4096)
      << "enough frames for the fill and transmit rings of every port";
  EXPECT_EQ(lane.spec.sockets(1).xskmap_key(), 0U);
}

TEST_F(LaneSetTest, LanesOpenBehindAFenceWhileTheBridgeHasTheirPackets) {
  StartLanes(1);
  ASSERT_TRUE(lanes_->Open(1, 3, SteadyTime::InfiniteFuture()).ok());
  EXPECT_THAT(std::vector<std::string>(log_.end() - 4, log_.end()),
              ElementsAre("dataplane: hold 1,2", "dataplane: steer lane 1", "dataplane: steer lane 2",
                          "dataplane: release after 64"));
  EXPECT_EQ(lanes_->pair_lanes(), 3U);
  EXPECT_THAT(lanes_->All(), ElementsAre(0, 1, 2, kBridgeLane));
  EXPECT_THAT(lanes_->Pairs(1), ElementsAre(1, 2));
}

TEST_F(LaneSetTest, TheBridgeLaneHasTheFarEnds) {
  ASSERT_TRUE(lanes_->OpenBridge().ok());
  EXPECT_THAT(log_, ElementsAre("kernel: make sluice-bridge", "dataplane: add lane 64 unsteered with 5 fds",
                                "eth0: bridge socket", "eth1: bridge socket", "kernel: bind far0/0",
                                "dataplane: steer lane 64"))
      << "the bridge lane has no credit: its frames come from clsact";
  EXPECT_EQ(lanes_->pair_lanes(), 0U);
}

TEST_F(LaneSetTest, NothingIsSentToTheKernelByASocketThatThePortsDoNotKnow) {
  fakes_[1]->refused = {"bridge socket"};
  EXPECT_EQ(lanes_->OpenBridge().message(), "eth1 refuses bridge socket");
  EXPECT_THAT(Logged("bind"), IsEmpty());
}

TEST_F(LaneSetTest, AllAreMadeOrNone) {
  StartLanes(1);
  kernel_.refuses_to_make = "sluice-lane-3";
  EXPECT_THAT(std::string(lanes_->Make(1, 4).message()), HasSubstr("no memory for sluice-lane-3"));
  EXPECT_THAT(lanes_->Pairs(), ElementsAre(0));
  EXPECT_THAT(connection_.lanes, SizeIs(2)) << "lane 0 and the bridge lane";

  kernel_.refuses_to_make.clear();
  ASSERT_TRUE(lanes_->Make(1, 4).ok());
  kernel_.refuses_to_bind = "eth0/2";
  EXPECT_THAT(std::string(lanes_->Bind(1, 4, SteadyTime::InfiniteFuture()).message()), HasSubstr("eth0/2 is taken"));
  EXPECT_THAT(lanes_->Pairs(), ElementsAre(0));
  EXPECT_THAT(connection_.lanes, SizeIs(2));
}

TEST_F(LaneSetTest, WithoutADataplaneLanesAreMadeAndBoundForItsSuccessor) {
  StartLanes(1);
  Die();
  ASSERT_TRUE(lanes_->Open(1, 2, SteadyTime::InfiniteFuture()).ok());
  EXPECT_THAT(Logged("lane 1"), IsEmpty());
  EXPECT_TRUE(lanes_->IsBound(*lanes_->Find(1)));
  connection_.alive = true;
  dataplane_.SetUp();
  log_.clear();
  EXPECT_TRUE(lanes_->HandOverPairs().ok());
  EXPECT_TRUE(lanes_->HandOverBridge().ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: add lane 0 with 5 fds", "dataplane: add lane 1 with 5 fds",
                                "dataplane: add lane 64 with 5 fds"))
      << "the sockets are bound already, so the lanes are steered at once";
}

TEST_F(LaneSetTest, ALaneThatTheDataplaneDoesNotLetGoStays) {
  StartLanes(2);
  connection_.refused["remove lane 1"] = absl::InternalError("stuck");
  EXPECT_EQ(lanes_->Remove(1).message(), "stuck");
  EXPECT_NE(lanes_->Find(1), nullptr);
  connection_.refused.clear();
  EXPECT_TRUE(lanes_->Remove(1).ok());
  EXPECT_TRUE(lanes_->Remove(1).ok()) << "the lane is gone already";
  EXPECT_EQ(lanes_->Find(1), nullptr);
}

TEST_F(LaneSetTest, DropsOfClosedSocketsStillCount) {
  StartLanes(2);
  kernel_.drops_of_each = {.rx_dropped = 1, .rx_ring_full = 20, .rx_invalid = 300, .tx_invalid = 4000};
  EXPECT_EQ(lanes_->Drops(1, 0).Sum(), 4321U);
  ASSERT_TRUE(lanes_->Remove(1).ok());
  EXPECT_EQ(lanes_->Drops(1, 0).Sum(), 4321U);
  ASSERT_TRUE(lanes_->Open(1, 2, SteadyTime::InfiniteFuture()).ok());
  kernel_.drops_of_each = {.rx_ring_full = 7};
  const KernelDrops drops = lanes_->Drops(1, 0);
  EXPECT_EQ(drops.rx_ring_full, 27U);
  EXPECT_EQ(drops.tx_invalid, 4000U);
  lanes_->Clear();
  EXPECT_THAT(lanes_->All(), IsEmpty());
  EXPECT_EQ(lanes_->Drops(1, 0).rx_ring_full, 27U);
  EXPECT_EQ(lanes_->Drops(1, 3).Sum(), 0U) << "there is no such port";
}

TEST_F(LaneSetTest, AutoTakesZeroCopyWhereItIsGood) {
  SetMode(ModeSetting::kAuto);
  kernel_.has_zero_copy = true;
  ASSERT_TRUE(lanes_->Open(0, 2, SteadyTime::InfiniteFuture()).ok());
  EXPECT_TRUE(lanes_->zero_copy());
  EXPECT_THAT(Logged("make"), SizeIs(2));
}

TEST_F(LaneSetTest, AutoCopiesWherePortsDisagree) {
  SetMode(ModeSetting::kAuto);
  kernel_.has_zero_copy = kernel_.ports_disagree = true;
  ASSERT_TRUE(lanes_->Open(0, 2, SteadyTime::InfiniteFuture()).ok());
  EXPECT_FALSE(lanes_->zero_copy());
  EXPECT_THAT(Logged("bind"), ElementsAre("kernel: bind eth0/0 auto", "kernel: bind eth0/0", "kernel: bind eth0/1"))
      << "the first lane decides the mode of all";
  EXPECT_THAT(Logged("credit base 0"), SizeIs(kPorts));
  for (const uint32_t lane : lanes_->Pairs()) {
    EXPECT_THAT(lanes_->Find(lane)->sockets.mode_reason, HasSubstr("they share one mode"));
  }
}

TEST_F(LaneSetTest, AutoCopiesWhereHeadersGoAstray) {
  SetMode(ModeSetting::kAuto);
  kernel_.has_zero_copy = true;
  fakes_[1]->info().sends_stray_zero_copy_headers = true;
  ASSERT_TRUE(lanes_->Open(0, 1, SteadyTime::InfiniteFuture()).ok());
  EXPECT_FALSE(lanes_->zero_copy());
  EXPECT_THAT(lanes_->Find(0)->sockets.mode_reason, HasSubstr("eth1"));
}

TEST_F(LaneSetTest, SocketsAreToldOfGenericXdp) {
  fakes_[1]->native = false;
  ASSERT_TRUE(lanes_->Open(0, 1, SteadyTime::InfiniteFuture()).ok());
  EXPECT_THAT(Logged("bind"), ElementsAre("kernel: bind eth0/0 skb"));
}

TEST_F(LaneSetTest, NewLanesGetTheModeOfAdoptedLanes) {
  SetMode(ModeSetting::kAuto);
  kernel_.has_zero_copy = true;
  ASSERT_TRUE(lanes_->Adopt(Held(0)).ok());
  ASSERT_TRUE(lanes_->Adopt(Held(kBridgeLane)).ok());
  lanes_->KeepModeOfAdopted();
  ASSERT_TRUE(lanes_->Make(1, 2).ok());
  ASSERT_TRUE(lanes_->Bind(1, 2, SteadyTime::InfiniteFuture()).ok());
  EXPECT_FALSE(lanes_->zero_copy());
  EXPECT_THAT(lanes_->Find(1)->sockets.mode_reason, HasSubstr("as they did before the agent restarted"));
}

TEST_F(LaneSetTest, RefusesToAdoptALaneTwiceOrOutOfRange) {
  ASSERT_TRUE(lanes_->Adopt(Held(2)).ok());
  EXPECT_TRUE(absl::IsDataLoss(lanes_->Adopt(Held(2))));
  EXPECT_TRUE(absl::IsDataLoss(lanes_->Adopt(Held(kMaxLanes))));
  EXPECT_FALSE(lanes_->IsBound(*lanes_->Find(2)));
}

TEST_F(LaneSetTest, SharesCreditAndQuarantinesFrames) {
  fakes_[1]->unread = 256;
  EXPECT_TRUE(lanes_->ShareCredit().ok());
  EXPECT_TRUE(lanes_->QuarantineSentFrames().ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: share credit with 2 fds", "dataplane: quarantine 256 on port 1"));
}

TEST(KernelDrops, AreNamedOneByOne) {
  KernelDrops drops;
  uint64_t count = 1;
  for (const KernelDropCounter& counter : kKernelDropCounters) {
    EXPECT_THAT(std::string(counter.name), HasSubstr("kernel_"));
    EXPECT_EQ(drops.*counter.count, 0U) << counter.name << " is listed twice";
    drops.*counter.count = count++;
  }
  EXPECT_THAT(drops, AllOf(testing::Field(&KernelDrops::rx_dropped, 1U), testing::Field(&KernelDrops::tx_invalid, 4U)));
  drops += drops;
  EXPECT_EQ(drops.Sum(), 20U);
}

}  // namespace
}  // namespace sluice
