#include "dataplane/lane/lane.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "dataplane/contract/self_test_frame.h"
#include "dataplane/functions/forward/forward.h"
#include "dataplane/functions/reflect/reflect.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

class LaneTest : public ::testing::Test {
 protected:
  Balance balance() const { return Balance::Of(*stats_); }

  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  LaneStats& lane_stats_ = stats_->lanes[0];
  functions::reflect::Reflect reflect_;
  functions::forward::Forward forward_;
};

TEST_F(LaneTest, CarriesAFrameFromPortToPortWithoutACopy) {
  FakeLane fake(2);
  auto lane = fake.Open(0, lane_stats_);
  ASSERT_TRUE(fake.sockets[0]->Deliver(UdpPacket(1, 7)));
  EXPECT_EQ(lane->Poll(forward_), 1U);
  EXPECT_EQ(fake.sockets[1]->TakeSent(), std::vector{UdpPacket(1, 7)});
  EXPECT_EQ(lane_stats_.ports[1].held.Get(), 1U);
  EXPECT_EQ(lane->Poll(forward_), 1U);  // the completion
  EXPECT_TRUE(lane->Quiescent());
  EXPECT_EQ(lane->Poll(forward_), 0U);
  EXPECT_EQ(lane_stats_.ports[0].rx_packets.Get(), 1U);
  EXPECT_EQ(lane_stats_.ports[0].rx_bytes.Get(), 64U);
  EXPECT_EQ(lane_stats_.ports[1].tx_packets.Get(), 1U);
  EXPECT_EQ(lane_stats_.ports[1].tx_bytes.Get(), 64U);
}

TEST_F(LaneTest, TakesOutTheFrameOfASelfTestAndCountsNoPacket) {
  FakeLane fake(1, 256);
  auto lane = fake.Open(0, lane_stats_);
  const auto test_frame = [](const SelfTestToken& token) {
    const sluice_self_test_frame frame = MakeSelfTestFrame({2, 0, 0, 0, 0, 1}, token);
    return std::string(reinterpret_cast<const char*>(&frame), sizeof(frame));
  };
  const SelfTestToken token = {1, 2, 3, 4}, other = {1, 2, 3, 5};
  lane->ExpectSelfTest(token);
  for (const std::string& frame :
       {UdpPacket(1, 0), test_frame(other), test_frame(token), UdpPacket(1, 1), test_frame(token)}) {
    ASSERT_TRUE(fake.sockets[0]->Deliver(frame));
  }
  EXPECT_EQ(lane->Poll(reflect_), 4U) << "one for each test";
  EXPECT_EQ(fake.sockets[0]->TakeSent().size(), 4U);
  EXPECT_EQ(lane_stats_.ports[0].self_test_packets.Get(), 1U);
  EXPECT_EQ(lane_stats_.ports[0].rx_packets.Get(), 4U);
  EXPECT_EQ(lane_stats_.ports[0].rx_bytes.Get(), 4U * 64);
  ASSERT_TRUE(fake.sockets[0]->Deliver(test_frame(token)));
  lane->Poll(reflect_);
  EXPECT_EQ(lane_stats_.ports[0].self_test_packets.Get(), 2U) << "a burst of its own";
  EXPECT_TRUE(lane->Quiescent());
  EXPECT_EQ(fake.umem.CountOwned(FrameOwner::kKernel), fake.sockets[0]->posted()) << "no frame is lost";
  lane->ExpectSelfTest(std::nullopt);
  ASSERT_TRUE(fake.sockets[0]->Deliver(test_frame(token)));
  EXPECT_EQ(lane->Poll(reflect_), 1U);
  EXPECT_EQ(lane_stats_.ports[0].self_test_packets.Get(), 2U);
  EXPECT_EQ(lane_stats_.ports[0].rx_packets.Get(), 5U) << "without a test it is a packet like any other";
  EXPECT_TRUE(balance().holds()) << balance();
}

TEST_F(LaneTest, QuarantinesSentFramesUntilEightMoreAreSent) {
  FakeLane fake(1, 256);
  auto lane = fake.Open(0, lane_stats_);
  lane->QuarantineSentFrames(0, 8);
  const auto send_and_complete = [&](uint64_t number) {
    ASSERT_TRUE(fake.sockets[0]->Deliver(UdpPacket(1, number)));
    EXPECT_EQ(lane->Poll(reflect_), 1U);
    EXPECT_EQ(fake.sockets[0]->TakeSent().size(), 1U);
    EXPECT_EQ(lane->Poll(reflect_), 1U);  // the completion
  };
  const uint64_t free_before = lane_stats_.free_frames.Get();
  for (uint64_t number = 0; number < 8; ++number) {
    send_and_complete(number);
    EXPECT_EQ(lane_stats_.free_frames.Get(), free_before - number - 1);
  }
  for (uint64_t number = 8; number < 1000; ++number) {
    send_and_complete(number);
    EXPECT_EQ(lane_stats_.free_frames.Get(), free_before - 8);
  }
  EXPECT_TRUE(lane->Quiescent()) << "frames in quarantine count as sent";
  lane->QuarantineSentFrames(0, 0);
  send_and_complete(1000);
  EXPECT_EQ(lane_stats_.free_frames.Get(), free_before) << "the quarantine has lost no frame";
}

TEST_F(LaneTest, StocksFillRingsEvenlyBeforeTheFirstRound) {
  FakeLane fake(2, 256);
  auto lane = fake.Open(0, lane_stats_);
  for (auto& socket : fake.sockets) {
    EXPECT_EQ(socket->posted(), 64U);
  }
  EXPECT_EQ(lane_stats_.free_frames.Get(), 128U);
  EXPECT_EQ(fake.umem.CountOwned(FrameOwner::kKernel), 128U);
}

TEST_F(LaneTest, AStuckPortDoesNotStarveTheOther) {
  FakeLane fake(2, 256, {.ring_size = 256});
  auto lane = fake.Open(0, lane_stats_);
  fake.sockets[1]->set_frames_per_wakeup(0);  // this device takes nothing any more
  for (uint64_t i = 0; i < 2000; ++i) {
    ASSERT_TRUE(fake.sockets[0]->Deliver(UdpPacket(1, i))) << i;
    ASSERT_TRUE(fake.sockets[1]->Deliver(UdpPacket(2, i))) << i;
    lane->Poll(forward_);
  }
  EXPECT_EQ(fake.sockets[0]->TakeSent().size(), 2000U);
  EXPECT_GT(Drops(lane_stats_, 0, DropReason::kTxRingFull), 0U)
      << "drops are counted at the port that the frame came in by";
  EXPECT_EQ(Drops(lane_stats_, 1, DropReason::kTxRingFull), 0U);
  EXPECT_TRUE(balance().holds()) << balance();
}

TEST_F(LaneTest, SendsThePrefixThatFitsAndCountsTheRest) {
  FakeLane fake(1, 512, {.ring_size = 64, .completes_at_once = false, .frames_per_wakeup = 0});
  auto lane = fake.Open(0, lane_stats_);
  for (uint64_t i = 0; i < 96; ++i) {
    if (i == 64) {
      lane->Poll(reflect_);
    }
    ASSERT_TRUE(fake.sockets[0]->Deliver(UdpPacket(1, i)));
  }
  lane->Poll(reflect_);
  EXPECT_EQ(Drops(lane_stats_, 0, DropReason::kTxRingFull), 32U);
  EXPECT_EQ(lane_stats_.ports[0].held.Get(), 64U);
  fake.sockets[0]->set_frames_per_wakeup(1000);
  lane->Poll(reflect_);
  const auto sent = fake.sockets[0]->TakeSent();
  ASSERT_EQ(sent.size(), 64U);
  ExpectOrder(sent);
  EXPECT_EQ(SequenceOf(sent.back()), 63U);
}

// A slow device takes fewer packets at once than wait behind a fence, or in a dead lane's rings.
class Backlog : public LaneTest, public ::testing::WithParamInterface<bool> {};

TEST_P(Backlog, IsNotDroppedForWantOfRoom) {
  FakeLane fake(1, 1024, {.ring_size = 256, .completes_at_once = false});
  auto lane = fake.Open(0, lane_stats_);
  uint64_t sequence = 0;
  const auto deliver = [&](uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      ASSERT_TRUE(fake.sockets[0]->Deliver(UdpPacket(1, sequence++))) << sequence;
    }
  };
  while (lane_stats_.ports[0].held.Get() < 256) {  // all that the transmit ring takes
    deliver(64);
    lane->Poll(reflect_);
  }
  ASSERT_EQ(Drops(lane_stats_, 0, DropReason::kTxRingFull), 0U);
  if (GetParam()) {
    lane.reset();  // as in a crash
  } else {
    lane->transit().HoldBack();
  }
  deliver(200);
  if (GetParam()) {
    lane = fake.Open(0, lane_stats_);
  } else {
    lane->Poll(reflect_);
    lane->transit().LetReceive(/*proven=*/true);
  }
  for (int round = 0; round < 100; ++round) {
    fake.sockets[0]->Complete(10);
    lane->Poll(reflect_);
  }
  EXPECT_EQ(Drops(lane_stats_, 0, DropReason::kTxRingFull), 0U);
  const auto sent = fake.sockets[0]->TakeSent();
  EXPECT_EQ(sent.size(), sequence);
  ExpectOrder(sent);
  EXPECT_TRUE(lane->Quiescent());
  EXPECT_TRUE(balance().holds()) << balance();
}
INSTANTIATE_TEST_SUITE_P(Lane, Backlog, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "OfADeadLane" : "BehindAFence"; });

TEST_F(LaneTest, WakesTheKernelAsLongAsItSendsSomething) {
  FakeLane fake(1, 512, {.ring_size = 64, .frames_per_wakeup = 20});
  auto lane = fake.Open(0, lane_stats_);
  for (uint64_t i = 0; i < 64; ++i) {
    ASSERT_TRUE(fake.sockets[0]->Deliver(UdpPacket(1, i)));
  }
  lane->Poll(reflect_);
  EXPECT_EQ(fake.sockets[0]->TakeSent().size(), 64U);
  EXPECT_EQ(lane_stats_.ports[0].tx_wakeups.Get(), 4U);
}

TEST_F(LaneTest, OwesAWakeUpForFramesThatTheKernelDidNotTake) {
  FakeLane fake(1, 512, {.frames_per_wakeup = 0});
  auto lane = fake.Open(0, lane_stats_);
  EXPECT_EQ(lane->SleepBound(), absl::InfiniteDuration());
  ASSERT_TRUE(fake.sockets[0]->Deliver(UdpPacket(1, 0)));
  lane->Poll(reflect_);
  EXPECT_EQ(lane_stats_.ports[0].tx_wakeups.Get(), 1U) << "one attempt per round, without spinning";
  EXPECT_EQ(lane->SleepBound(), absl::Milliseconds(1));
  fake.sockets[0]->options.completes_at_once = false;
  fake.sockets[0]->set_frames_per_wakeup(32);
  EXPECT_EQ(lane->Poll(reflect_), 0U);
  EXPECT_EQ(fake.sockets[0]->TakeSent().size(), 1U);
  EXPECT_EQ(lane->SleepBound(), absl::Milliseconds(10)) << "the frame is not completed yet";
  fake.sockets[0]->Complete(1);
  lane->Poll(reflect_);
  EXPECT_EQ(lane->SleepBound(), absl::InfiniteDuration());
}

TEST_F(LaneTest, WakesADriverThatAsksForItOnTheFillRing) {
  FakeLane fake(1);
  auto lane = fake.Open(0, lane_stats_);
  lane->Poll(reflect_);
  EXPECT_EQ(fake.sockets[0]->rx_wakeups, 0U);
  fake.sockets[0]->fill().set_needs_wakeup(true);
  lane->Poll(reflect_);
  EXPECT_EQ(fake.sockets[0]->rx_wakeups, 1U);
  EXPECT_EQ(lane_stats_.ports[0].rx_wakeups.Get(), 1U);
}

TEST_F(LaneTest, DropsAFrameThatHasNoPortToLeaveBy) {
  FakeLane fake(1);  // forward needs two ports
  auto lane = fake.Open(0, lane_stats_);
  ASSERT_TRUE(fake.sockets[0]->Deliver(UdpPacket(1, 0)));
  lane->Poll(forward_);
  EXPECT_EQ(Drops(lane_stats_, 0, DropReason::kNoRoute), 1U);
  EXPECT_TRUE(balance().holds()) << balance();
}

// Random traffic with short sends and late completions loses nothing from the accounts or the pool.
TEST_F(LaneTest, KeepsItsAccountsUnderRandomTraffic) {
  for (const uint32_t seed : {1U, 2U, 3U, 4U}) {
    SCOPED_TRACE(seed);
    stats_ = std::make_unique<StatsSegment>();
    std::mt19937 random(seed);
    FakeLane fake(2, 300, {.ring_size = 128, .completes_at_once = false});
    auto lane = fake.Open(0, stats_->lanes[0]);
    uint64_t delivered = 0;
    std::vector<std::string> sent[2];
    for (int round = 0; round < 5000; ++round) {
      for (const uint32_t port : {0U, 1U}) {
        FakeSocket& socket = *fake.sockets[port];
        for (uint32_t i = random() % 40; i > 0; --i) {
          delivered += socket.Deliver(UdpPacket(random() % 8, delivered)) ? 1 : 0;
        }
        socket.set_frames_per_wakeup(random() % 4 == 0 ? 0 : random() % 40);
        socket.Complete(random() % 50);
      }
      lane->Poll(forward_);
      for (const uint32_t port : {0U, 1U}) {
        auto some = fake.sockets[port]->TakeSent();
        sent[port].insert(sent[port].end(), some.begin(), some.end());
      }
      ASSERT_EQ(Balance::Of(*stats_).rx, delivered - fake.sockets[0]->rx().filled() - fake.sockets[1]->rx().filled());
      ASSERT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
    }
    for (int round = 0; round < 100; ++round) {
      for (auto& socket : fake.sockets) {
        socket->set_frames_per_wakeup(32);
        socket->Complete(100);
      }
      lane->Poll(forward_);
    }
    EXPECT_TRUE(lane->Quiescent());
    const Balance settled = Balance::Of(*stats_);
    EXPECT_EQ(settled.held, 0U);
    EXPECT_EQ(settled.rx, delivered);
    EXPECT_GT(settled.tx, 10000U);
    // Every frame is in the pool or posted, and its owner byte agrees.
    EXPECT_EQ(stats_->lanes[0].free_frames.Get() + fake.sockets[0]->posted() + fake.sockets[1]->posted(), 300U);
    EXPECT_EQ(fake.umem.CountOwned(FrameOwner::kUser), stats_->lanes[0].free_frames.Get());
    ExpectOrder(sent[0]);
    ExpectOrder(sent[1]);
  }
}

TEST_F(LaneTest, ASuccessorGoesOnWhereTheDeadOneStopped) {
  FakeLane fake(2, 256, {.ring_size = 64, .completes_at_once = false, .frames_per_wakeup = 10});
  auto lane = fake.Open(0, lane_stats_);
  for (uint64_t i = 0; i < 100; ++i) {
    if (i == 50) {
      lane->Poll(forward_);
    }
    fake.sockets[0]->Deliver(UdpPacket(1, i));
  }
  const uint64_t waiting = fake.sockets[0]->rx().filled();
  ASSERT_GT(waiting, 0U);
  const uint64_t held = lane_stats_.ports[1].held.Get();
  ASSERT_EQ(held, 50U);
  fake.sockets[1]->Complete(5);
  lane.reset();  // without CloseAccounts, as in a crash

  lane_stats_.ports[1].held.Set(12345);  // a successor must not trust the gauge
  lane = fake.Open(0, lane_stats_);
  EXPECT_EQ(lane_stats_.ports[1].held.Get(), held) << "five of them are on the completion ring";
  fake.sockets[1]->Complete(100);
  fake.sockets[1]->options.completes_at_once = true;
  for (int round = 0; round < 20; ++round) {
    lane->Poll(forward_);
  }
  const auto sent = fake.sockets[1]->TakeSent();
  EXPECT_EQ(sent.size(), 50 + waiting);
  ExpectOrder(sent);
  EXPECT_TRUE(lane->Quiescent());
  EXPECT_TRUE(balance().holds()) << balance();
  EXPECT_EQ(lane_stats_.free_frames.Get() + fake.sockets[0]->posted() + fake.sockets[1]->posted(), 256U);
}

TEST_F(LaneTest, ASuccessorsPoolFollowsTheOwnerBytes) {
  FakeLane fake(1, 256);
  for (const uint32_t frame : {0U, 17U, 255U}) {
    fake.umem.owner(frame) = static_cast<uint8_t>(FrameOwner::kKernel);  // stranded by a crash
  }
  auto lane = fake.Open(0, lane_stats_);
  EXPECT_EQ(lane_stats_.free_frames.Get() + fake.sockets[0]->posted(), 253U);
}

TEST_F(LaneTest, ClosesItsAccounts) {
  FakeLane fake(1, 256, {.frames_per_wakeup = 0});
  auto lane = fake.Open(0, lane_stats_);
  for (uint64_t i = 0; i < 10; ++i) {
    fake.sockets[0]->Deliver(UdpPacket(1, i));
  }
  lane->Poll(reflect_);
  for (uint64_t i = 0; i < 7; ++i) {
    fake.sockets[0]->Deliver(UdpPacket(1, i));
  }
  lane->CloseAccounts();
  EXPECT_EQ(Drops(lane_stats_, 0, DropReason::kLaneClosed), 17U);
  EXPECT_EQ(balance().held, 0U);
  EXPECT_EQ(balance().rx, 17U);
  EXPECT_TRUE(balance().holds()) << balance();
}

TEST(UmemTest, RefusesMemoryThatDoesNotFit) {
  FakeUmem memory(64);
  EXPECT_FALSE(Umem::Map(memory.fd.get(), {64, 1024}).ok());
  EXPECT_FALSE(Umem::Map(memory.fd.get(), {0, 2048}).ok());
  EXPECT_FALSE(Umem::Map(memory.fd.get(), {128, 2048}).ok());
  EXPECT_FALSE(Umem::Map(-1, {64, 2048}).ok());
  EXPECT_TRUE(Umem::Map(memory.fd.get(), {64, 2048}).ok());
}

}  // namespace
}  // namespace sluice
