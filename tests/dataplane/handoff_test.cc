#include "dataplane/lane/handoff.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "dataplane/functions/reflect/reflect.h"
#include "dataplane/net/flow_hash.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/dataplane/two_lanes.h"

namespace sluice {
namespace {

HandoffFrame Numbered(uint64_t number) {
  return {nullptr, number, 60, 0, 0, 0};
}

TEST(HandoffRing, IsFullUntilTheSourceHasItsFramesBack) {
  auto ring = std::make_unique<HandoffRing>(kNearWrap);
  for (uint32_t lap = 0; lap < 5; ++lap) {
    for (uint32_t i = 0; i < kHandoffFrames; ++i) {
      ASSERT_FALSE(ring->full());
      ring->Push(Numbered(i));
    }
    EXPECT_TRUE(ring->full());
    EXPECT_EQ(ring->Peek(kHandoffFrames), 0U) << "nothing is published yet";
    ring->Publish();
    EXPECT_EQ(ring->Peek(10), 10U);
    ASSERT_EQ(ring->Peek(kHandoffFrames + 1), kHandoffFrames);
    EXPECT_EQ(ring->At(17).address, 17U);
    ring->Release(kHandoffFrames);
    EXPECT_TRUE(ring->full()) << "the frames are copied, but the source has not reclaimed them";
    uint64_t expected = 0;
    EXPECT_EQ(ring->Reclaim([&](uint64_t address) { EXPECT_EQ(address, expected++); }), kHandoffFrames);
    EXPECT_EQ(ring->in_flight(), 0U);
  }
}

TEST(HandoffInbox, ForgetsASourceOnlyWhenItIsEmpty) {
  auto ring = std::make_unique<HandoffRing>();
  auto inbox = std::make_unique<HandoffInbox>();
  inbox->Attach(kBridgeLane, ring.get());
  EXPECT_FALSE(inbox->HasNews());
  inbox->Announce(kBridgeLane);
  EXPECT_TRUE(inbox->HasNews());
  int calls = 0;
  inbox->ForEach([&](uint32_t source, HandoffRing& from) {
    EXPECT_EQ(source, kBridgeLane);
    EXPECT_EQ(&from, ring.get());
    return ++calls < 2;
  });
  EXPECT_TRUE(inbox->HasNews()) << "there may be more";
  inbox->ForEach([&](uint32_t, HandoffRing&) { return ++calls < 2; });
  EXPECT_FALSE(inbox->HasNews());
  EXPECT_EQ(calls, 2);
}

TEST(HandoffInbox, IgnoresAnAnnouncementOfAnUnknownSource) {
  auto inbox = std::make_unique<HandoffInbox>();
  inbox->Announce(3);
  inbox->ForEach([](uint32_t, HandoffRing&) -> bool {
    ADD_FAILURE();
    return false;
  });
  EXPECT_FALSE(inbox->HasNews());
}

using HandoffTest = TwoLanes;

TEST_F(HandoffTest, CopiesAFrameOverAndGivesTheSourceItsOwnBack) {
  Open();
  ASSERT_TRUE(in().Deliver(UdpPacket(1, 42)));
  source_->Poll(reflect_);
  EXPECT_EQ(stats_->lanes[1].handoff_held.Get(), 1U);
  EXPECT_EQ(stats_->lanes[1].handoff_out.Get(), 1U);
  EXPECT_FALSE(source_->Quiescent());
  EXPECT_EQ(source_->SleepBound(), absl::Milliseconds(10));
  EXPECT_TRUE(destination_->HasNews());
  EXPECT_GT(destination_->Poll(reflect_), 0U);
  const auto sent = out().TakeSent();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(SequenceOf(sent[0]), 42U);
  EXPECT_EQ(stats_->lanes[0].ports[0].handoff_in.Get(), 1U);
  source_->Poll(reflect_);  // reclaims, although it received nothing
  destination_->Poll(reflect_);
  EXPECT_EQ(stats_->lanes[1].handoff_held.Get(), 0U);
  EXPECT_TRUE(source_->Quiescent());
  EXPECT_TRUE(destination_->Quiescent());
  EXPECT_EQ(stats_->lanes[1].free_frames.Get() + in().posted(), 2048U);
  EXPECT_TRUE(Balance::Of(*stats_).holds());
}

TEST_F(HandoffTest, FramesWaitInTheReceiveRingWhileTheHandoffRingIsFull) {
  Open({.ring_size = 1024});
  for (uint64_t i = 0; i < kHandoffFrames + 100; ++i) {
    ASSERT_TRUE(in().Deliver(UdpPacket(1, i)));
  }
  for (int round = 0; round < 20; ++round) {
    source_->Poll(reflect_);
  }
  EXPECT_EQ(stats_->lanes[1].ports[0].rx_packets.Get(), kHandoffFrames);
  for (int round = 0; round < 20; ++round) {
    destination_->Poll(reflect_);
    source_->Poll(reflect_);
  }
  const auto sent = out().TakeSent();
  EXPECT_EQ(sent.size(), kHandoffFrames + 100);
  ExpectOrder(sent);
  EXPECT_EQ(Balance::Of(*stats_).drops, 0U);
  EXPECT_TRUE(Balance::Of(*stats_).holds());
}

TEST_F(HandoffTest, AFlowThatMovesWaitsForItsFramesThatAreStillHandedOver) {
  Open();
  const auto hand_over = [&](uint64_t sequence) {
    ASSERT_TRUE(in().Deliver(UdpPacket(1, sequence)));
    source_->Poll(reflect_);
    destination_->Poll(reflect_);
  };
  hand_over(1);
  ASSERT_TRUE(out().Deliver(UdpPacket(1, 3)));
  ASSERT_TRUE(out().Deliver(UdpPacket(2, 4)));
  destination_->Poll(reflect_);
  hand_over(2);
  auto sent = out().TakeSent();
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(SequenceOf(sent[0]), 1U);
  EXPECT_EQ(SequenceOf(sent[1]), 4U) << "its flow does not move";
  EXPECT_EQ(SequenceOf(sent[2]), 2U);
  EXPECT_FALSE(destination_->transit().empty());
  EXPECT_EQ(destination_->SleepBound(), absl::Milliseconds(1));
  source_->Poll(reflect_);  // has its frames back
  destination_->Poll(reflect_);
  EXPECT_TRUE(Balance::Of(*stats_).holds());

  now_ns_ += ReorderHold::kSettleNs;
  destination_->Poll(reflect_);
  EXPECT_EQ(out().TakeSent().size(), 0U) << "time in which the machine stood still does not count";
  Settle();
  ASSERT_TRUE(out().Deliver(UdpPacket(1, 5)));
  destination_->Poll(reflect_);
  sent = out().TakeSent();
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(SequenceOf(sent[0]), 3U);
  EXPECT_EQ(SequenceOf(sent[1]), 5U);
  EXPECT_TRUE(destination_->transit().empty());
  EXPECT_EQ(stats_->lanes[0].fence_held.Get(), 1U);
  EXPECT_EQ(stats_->lanes[0].fence_unproven.Get(), 0U);
  source_->Poll(reflect_);  // has its frames back
  destination_->Poll(reflect_);
  EXPECT_TRUE(Balance::Of(*stats_).holds());
}

uint32_t HashOf(const std::string& packet) {
  const auto* data = reinterpret_cast<const uint8_t*>(packet.data());
  const auto length_bytes = static_cast<uint32_t>(packet.size());
  return FlowHash(data, length_bytes, Parse(data, length_bytes));
}

// Gives every flow the same ports, as an address translation may.
class Translate : public NetworkFunction {
 public:
  void Process(LaneContext& /*lane*/, Burst& burst) override {
    for (Frame& frame : burst) {
      HeaderAt<Ports>(frame.data, burst.headers[burst.IndexOf(frame)].l4_offset) = {be16(1), be16(2)};
      frame.verdict = Verdict::Transmit(frame.in_port);
    }
  }
};

TEST_F(HandoffTest, ARewrittenFrameLeavesByTheLaneOfItsFlowAsReceived) {
  Open();
  source_->transit().TransmitByHandoff(2, /*probe=*/false);
  Translate translate;
  uint64_t stays = 0;
  constexpr uint32_t kFlows = 40;
  for (uint32_t flow = 0; flow < kFlows; ++flow) {
    ASSERT_TRUE(in().Deliver(UdpPacket(flow, flow)));
    stays += HashOf(UdpPacket(flow, flow)) % 2;
  }
  source_->Poll(translate);
  destination_->Poll(translate);
  const auto own = in().TakeSent();
  const auto handed_over = out().TakeSent();
  EXPECT_EQ(own.size(), stays);
  EXPECT_EQ(handed_over.size(), kFlows - stays);
  for (const std::string& packet : own) {
    EXPECT_EQ(HashOf(UdpPacket(FlowOf(packet), 0)) % 2, 1U) << FlowOf(packet);
  }
  for (const std::string& packet : handed_over) {
    EXPECT_EQ(HashOf(UdpPacket(FlowOf(packet), 0)) % 2, 0U) << FlowOf(packet);
  }
}

TEST_F(HandoffTest, ARewrittenFlowWaitsForItsOwnPacketsOnly) {
  Open();
  Translate translate;
  ASSERT_TRUE(in().Deliver(UdpPacket(5, 1)));
  source_->Poll(translate);
  destination_->Poll(translate);
  ASSERT_TRUE(out().Deliver(UdpPacket(5, 2)));
  ASSERT_TRUE(out().Deliver(UdpPacket(6, 3)));
  destination_->Poll(translate);
  std::vector<uint64_t> sequences;
  for (const auto& packet : out().TakeSent()) {
    sequences.push_back(SequenceOf(packet));
  }
  EXPECT_EQ(sequences, (std::vector<uint64_t>{1, 3})) << "flow 5 has just moved here";
  Settle();
  EXPECT_EQ(out().TakeSent().size(), 1U);
}

// An address translation gives both directions of a session one hash (net/flow_hash.h).
TEST_F(HandoffTest, AFunctionMaySayWhichHashAFrameHas) {
  class OneSession : public NetworkFunction {
   public:
    void Process(LaneContext& /*lane*/, Burst& burst) override {
      for (Frame& frame : burst) {
        burst.headers[burst.IndexOf(frame)].flow_hash = 2;
        frame.verdict = Verdict::Transmit(frame.in_port);
      }
    }
  };
  Open();
  source_->transit().TransmitByHandoff(2, /*probe=*/false);
  OneSession function;
  for (uint32_t flow = 0; flow < 40; ++flow) {
    ASSERT_TRUE(in().Deliver(UdpPacket(flow, flow)));
  }
  source_->Poll(function);
  destination_->Poll(function);
  EXPECT_EQ(in().TakeSent().size(), 0U);
  EXPECT_EQ(out().TakeSent().size(), 40U);
}

TEST_F(HandoffTest, HeldFramesAreHandedOnWhenTheirLaneMayNotSendAnyMore) {
  Open();
  uint32_t flow = 1;
  while (HashOf(UdpPacket(flow, 0)) % 2 != 1) {
    ++flow;
  }
  ASSERT_TRUE(in().Deliver(UdpPacket(flow, 1)));
  source_->Poll(reflect_);
  destination_->Poll(reflect_);
  ASSERT_TRUE(out().Deliver(UdpPacket(flow, 2)));
  destination_->Poll(reflect_);

  // From now on lane 1 sends this flow. Its packets arrive at lane 0, which sent them until now.
  HandoffRing back;
  source_->transit().inbox().Attach(0, &back);
  destination_->transit().outbox().Attach(1, &back, &source_->transit().inbox());
  destination_->transit().TransmitByHandoff(2, /*probe=*/false);
  source_->transit().TransmitByHandoff(0, /*probe=*/false);
  ASSERT_TRUE(out().Deliver(UdpPacket(flow, 3)));
  destination_->Poll(reflect_);
  Settle();
  source_->Poll(reflect_);
  std::vector<uint64_t> sequences;
  for (const auto& packet : out().TakeSent()) {
    sequences.push_back(SequenceOf(packet));
  }
  for (const auto& packet : in().TakeSent()) {
    sequences.push_back(SequenceOf(packet));
  }
  EXPECT_EQ(sequences, (std::vector<uint64_t>{1, 2, 3}));
}

TEST_F(HandoffTest, MoreThanCanWaitGoesInOrderAndIsCounted) {
  Open({.ring_size = 1024});
  ASSERT_TRUE(in().Deliver(UdpPacket(1, 0)));
  source_->Poll(reflect_);
  destination_->Poll(reflect_);
  for (uint64_t sequence = 1; sequence <= ReorderHold::kCapacity + 10; ++sequence) {
    ASSERT_TRUE(out().Deliver(UdpPacket(1, sequence)));
  }
  for (int round = 0; round < 20; ++round) {
    destination_->Poll(reflect_);
  }
  EXPECT_GE(stats_->lanes[0].fence_unproven.Get(), 10U);
  Settle();
  for (int round = 0; round < 20; ++round) {
    destination_->Poll(reflect_);
  }
  const auto sent = out().TakeSent();
  EXPECT_EQ(sent.size(), ReorderHold::kCapacity + 11);
  ExpectOrder(sent);
  source_->Poll(reflect_);  // has its frames back
  destination_->Poll(reflect_);
  EXPECT_TRUE(Balance::Of(*stats_).holds());
}

TEST_F(HandoffTest, HeldFramesAreCountedWhenTheLaneCloses) {
  Open();
  ASSERT_TRUE(in().Deliver(UdpPacket(1, 1)));
  source_->Poll(reflect_);
  destination_->Poll(reflect_);
  source_->Poll(reflect_);
  ASSERT_TRUE(out().Deliver(UdpPacket(1, 2)));
  destination_->Poll(reflect_);
  out().TakeSent();
  destination_->CloseAccounts();
  const LanePortStats& port = stats_->lanes[0].ports[0];
  EXPECT_EQ(port.drops[static_cast<uint32_t>(DropReason::kLaneClosed)].Get(), 1U);
  EXPECT_TRUE(Balance::Of(*stats_).holds());
}

TEST_F(HandoffTest, AClosedWayHasNoRoute) {
  Open();
  source_->transit().outbox().Close(0);
  ASSERT_TRUE(in().Deliver(UdpPacket(1, 1)));
  source_->Poll(reflect_);
  EXPECT_EQ(Drops(stats_->lanes[1], 0, DropReason::kNoRoute), 1U);
  source_->transit().outbox().Detach(0);
  ASSERT_TRUE(in().Deliver(UdpPacket(1, 2)));
  source_->Poll(reflect_);
  EXPECT_EQ(Drops(stats_->lanes[1], 0, DropReason::kNoRoute), 2U);
}

TEST_F(HandoffTest, KeepsOrderAndAccountsBetweenTwoThreads) {
  Open({.ring_size = 1024});
  std::atomic<bool> delivered{false};
  std::atomic<bool> stop{false};
  std::thread source([&] {
    uint64_t sequence = 0;
    while (sequence < 30'000) {
      for (int i = 0; i < 48; ++i, ++sequence) {
        in().Deliver(UdpPacket(sequence % 7, sequence));
      }
      source_->Poll(reflect_);
    }
    while (!source_->Quiescent()) {
      source_->Poll(reflect_);
      std::this_thread::yield();
    }
    delivered = true;
  });
  std::thread destination([&] {
    while (!stop) {
      if (destination_->Poll(reflect_) == 0) {
        std::this_thread::yield();
      }
    }
  });
  source.join();
  stop = true;
  destination.join();
  while (destination_->Poll(reflect_) > 0) {
  }
  const Balance settled = Balance::Of(*stats_);
  EXPECT_TRUE(settled.holds()) << settled;
  EXPECT_EQ(settled.held, 0U);
  const auto sent = out().TakeSent();
  EXPECT_EQ(sent.size(), settled.tx);
  EXPECT_GT(sent.size(), 1000U);
  ExpectOrder(sent);
}

}  // namespace
}  // namespace sluice
