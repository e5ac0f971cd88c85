#include "dataplane/lane/lane_services.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

int64_t clock_ns = 0;

// A function that holds the frames it gets. When it expires, it releases them and originates frames.
class Keeper final : public NetworkFunction {
 public:
  struct Part final : LanePart {
    std::vector<HeldFrame> held;
  };

  std::unique_ptr<LanePart> MakeLanePart(uint32_t /*lane*/) override { return std::make_unique<Part>(); }

  void Process(LaneContext& lane, Burst& burst) override {
    for (Frame& frame : burst) {
      const std::optional<HeldFrame> held = holds_ ? lane.Hold(burst, frame) : std::nullopt;
      frame.verdict = held.has_value() ? Verdict::Hold() : otherwise_;
      if (held.has_value()) {
        lane.part<Part>().held.push_back(*held);
      }
    }
  }

  int64_t Expire(LaneContext& lane, uint32_t budget) override {
    EXPECT_GT(budget, 0U);
    ++expired_;
    seen_ns_ = lane.now_ns();
    std::vector<HeldFrame>& held = lane.part<Part>().held;
    for (const HeldFrame& one : held) {
      lane.Held(one).data[kSourcePortOffset] ^= rewrite_;
    }
    while (!held.empty() && lane.Release(held.front(), release_)) {
      held.erase(held.begin());
    }
    for (; originates_ > 0; --originates_) {
      Frame* frame = lane.Originate(0, kOwnBytes);
      if (frame == nullptr) {
        ++refused_;
        continue;
      }
      std::memset(frame->data, 'o', kOwnBytes);
    }
    lane.counter(3).Add(1);
    return again_ ? clock_ns + kAgainNs : kNever;
  }

  static constexpr uint32_t kSourcePortOffset = 35;  // of UDP over IPv4, the low byte
  static constexpr uint32_t kOwnBytes = 60;
  static constexpr int64_t kAgainNs = 5'000'000'000;

  bool holds_ = true;
  Verdict otherwise_ = Verdict::DropFor(1);
  uint8_t rewrite_ = 0;  // of the source port, when it releases
  Verdict release_ = Verdict::Transmit(0);
  uint32_t originates_ = 0;
  uint32_t refused_ = 0;
  uint32_t expired_ = 0;
  int64_t seen_ns_ = 0;
  bool again_ = true;
};

class LaneServicesTest : public ::testing::Test {
 protected:
  LaneServicesTest() {
    clock_ns = 1'000'000;
    lane_->PrepareFor(keeper_);
    Poll();
    EXPECT_EQ(keeper_.expired_, 1U) << "a fresh lane expires at once";
  }

  void Deliver(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      ASSERT_TRUE(fake_.sockets[0]->Deliver(UdpPacket(1, sequence_++)));
    }
  }
  // Polls once and expects the accounting law to hold.
  void Poll() {
    lane_->Poll(keeper_);
    EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
  }
  void PollWhenDue() {
    clock_ns += Keeper::kAgainNs;
    Poll();
  }
  uint64_t Dropped(uint32_t index) const { return stats_->lanes[0].ports[0].drops[index].Get(); }
  uint64_t held() const { return stats_->lanes[0].function_held.Get(); }

  FakeLane fake_{1, 1024, {.ring_size = 512}};
  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  Keeper keeper_;
  std::unique_ptr<Lane> lane_ = fake_.Open(0, stats_->lanes[0], [] { return clock_ns; });
  uint64_t sequence_ = 0;
};

TEST_F(LaneServicesTest, AHeldFrameLeavesWhenItIsReleased) {
  Deliver(1);
  Poll();
  EXPECT_EQ(held(), 1U);
  EXPECT_TRUE(fake_.sockets[0]->TakeSent().empty());
  PollWhenDue();
  EXPECT_EQ(fake_.sockets[0]->TakeSent(), std::vector{UdpPacket(1, 0)});
  EXPECT_EQ(held(), 0U);
}

TEST_F(LaneServicesTest, ReleasedFramesLeaveInOrderAndAheadOfTheBurst) {
  Deliver(2);
  Poll();
  keeper_.holds_ = false;
  keeper_.otherwise_ = Verdict::Transmit(0);
  Deliver(1);
  PollWhenDue();
  EXPECT_EQ(fake_.sockets[0]->TakeSent(), (std::vector{UdpPacket(1, 0), UdpPacket(1, 1), UdpPacket(1, 2)}));
}

TEST_F(LaneServicesTest, AReleasedFrameMayBeDroppedForAReasonOfTheFunction) {
  keeper_.release_ = Verdict::DropFor(2);
  Deliver(3);
  Poll();
  PollWhenDue();
  EXPECT_EQ(Dropped(kDropReasons + 2), 3U);
  EXPECT_TRUE(fake_.sockets[0]->TakeSent().empty());
}

TEST_F(LaneServicesTest, NoMoreThanTheBoundIsHeld) {
  constexpr uint32_t kMost = LaneServices::kMaxHeldFrames;
  for (uint32_t i = 0; i < kMost + 5; ++i) {
    Deliver(1);
    Poll();
  }
  EXPECT_EQ(held(), kMost);
  EXPECT_EQ(Dropped(kDropReasons + 1), 5U);
  // One burst is released in each round.
  for (uint32_t left = kMost; left > 0; left -= kBurstFrames) {
    EXPECT_EQ(held(), left);
    PollWhenDue();
  }
  EXPECT_EQ(held(), 0U);
  const std::vector<std::string> sent = fake_.sockets[0]->TakeSent();
  EXPECT_EQ(sent.size(), kMost);
  ExpectOrder(sent);
  Deliver(1);
  Poll();
  EXPECT_EQ(held(), 1U) << "slots are used again";
}

TEST_F(LaneServicesTest, OriginatedFramesAreCountedAndBounded) {
  keeper_.originates_ = kBurstFrames + 3;
  PollWhenDue();
  EXPECT_EQ(keeper_.refused_, 3U);
  EXPECT_EQ(fake_.sockets[0]->TakeSent(), std::vector(kBurstFrames, std::string(Keeper::kOwnBytes, 'o')));
  EXPECT_EQ(stats_->lanes[0].ports[0].originated.Get(), kBurstFrames);
}

TEST_F(LaneServicesTest, WithoutAFreeFrameNothingIsOriginated) {
  FakeLane tiny(1, 8, {.ring_size = 8, .completes_at_once = false, .frames_per_wakeup = 0});
  auto lane = tiny.Open(1, stats_->lanes[1], [] { return clock_ns; });
  lane->PrepareFor(keeper_);
  keeper_.originates_ = 8;
  lane->Poll(keeper_);
  EXPECT_EQ(keeper_.refused_, 4U) << "half of the frames are posted";
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
}

TEST_F(LaneServicesTest, ExpiresWhenDueAndNotBefore) {
  clock_ns += Keeper::kAgainNs - 1;
  Poll();
  EXPECT_EQ(keeper_.expired_, 1U);
  ++clock_ns;
  Poll();
  EXPECT_EQ(keeper_.expired_, 2U);
  EXPECT_EQ(keeper_.seen_ns_, clock_ns);
  keeper_.again_ = false;
  PollWhenDue();
  EXPECT_EQ(keeper_.expired_, 3U);
  PollWhenDue();
  EXPECT_EQ(keeper_.expired_, 3U) << "kNever means that it is not called again";
  EXPECT_EQ(stats_->lanes[0].function_counters[3].Get(), 3U);
}

TEST_F(LaneServicesTest, ALaneSleepsNoLongerThanUntilItExpires) {
  Poll();
  EXPECT_EQ(lane_->SleepBound(), absl::Nanoseconds(Keeper::kAgainNs));
  keeper_.again_ = false;
  PollWhenDue();
  EXPECT_EQ(lane_->SleepBound(), absl::InfiniteDuration());
}

// Frames of this lane leave by lane 0 or by lane 1.
class LaneServicesWhileFlowsMoveTest : public LaneServicesTest {
 protected:
  LaneServicesWhileFlowsMoveTest() {
    lane_->transit().outbox().Attach(1, ring_.get(), inbox_.get());
    lane_->transit().TransmitByHandoff(2, /*probe=*/false);
  }
  static uint32_t LaneOf(const std::string& packet) {
    const auto* data = reinterpret_cast<const uint8_t*>(packet.data());
    const auto length_bytes = static_cast<uint32_t>(packet.size());
    return FlowHash(data, length_bytes, Parse(data, length_bytes)) % 2;
  }
  uint32_t handed_over() const { return ring_->Peek(kHandoffFrames); }

  std::unique_ptr<HandoffRing> ring_ = std::make_unique<HandoffRing>(kNearWrap);
  std::unique_ptr<HandoffInbox> inbox_ = std::make_unique<HandoffInbox>();
};

TEST_F(LaneServicesWhileFlowsMoveTest, AReleasedFrameGoesByItsFlowAsReceived) {
  constexpr uint32_t kFlows = 32;
  uint32_t to_lane_1 = 0;
  for (uint32_t flow = 0; flow < kFlows; ++flow) {
    const std::string packet = UdpPacket(flow, 0);
    to_lane_1 += LaneOf(packet);
    ASSERT_TRUE(fake_.sockets[0]->Deliver(packet));
  }
  ASSERT_TRUE(to_lane_1 > 0 && to_lane_1 < kFlows) << "the flows go both ways";
  Poll();
  EXPECT_EQ(held(), kFlows);
  keeper_.rewrite_ = 0x5a;
  PollWhenDue();
  EXPECT_EQ(handed_over(), to_lane_1);
  EXPECT_EQ(fake_.sockets[0]->TakeSent().size(), kFlows - to_lane_1);
}

TEST_F(LaneServicesWhileFlowsMoveTest, AnOriginatedFrameGoesByItsOwnFlow) {
  keeper_.originates_ = 1;
  PollWhenDue();
  const uint32_t lane = LaneOf(std::string(Keeper::kOwnBytes, 'o'));
  EXPECT_EQ(handed_over(), lane);
  EXPECT_EQ(fake_.sockets[0]->TakeSent().size(), 1 - lane);
}

TEST_F(LaneServicesWhileFlowsMoveTest, NothingIsOriginatedOrReleasedThatTheOutboxMightNotTake) {
  keeper_.holds_ = false;
  keeper_.otherwise_ = Verdict::Transmit(0);
  std::string packet = UdpPacket(1, 0);
  for (uint32_t flow = 1; LaneOf(packet) != 1; packet = UdpPacket(++flow, 0)) {
  }
  while (lane_->transit().RoomForOriginated() > 0) {
    ASSERT_TRUE(fake_.sockets[0]->Deliver(packet));
    Poll();
  }
  EXPECT_TRUE(lane_->transit().MayReceive()) << "a burst still fits";
  keeper_.originates_ = 2;
  PollWhenDue();
  EXPECT_EQ(keeper_.refused_, 2U);
  for (uint32_t i = 0; i < kBurstFrames; ++i) {
    ASSERT_TRUE(fake_.sockets[0]->Deliver(packet));
  }
  Poll();
  EXPECT_EQ(handed_over(), kHandoffFrames);
  EXPECT_EQ(Dropped(static_cast<uint32_t>(DropReason::kHandoffFull)), 0U);
}

TEST_F(LaneServicesTest, ALaneWhoseFunctionHoldsAFrameIsNotQuiescent) {
  EXPECT_TRUE(lane_->Quiescent());
  Deliver(1);
  Poll();
  EXPECT_FALSE(lane_->Quiescent());
  PollWhenDue();
  Poll();
  EXPECT_TRUE(lane_->Quiescent());
}

TEST_F(LaneServicesTest, FramesHeldWhenTheLaneClosesAreCounted) {
  Deliver(4);
  Poll();
  lane_->CloseAccounts();
  EXPECT_EQ(Dropped(static_cast<uint32_t>(DropReason::kLaneClosed)), 4U);
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
}

}  // namespace
}  // namespace sluice
