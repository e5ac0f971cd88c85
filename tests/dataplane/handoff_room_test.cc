// Hand-offs to a lane that has no room to send them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/dataplane/two_lanes.h"

namespace sluice {
namespace {

using HandoffRoomTest = TwoLanes;

TEST_F(HandoffRoomTest, FramesWaitInTheReceiveRingWhileADestinationHasNoRoom) {
  Open({.ring_size = 1024, .completes_at_once = false});
  uint64_t sequence = 0;
  const auto deliver = [&] {
    for (int i = 0; i < 32; ++i) {
      sequence += in().Deliver(UdpPacket(1, sequence)) ? 1 : 0;
    }
    source_->Poll(reflect_);
    destination_->Poll(reflect_);
  };
  for (int round = 0; round < 200; ++round) {
    deliver();
  }
  // The transmit ring is full, the hand-off ring has no room for a burst, and the receive ring is full.
  EXPECT_EQ(sequence, 1024U + (kHandoffFrames - 32U) + 1024U);
  EXPECT_EQ(stats_->lanes[0].ports[0].held.Get(), 1024U);
  EXPECT_EQ(out().posted(), 1024U) << "frames for receiving are not used for the copies";
  // Nothing overtakes these frames, and no worker spins because of them.
  ASSERT_TRUE(out().Deliver(UdpPacket(1, 1'000'000)));
  destination_->Poll(reflect_);
  EXPECT_EQ(stats_->lanes[0].ports[0].rx_packets.Get(), 0U);
  EXPECT_FALSE(destination_->MayReceive());
  EXPECT_FALSE(source_->MayReceive());
  EXPECT_EQ(source_->SleepBound(), absl::Milliseconds(1));
  EXPECT_FALSE(destination_->HasNews());
  EXPECT_FALSE(destination_->transit().empty());
  EXPECT_EQ(destination_->SleepBound(), absl::Milliseconds(1));

  for (int round = 0; round < 200; ++round) {
    out().Complete(UINT32_MAX);
    source_->Poll(reflect_);
    now_ns_ += AwakeClock::kLongestNapNs;
    destination_->Poll(reflect_);
  }
  auto sent = out().TakeSent();
  ASSERT_EQ(sent.size(), sequence + 1);
  sent.pop_back();
  ExpectOrder(sent);
  EXPECT_TRUE(destination_->MayReceive());
  const Balance balance = Balance::Of(*stats_);
  EXPECT_TRUE(balance.holds()) << balance;
  EXPECT_EQ(balance.drops, 0U);
}

// Fill leaves the transmit ring full (256 frames), `waiting` more in the hand-off ring, and frames free in the UMEM.
class FullHandoffTest : public TwoLanes {
 protected:
  void Fill(uint64_t waiting) {
    Open({.ring_size = 256, .completes_at_once = false});
    for (uint64_t sequence = 0; sequence < 256 + waiting; ++sequence) {
      HandOver(UdpPacket(1, sequence));
    }
    ASSERT_EQ(stats_->lanes[0].ports[0].held.Get(), 256U);
    ASSERT_EQ(ring_->Peek(kHandoffFrames), waiting);
  }
  void HandOver(const std::string& packet) {
    ASSERT_TRUE(in().Deliver(packet));
    source_->Poll(reflect_);
    destination_->Poll(reflect_);
  }
};

TEST_F(FullHandoffTest, WaitingFramesLeaveNoRoomForOthers) {
  Fill(100);
  ASSERT_TRUE(out().Deliver(UdpPacket(2, 0)));
  out().Complete(10);
  destination_->Poll(reflect_);
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 90U);
  EXPECT_EQ(stats_->lanes[0].ports[0].rx_packets.Get(), 0U);
  EXPECT_FALSE(destination_->MayReceive());
  EXPECT_EQ(Balance::Of(*stats_).drops, 0U);
}

TEST_F(FullHandoffTest, FlowsThatWaitForRoomAreNotQuiet) {
  Open({.ring_size = 256, .completes_at_once = false});
  HandOver(UdpPacket(9, 1));
  ASSERT_TRUE(out().Deliver(UdpPacket(9, 3)));
  destination_->Poll(reflect_);
  for (uint64_t sequence = 0; sequence < 255 + 100; ++sequence) {
    HandOver(UdpPacket(1, sequence));
  }
  HandOver(UdpPacket(9, 2));
  Settle();
  std::vector<uint64_t> sequences;
  for (int round = 0; round < 40; ++round) {
    out().Complete(64);
    destination_->Poll(reflect_);
    now_ns_ += AwakeClock::kLongestNapNs;
    destination_->Poll(reflect_);
    source_->Poll(reflect_);
    for (const auto& packet : out().TakeSent()) {
      if (FlowOf(packet) == 9) {
        sequences.push_back(SequenceOf(packet));
      }
    }
  }
  EXPECT_EQ(sequences, (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(stats_->lanes[0].fence_unproven.Get(), 0U);
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
}

TEST_F(FullHandoffTest, APortThatStopsSendingBlocksOthersForALimitedTime) {
  Fill(100);
  ASSERT_TRUE(out().Deliver(UdpPacket(2, 0)));
  for (int i = 0; i < 3; ++i) {
    Settle();
  }
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 0U);
  EXPECT_EQ(Drops(stats_->lanes[0], 0, DropReason::kTxRingFull), 100U + 1U);
  EXPECT_EQ(stats_->lanes[0].ports[0].rx_packets.Get(), 1U);
  source_->Poll(reflect_);  // takes its frames back
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
  // The port sends again.
  out().Complete(UINT32_MAX);
  destination_->Poll(reflect_);
  HandOver(UdpPacket(1, 0));
  EXPECT_EQ(stats_->lanes[0].ports[0].handoff_in.Get(), 256U + 1U);
}

TEST_F(HandoffRoomTest, AClosingLaneDropsFramesThatItHasNoRoomFor) {
  Open({.ring_size = 1024, .completes_at_once = false});
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 32; ++i) {
      in().Deliver(UdpPacket(1, 0));
    }
    source_->Poll(reflect_);
    destination_->Poll(reflect_);
  }
  source_->transit().outbox().Close(0);
  destination_->DrainInbox(1);
  source_->transit().ForgetDestination(0);
  EXPECT_EQ(Drops(stats_->lanes[0], 0, DropReason::kNoFrame), kHandoffFrames - 32U);
  EXPECT_TRUE(Balance::Of(*stats_).holds()) << Balance::Of(*stats_);
}

}  // namespace
}  // namespace sluice
