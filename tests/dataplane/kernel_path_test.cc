#include "dataplane/lane/kernel_path.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/process/handoff_fabric.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

class Function final : public NetworkFunction {
 public:
  explicit Function(std::function<Verdict(const Frame&)> decide) : decide_(std::move(decide)) {}
  void Process(LaneContext& /*lane*/, Burst& burst) override {
    for (Frame& frame : burst) {
      frame.verdict = decide_(frame);
    }
  }

 private:
  std::function<Verdict(const Frame&)> decide_;
};

Verdict ToKernel(const Frame&) {
  return Verdict::ToKernel();
}
// Gives packets of even flows to the kernel and sends those of odd flows back.
Verdict EvenToKernel(const Frame& frame) {
  return FlowOf({reinterpret_cast<const char*>(frame.data), frame.length_bytes}) % 2 == 0
             ? Verdict::ToKernel()
             : Verdict::Transmit(frame.in_port);
}

// Two pair lanes and the bridge lane, with two ports. Only the test polls them.
class KernelPathTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kPairs = 2;
  static constexpr uint32_t kPorts = 2;

  void Open(uint32_t index, const FakeSocketOptions& options = {.ring_size = 1024}, uint32_t frames = 4096) {
    fakes_[index] = std::make_unique<FakeLane>(kPorts, frames, options);
    lanes_[index] = fakes_[index]->Open(index, stats_->lanes[index]);
  }
  void OpenAll(const FakeSocketOptions& of_bridge = {.ring_size = 1024}) {
    for (uint32_t index = 0; index < kPairs; ++index) {
      Open(index);
    }
    Open(kBridgeLane, of_bridge);
    Connect();
  }
  void Connect(const TransmitLanes& by = {}) {
    std::vector<Lane*> all;
    for (auto& [index, lane] : lanes_) {
      all.push_back(lane.get());
    }
    fabric_.Connect(all, by);
  }
  FakeSocket& socket(uint32_t lane, uint32_t port) { return *fakes_[lane]->sockets[port]; }
  uint32_t Poll(uint32_t lane, Function& function) { return lanes_[lane]->Poll(function); }
  void PollAll(Function& function) {
    for (int round = 0; round < 3; ++round) {
      for (auto& [index, lane] : lanes_) {
        lane->Poll(function);
      }
    }
  }
  uint64_t Passed(uint32_t port) { return stats_->lanes[kBridgeLane].ports[port].passed.Get(); }

  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  Function to_kernel_{ToKernel};
  Function even_to_kernel_{EvenToKernel};
  WorkerPool worker_pool_{Polling::kInterrupt, to_kernel_, *stats_};
  HandoffFabric fabric_{worker_pool_};
  std::map<uint32_t, std::unique_ptr<FakeLane>> fakes_;
  std::map<uint32_t, std::unique_ptr<Lane>> lanes_;
};

TEST_F(KernelPathTest, AFrameLeavesByTheFarEndOfThePortItCameIn) {
  OpenAll();
  ASSERT_TRUE(socket(0, 1).Deliver(UdpPacket(4, 42)));
  EXPECT_GT(Poll(0, to_kernel_), 0U);
  EXPECT_EQ(stats_->lanes[0].to_kernel_held.Get(), 1U);
  EXPECT_FALSE(lanes_[0]->Quiescent());
  EXPECT_LT(lanes_[0]->SleepBound(), absl::Seconds(1)) << "nothing wakes the lane once the frame has been copied";
  EXPECT_TRUE(lanes_[kBridgeLane]->HasNews());
  EXPECT_FALSE(lanes_[kBridgeLane]->Quiescent());
  EXPECT_TRUE(lanes_[kBridgeLane]->transit().empty()) << "a fence does not wait for frames that go to the kernel";
  EXPECT_GT(Poll(kBridgeLane, to_kernel_), 0U);
  EXPECT_EQ(socket(kBridgeLane, 1).TakeSent(), std::vector<std::string>{UdpPacket(4, 42)});
  PollAll(to_kernel_);
  EXPECT_EQ(Passed(1), 1U);
  EXPECT_EQ(Passed(0), 0U);
  EXPECT_EQ(stats_->lanes[0].handoff_out.Get(), 1U);
  EXPECT_EQ(stats_->lanes[kBridgeLane].ports[1].handoff_in.Get(), 1U);
  const Balance balance = Balance::Of(*stats_);
  EXPECT_EQ(balance.tx, 0U) << "the frame is passed, not transmitted";
  EXPECT_TRUE(balance.holds() && balance.held == 0) << balance;
  EXPECT_TRUE(lanes_[0]->Quiescent() && lanes_[kBridgeLane]->Quiescent());
  EXPECT_EQ(stats_->lanes[0].free_frames.Get() + socket(0, 0).posted() + socket(0, 1).posted(), 4096U);
}

TEST_F(KernelPathTest, EachLanesFramesKeepTheirOrder) {
  OpenAll();
  for (uint64_t i = 0; i < 200; ++i) {
    for (uint32_t lane = 0; lane < kPairs; ++lane) {
      ASSERT_TRUE(socket(lane, 0).Deliver(UdpPacket(lane, i)));
    }
  }
  for (int round = 0; round < 4; ++round) {
    PollAll(to_kernel_);
  }
  const std::vector<std::string> sent = socket(kBridgeLane, 0).TakeSent();
  EXPECT_EQ(sent.size(), 400U);
  ExpectOrder(sent);
  EXPECT_EQ(Passed(0), 400U);
  EXPECT_TRUE(Balance::Of(*stats_).holds());
}

TEST_F(KernelPathTest, OtherFramesOfTheBurstAreTransmitted) {
  OpenAll();
  for (uint64_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(i % 2, i)));
  }
  PollAll(even_to_kernel_);
  EXPECT_EQ(socket(0, 0).TakeSent().size(), 10U);
  EXPECT_EQ(socket(kBridgeLane, 0).TakeSent().size(), 10U);
  EXPECT_EQ(Balance::Of(*stats_).tx, 10U);
  EXPECT_EQ(Passed(0), 10U);
}

TEST_F(KernelPathTest, GoesOnWhileFramesLeaveByOtherLanes) {
  OpenAll();
  Connect({.count = 1});
  for (uint64_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(socket(1, 0).Deliver(UdpPacket(i % 2, i)));
  }
  PollAll(even_to_kernel_);
  EXPECT_EQ(socket(0, 0).TakeSent().size(), 10U) << "lane 1's frames leave by lane 0";
  EXPECT_EQ(Passed(0), 10U);
  EXPECT_TRUE(Balance::Of(*stats_).holds());
}

// Frames that came over the bridge are in the bridge lane already, so nothing is handed off.
TEST_F(KernelPathTest, TheBridgeLanesOwnFramesTakeTheShortWay) {
  OpenAll();
  ASSERT_TRUE(socket(kBridgeLane, 1).Deliver(UdpPacket(4, 42)));
  PollAll(to_kernel_);
  EXPECT_EQ(socket(kBridgeLane, 1).TakeSent().size(), 1U);
  EXPECT_EQ(Passed(1), 1U);
  EXPECT_EQ(stats_->lanes[kBridgeLane].handoff_out.Get(), 0U);
}

// Every frame that leaves by a far end enters the guest's stack.
TEST_F(KernelPathTest, NothingElseLeavesByTheFarEnds) {
  OpenAll();
  Function reflect([](const Frame& frame) { return Verdict::Transmit(frame.in_port); });
  ASSERT_TRUE(socket(kBridgeLane, 0).Deliver(UdpPacket(1, 1)));
  PollAll(reflect);
  EXPECT_TRUE(socket(kBridgeLane, 0).TakeSent().empty());
  EXPECT_EQ(Drops(stats_->lanes[kBridgeLane], 0, DropReason::kNoRoute), 1U);
  Connect({.count = 2});
  ASSERT_TRUE(socket(kBridgeLane, 0).Deliver(UdpPacket(1, 2)));
  PollAll(reflect);
  EXPECT_TRUE(socket(kBridgeLane, 0).TakeSent().empty());
  EXPECT_EQ(Balance::Of(*stats_).tx, 1U) << "a pair lane sends it";
}

TEST_F(KernelPathTest, AFullRingDropsWithItsOwnReasonAndBlocksNoOtherFrame) {
  OpenAll();
  // The bridge lane is not polled.
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(0, i)));
    Poll(0, even_to_kernel_);
  }
  EXPECT_EQ(Drops(stats_->lanes[0], 0, DropReason::kToKernelFull), 1000U - kHandoffFrames);
  EXPECT_EQ(stats_->lanes[0].to_kernel_held.Get(), kHandoffFrames);
  EXPECT_TRUE(lanes_[0]->MayReceive());
  ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(1, 0)));
  Poll(0, even_to_kernel_);
  EXPECT_EQ(socket(0, 0).TakeSent().size(), 1U);
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
  for (int round = 0; round < 4; ++round) {
    PollAll(to_kernel_);
  }
  EXPECT_EQ(Passed(0), kHandoffFrames);
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
}

TEST_F(KernelPathTest, AFarEndThatTakesNothingDropsWithThatReasonToo) {
  OpenAll({.ring_size = 64, .completes_at_once = false, .frames_per_wakeup = 0});
  for (uint64_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(0, i)));
    PollAll(to_kernel_);
  }
  EXPECT_EQ(Drops(stats_->lanes[kBridgeLane], 0, DropReason::kToKernelFull), 200U - 64U);
  EXPECT_EQ(stats_->lanes[kBridgeLane].ports[0].held.Get(), 64U);
  ASSERT_TRUE(socket(0, 1).Deliver(UdpPacket(0, 0)));
  PollAll(to_kernel_);
  EXPECT_EQ(stats_->lanes[kBridgeLane].ports[1].held.Get(), 1U) << "the other port's far end has room";
  EXPECT_TRUE(lanes_[kBridgeLane]->MayReceive());
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
}

TEST_F(KernelPathTest, WithoutABridgeThereIsNoRoute) {
  Open(0);
  Connect();
  ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(0, 1)));
  PollAll(to_kernel_);
  EXPECT_EQ(Drops(stats_->lanes[0], 0, DropReason::kNoRoute), 1U);
}

TEST_F(KernelPathTest, ALaneThatGoesGetsItsFramesBack) {
  OpenAll();
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(0, i)));
  }
  Poll(0, to_kernel_);
  EXPECT_EQ(stats_->lanes[0].to_kernel_held.Get(), 64U);
  fabric_.Disconnect(*lanes_[0], *lanes_[kBridgeLane]);
  EXPECT_EQ(stats_->lanes[0].to_kernel_held.Get(), 0U);
  EXPECT_EQ(socket(kBridgeLane, 0).TakeSent().size(), 64U);
  Poll(0, to_kernel_);
  EXPECT_EQ(Drops(stats_->lanes[0], 0, DropReason::kNoRoute), 36U);
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
  Connect();
  ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(0, 100)));
  PollAll(to_kernel_);
  EXPECT_EQ(Passed(0), 65U) << "the lane can be connected again";
}

TEST_F(KernelPathTest, ALaneOfLargerFramesLosesThoseThatDoNotFit) {
  OpenAll();
  HandoffRing ring;
  const std::string packet = UdpPacket(0, 1);
  ring.Push({reinterpret_cast<const uint8_t*>(packet.data()), 0, 2049, /*flow_hash=*/0, 1, 1});
  ring.Publish();
  lanes_[kBridgeLane]->kernel_path().inbox().Attach(0, &ring);
  EXPECT_EQ(lanes_[kBridgeLane]->kernel_path().AcceptFrom(0), 1U);
  EXPECT_EQ(Drops(stats_->lanes[kBridgeLane], 1, DropReason::kNoFrame), 1U);
  EXPECT_TRUE(socket(kBridgeLane, 1).TakeSent().empty());
}

}  // namespace
}  // namespace sluice
