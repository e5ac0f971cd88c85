#include "dataplane/lane/lane_transit.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/net/flow_hash.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/dataplane/parse_burst.h"

namespace sluice {
namespace {

constexpr uint32_t kLane = 2;
constexpr uint32_t kSource = 5;
constexpr uint32_t kFrames = 1024;  // in the UMEM

// Queues whose room the test sets, by port.
class FakeQueues final : public LaneQueues {
 public:
  FakeQueues(Umem& umem, LaneStats& stats) : umem_(umem), stats_(stats) { room.fill(kBurstFrames); }

  FramesByPort Transmit(Burst& burst) override {
    FramesByPort count{};
    for (const Frame& frame : burst) {
      const uint32_t port = frame.verdict.port();
      if (!frame.verdict.transmits()) {
        Dispose(frame);
      } else if (port >= kMaxPorts) {
        Drop(frame, DropReason::kNoRoute);
      } else if (room[port] == 0) {
        Drop(frame, DropReason::kTxRingFull);
      } else {
        --room[port];
        ++count[port];
        sent.emplace_back(reinterpret_cast<const char*>(frame.data), frame.length_bytes);
        umem_.Give(frame.address);  // completed at once
      }
    }
    return count;
  }
  uint32_t TransmitRoom(uint32_t port, uint32_t most) override { return std::min(most, room[port]); }
  bool HasTransmitRoom(uint32_t frames) override {
    return std::all_of(room.begin(), room.end(), [&](uint32_t one) { return one >= frames; });
  }
  void Dispose(const Frame& frame) override {
    stats_.ports[frame.in_port].drops[frame.verdict.drop_index()].Add(1);
    umem_.Give(frame.address);
  }
  void Drop(const Frame& frame, DropReason reason) override {
    stats_.ports[frame.in_port].CountDrops(reason);
    umem_.Give(frame.address);
  }
  bool AwaitsCompletions() const override { return awaits_completions; }
  uint64_t ReceiveBacklog() const override { return backlog; }
  bool ReceiveRingNearlyFull() const override { return nearly_full; }

  FramesByPort room;
  std::vector<std::string> sent;
  bool awaits_completions = false;
  uint64_t backlog = 0;
  bool nearly_full = false;

 private:
  Umem& umem_;
  LaneStats& stats_;
};

class LaneTransitTest : public ::testing::Test {
 protected:
  void SetUp() override { transit_.inbox().Attach(kSource, ring_.get()); }

  // Hands a packet over like the source's worker. packets_ keeps it in place until the lane has copied it.
  void HandOver(const std::string& packet, uint32_t out_port = 0, HandoffRing* ring = nullptr,
                uint32_t source = kSource) {
    packets_.push_back(std::make_unique<std::string>(packet));
    HandoffRing& to = ring == nullptr ? *ring_ : *ring;
    ASSERT_FALSE(to.full());
    to.Push({reinterpret_cast<const uint8_t*>(packets_.back()->data()), 0,
             static_cast<uint32_t>(packets_.back()->size()), HashOf(packet), /*in_port=*/1,
             static_cast<uint8_t>(out_port)});
    to.Publish();
    transit_.inbox().Announce(source);
  }
  void HandOverMany(uint64_t count) {
    for (uint64_t sequence = 0; sequence < count; ++sequence) {
      HandOver(UdpPacket(1, sequence));
    }
  }
  // Returns a burst with the packets, as a queue pair of the lane receives it.
  Burst Received(const std::vector<std::string>& packets) {
    Burst burst{};
    burst.lane = kLane;
    for (const std::string& packet : packets) {
      const uint64_t address = umem_.Take();
      memcpy(umem_.Data(address), packet.data(), packet.size());
      burst.frames[burst.count++] = {umem_.Data(address), address, static_cast<uint32_t>(packet.size()), 0,
                                     Verdict::Transmit(0)};
    }
    ParseHeaders(burst);
    burst.HashFlows();
    return burst;
  }
  void Pass(int64_t ns) {
    for (; ns > 0; ns -= AwakeClock::kLongestNapNs) {
      now_ns_ += AwakeClock::kLongestNapNs;
      transit_.Run();
    }
  }
  uint64_t dropped(DropReason reason) const { return Drops(stats_, 1, reason); }
  // Takes frames from the pool until `frames` are left.
  void LeaveFree(uint32_t frames) {
    while (umem_.free_frames() > frames) {
      umem_.Take();
    }
  }
  static uint32_t HashOf(const std::string& packet) {
    const auto* data = reinterpret_cast<const uint8_t*>(packet.data());
    const auto length_bytes = static_cast<uint32_t>(packet.size());
    return FlowHash(data, length_bytes, Parse(data, length_bytes));
  }
  static uint32_t DestinationOf(const std::string& packet, uint32_t lanes) { return HashOf(packet) % lanes; }

  inline static int64_t now_ns_ = 1;
  std::vector<std::unique_ptr<std::string>> packets_;
  FakeUmem memory_{kFrames};
  Umem umem_ = *Umem::Map(memory_.fd.get(), memory_.layout);
  std::unique_ptr<StatsSegment> segment_ = std::make_unique<StatsSegment>();
  LaneStats& stats_ = segment_->lanes[kLane];
  FakeQueues queues_{umem_, stats_};
  std::unique_ptr<HandoffRing> ring_ = std::make_unique<HandoffRing>(kNearWrap);
  LaneTransit transit_{kLane, umem_, queues_, stats_, [] { return now_ns_; }};
};

TEST_F(LaneTransitTest, IsIdleUntilAnotherLaneHandsFramesOverAndTheirFlowsSettle) {
  EXPECT_TRUE(transit_.idle());
  HandOver(UdpPacket(1, 7));
  EXPECT_FALSE(transit_.idle());
  EXPECT_EQ(transit_.Run(), 1U);
  EXPECT_EQ(queues_.sent, std::vector{UdpPacket(1, 7)});
  EXPECT_EQ(stats_.ports[0].handoff_in.Get(), 1U);
  EXPECT_EQ(transit_.Run(), 0U) << "the ring is empty";
  EXPECT_FALSE(transit_.idle()) << "the flow is about to come here";
  EXPECT_TRUE(transit_.empty());
  Pass(ReorderHold::kSettleNs);
  EXPECT_TRUE(transit_.idle());
}

TEST_F(LaneTransitTest, FramesOfTheBridgeMoveNoFlow) {
  HandoffRing bridge(kNearWrap);
  transit_.inbox().Attach(kBridgeLane, &bridge);
  HandOver(UdpPacket(1, 7), 0, &bridge, kBridgeLane);
  EXPECT_EQ(transit_.Run(), 1U);
  transit_.Run();
  EXPECT_TRUE(transit_.idle());
}

TEST_F(LaneTransitTest, IsNotIdleWhileAnythingIsOutOfTheOrdinary) {
  transit_.TransmitByHandoff(3, /*probe=*/false);
  EXPECT_FALSE(transit_.idle());
  transit_.TransmitByHandoff(0, /*probe=*/false);
  EXPECT_TRUE(transit_.idle());
  transit_.HoldBack();
  EXPECT_FALSE(transit_.idle());
  transit_.LetReceive(/*proven=*/true);
  EXPECT_TRUE(transit_.idle());
}

TEST_F(LaneTransitTest, AcceptsABurstARoundFromEachSource) {
  HandoffRing other(kNearWrap);
  transit_.inbox().Attach(kSource + 1, &other);
  queues_.room.fill(1000);
  HandOverMany(kBurstFrames + 10);
  HandOver(UdpPacket(2, 0), 0, &other, kSource + 1);
  EXPECT_EQ(transit_.Run(), kBurstFrames + 1);
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 10U);
  EXPECT_TRUE(transit_.HasNews()) << "the rest has been announced";
  EXPECT_TRUE(transit_.MayReceive()) << "it does not wait for room";
  EXPECT_EQ(transit_.Run(), 10U);
  ExpectOrder(queues_.sent);
}

TEST_F(LaneTransitTest, AcceptsTheFramesBeforeTheFirstOneWithoutRoom) {
  queues_.room = {3, 100, 100, 100};
  HandOverMany(10);
  HandOver(UdpPacket(2, 0), /*out_port=*/1);
  EXPECT_EQ(transit_.Run(), 3U);
  EXPECT_EQ(queues_.sent.size(), 3U) << "the frame for port 1 waits behind the others";
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 8U);
  EXPECT_FALSE(transit_.MayReceive());
  EXPECT_FALSE(transit_.HasNews()) << "room comes without an event, and spinning would not bring it";
  EXPECT_EQ(transit_.SleepBound(), absl::Milliseconds(1));
  EXPECT_FALSE(transit_.empty());
  queues_.room[0] = 7;
  EXPECT_EQ(transit_.Run(), 8U);
  EXPECT_TRUE(transit_.MayReceive());
  EXPECT_EQ(dropped(DropReason::kTxRingFull), 0U);
  ExpectOrder(queues_.sent);
}

TEST_F(LaneTransitTest, AFrameWithoutARouteNeedsNoRoom) {
  queues_.room = {1, 0, 0, 0};
  HandOver(UdpPacket(1, 0), /*out_port=*/kMaxPorts);
  HandOver(UdpPacket(1, 1));
  EXPECT_EQ(transit_.Run(), 2U);
  EXPECT_EQ(dropped(DropReason::kNoRoute), 1U);
  EXPECT_EQ(queues_.sent.size(), 1U);
}

TEST_F(LaneTransitTest, WaitsForAFrameWhileSomeComeBack) {
  queues_.awaits_completions = true;
  LeaveFree(2);
  HandOverMany(5);
  EXPECT_EQ(transit_.Run(), 2U);
  EXPECT_FALSE(transit_.MayReceive());
  EXPECT_EQ(transit_.Run(), 2U) << "two frames were reclaimed";
  EXPECT_EQ(dropped(DropReason::kNoFrame), 0U);
}

TEST_F(LaneTransitTest, DropsFramesForWhichThePoolWillNeverRefill) {
  LeaveFree(2);
  HandOverMany(5);
  EXPECT_EQ(transit_.Run(), 5U);
  EXPECT_EQ(queues_.sent.size(), 2U);
  EXPECT_EQ(dropped(DropReason::kNoFrame), 3U);
  EXPECT_TRUE(transit_.MayReceive());
}

TEST_F(LaneTransitTest, AFrameThatDoesNotFitTakesNone) {
  queues_.awaits_completions = true;
  LeaveFree(1);
  HandOver(std::string(memory_.layout.frame_size_bytes + 1, 'x'));
  HandOver(UdpPacket(1, 0));
  EXPECT_EQ(transit_.Run(), 2U);
  EXPECT_EQ(dropped(DropReason::kNoFrame), 1U);
  EXPECT_EQ(queues_.sent.size(), 1U);
}

TEST_F(LaneTransitTest, GivesUpOnAPortThatSendsNothing) {
  queues_.room.fill(0);
  HandOverMany(10);
  Pass(90'000'000);
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 10U);
  Pass(20'000'000);
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 0U);
  EXPECT_EQ(dropped(DropReason::kTxRingFull), 10U);
  EXPECT_TRUE(transit_.MayReceive());
  HandOver(UdpPacket(1, 11));
  transit_.Run();
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 1U) << "the ring has been empty: the next frame waits again";
}

TEST_F(LaneTransitTest, DropsBurstAfterBurstFromARingThatNeverEmpties) {
  queues_.room.fill(0);
  HandOverMany(3 * kBurstFrames);
  while (ring_->Peek(kHandoffFrames) == 3 * kBurstFrames) {
    Pass(AwakeClock::kLongestNapNs);
  }
  transit_.Run();
  EXPECT_EQ(dropped(DropReason::kTxRingFull), 2 * kBurstFrames) << "the second burst does not wait again";
  queues_.room[0] = 1;
  transit_.Run();
  EXPECT_EQ(queues_.sent.size(), 1U);
  HandOver(UdpPacket(1, 0));
  transit_.Run();
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 1U) << "the port sends again, so the next frame waits";
}

TEST_F(LaneTransitTest, APortThatSendsAFrameNowAndThenIsNotGivenUpOn) {
  queues_.room.fill(0);
  HandOverMany(10);
  for (int i = 0; i < 9; ++i) {
    Pass(90'000'000);
    queues_.room[0] = 1;
    transit_.Run();
  }
  EXPECT_EQ(queues_.sent.size(), 9U);
  EXPECT_EQ(ring_->Peek(kHandoffFrames), 1U);
}

TEST_F(LaneTransitTest, AcceptAllAlsoDropsFramesWithoutRoom) {
  queues_.room = {3, 0, 0, 0};
  HandOverMany(kBurstFrames + 10);
  EXPECT_EQ(transit_.AcceptAll(kSource), kBurstFrames);
  EXPECT_EQ(transit_.AcceptAll(kSource), 10U);
  EXPECT_EQ(transit_.AcceptAll(kSource), 0U);
  EXPECT_EQ(dropped(DropReason::kTxRingFull), kBurstFrames + 10 - 3U);
  EXPECT_EQ(transit_.AcceptAll(kSource + 1), 0U) << "no such source is attached";
}

TEST_F(LaneTransitTest, ReceivesNothingBehindTheFence) {
  transit_.HoldBack();
  queues_.backlog = 9;
  transit_.Run();
  EXPECT_FALSE(transit_.MayReceive());
  EXPECT_EQ(transit_.SleepBound(), absl::Milliseconds(1));
  transit_.LetReceive(/*proven=*/false);
  EXPECT_TRUE(transit_.MayReceive());
  transit_.LetReceive(/*proven=*/false);
  EXPECT_EQ(stats_.fence_held.Get(), 9U);
  EXPECT_EQ(stats_.fence_unproven.Get(), 9U);
  transit_.HoldBack();
  transit_.LetReceive(/*proven=*/true);
  EXPECT_EQ(stats_.fence_held.Get(), 18U);
  EXPECT_EQ(stats_.fence_unproven.Get(), 9U);
}

TEST_F(LaneTransitTest, AFullReceiveRingIsReceivedAheadOfTheFenceAndCounted) {
  transit_.HoldBack();
  queues_.nearly_full = true;
  queues_.backlog = 2;
  transit_.Run();
  EXPECT_TRUE(transit_.MayReceive());
  EXPECT_FALSE(transit_.idle());
  EXPECT_EQ(stats_.fence_held.Get(), 2U);
  EXPECT_EQ(stats_.fence_unproven.Get(), 0U);
  Burst burst = Received({UdpPacket(1, 0), UdpPacket(1, 1), UdpPacket(1, 2)});
  transit_.NoteReceived(burst);
  transit_.Transmit(burst);
  EXPECT_EQ(stats_.fence_unproven.Get(), 3U);
  transit_.LetReceive(/*proven=*/true);
  EXPECT_TRUE(transit_.idle());
  EXPECT_EQ(stats_.fence_held.Get(), 2U) << "each frame is counted once";
}

TEST_F(LaneTransitTest, AFrameWhoseTurnHasComeWaitsForRoom) {
  HandOver(UdpPacket(1, 0));
  transit_.Run();
  Burst burst = Received({UdpPacket(1, 1)});
  transit_.Transmit(burst);
  EXPECT_EQ(stats_.handoff_held.Get(), 1U) << "its flow has just moved here";
  queues_.room[0] = 0;
  Pass(2 * ReorderHold::kLongestHoldNs);
  EXPECT_EQ(stats_.handoff_held.Get(), 1U);
  EXPECT_EQ(Drops(stats_, 0, DropReason::kTxRingFull), 0U);
  queues_.room[0] = kBurstFrames;
  transit_.Run();
  EXPECT_EQ(queues_.sent, (std::vector{UdpPacket(1, 0), UdpPacket(1, 1)}));
}

TEST_F(LaneTransitTest, TheBacklogBehindAFenceWaitsForRoomOnEveryPort) {
  transit_.HoldBack();
  queues_.backlog = 2048;
  transit_.LetReceive(/*proven=*/true);
  EXPECT_FALSE(transit_.idle());
  EXPECT_TRUE(transit_.MayReceive());
  --queues_.room[kMaxPorts - 1];
  EXPECT_FALSE(transit_.MayReceive());
  EXPECT_EQ(transit_.SleepBound(), absl::Milliseconds(1)) << "no event tells that there is room";
  ++queues_.room[kMaxPorts - 1];
  EXPECT_TRUE(transit_.MayReceive());
  queues_.backlog = kBurstFrames;
  transit_.Run();
  EXPECT_FALSE(transit_.idle()) << "packets have come meanwhile";
  queues_.backlog = kBurstFrames - 1;
  transit_.Run();
  EXPECT_TRUE(transit_.idle());
  queues_.room[0] = 0;
  EXPECT_TRUE(transit_.MayReceive()) << "a slow port does not hold up the others for long";
}

TEST_F(LaneTransitTest, APortThatSendsNothingHoldsUpTheBacklogForABoundedTime) {
  queues_.backlog = 2048;
  transit_.CatchUp();
  queues_.room[1] = 0;
  Pass(90'000'000);
  EXPECT_FALSE(transit_.MayReceive());
  queues_.room[1] = kBurstFrames;
  Pass(10'000'000);
  queues_.room[1] = 0;
  Pass(90'000'000);
  EXPECT_FALSE(transit_.MayReceive()) << "it sent something in between";
  Pass(20'000'000);
  EXPECT_TRUE(transit_.MayReceive());
  EXPECT_TRUE(transit_.idle());
}

TEST_F(LaneTransitTest, ABacklogThatNeverShrinksIsCaughtUpWithForABoundedTime) {
  queues_.backlog = 2048;
  transit_.CatchUp();
  Pass(1'900'000'000);
  EXPECT_FALSE(transit_.idle());
  Pass(200'000'000);
  EXPECT_TRUE(transit_.idle());
}

TEST_F(LaneTransitTest, ReceivesNothingThatTheOutboxMightNotTake) {
  HandoffRing ring(kNearWrap);
  const auto elsewhere = std::make_unique<HandoffInbox>();
  transit_.outbox().Attach(0, &ring, elsewhere.get());
  transit_.TransmitByHandoff(1, /*probe=*/false);
  uint32_t handed_over = 0;
  for (; transit_.MayReceive() && handed_over < 2 * kHandoffFrames; handed_over += kBurstFrames) {
    Burst burst = Received(std::vector<std::string>(kBurstFrames, UdpPacket(1, 0)));
    transit_.Transmit(burst);
  }
  EXPECT_EQ(handed_over, kHandoffFrames);
  EXPECT_EQ(stats_.handoff_held.Get(), kHandoffFrames);
  EXPECT_EQ(transit_.SleepBound(), absl::Milliseconds(1));
  ring.Release(kBurstFrames);
  EXPECT_EQ(transit_.Run(), kBurstFrames);
  EXPECT_TRUE(transit_.MayReceive());
  EXPECT_EQ(transit_.SleepBound(), absl::Milliseconds(10)) << "frames are in another lane's hands";
  transit_.TransmitByHandoff(1, /*probe=*/true);
  EXPECT_FALSE(transit_.MayReceive()) << "each frame may bring a probe";
  ring.Release(kHandoffFrames - kBurstFrames);
  transit_.Run();
  EXPECT_EQ(umem_.free_frames(), kFrames);
  EXPECT_EQ(stats_.handoff_held.Get(), 0U);
  EXPECT_EQ(Drops(stats_, 0, DropReason::kHandoffFull), 0U);
}

TEST_F(LaneTransitTest, FramesOfAClosedWayHaveNoRoute) {
  HandoffRing ring(kNearWrap);
  const auto elsewhere = std::make_unique<HandoffInbox>();
  transit_.outbox().Attach(0, &ring, elsewhere.get());
  transit_.TransmitByHandoff(1, /*probe=*/false);
  Burst burst = Received({UdpPacket(1, 0)});
  transit_.Transmit(burst);
  transit_.outbox().Close(0);
  burst = Received({UdpPacket(1, 1)});
  transit_.Transmit(burst);
  EXPECT_EQ(Drops(stats_, 0, DropReason::kNoRoute), 1U);
  ring.Release(1);
  transit_.ForgetDestination(0);
  EXPECT_EQ(umem_.free_frames(), kFrames);
}

TEST_F(LaneTransitTest, SendsEachFlowByItsLane) {
  constexpr uint32_t kLanes = 3;
  HandoffRing rings[] = {HandoffRing(kNearWrap), HandoffRing(kNearWrap)};
  const auto elsewhere = std::make_unique<HandoffInbox>();
  transit_.outbox().Attach(0, &rings[0], elsewhere.get());
  transit_.outbox().Attach(1, &rings[1], elsewhere.get());
  transit_.TransmitByHandoff(kLanes, /*probe=*/false);
  EXPECT_FALSE(transit_.transmits_by_own_queues());
  std::vector<std::string> packets;
  std::array<uint32_t, kLanes> expected{};
  for (uint32_t flow = 0; flow < kBurstFrames; ++flow) {
    packets.push_back(UdpPacket(flow, flow));
    ++expected[DestinationOf(packets.back(), kLanes)];
  }
  Burst burst = Received(packets);
  burst.frames[0].verdict = Verdict::Drop(DropReason::kFunction);
  --expected[DestinationOf(packets[0], kLanes)];
  transit_.Transmit(burst);
  EXPECT_EQ(rings[0].Peek(kHandoffFrames), expected[0]);
  EXPECT_EQ(rings[1].Peek(kHandoffFrames), expected[1]);
  EXPECT_EQ(queues_.sent.size(), expected[kLane]);
  EXPECT_EQ(stats_.handoff_out.Get(), expected[0] + expected[1]);
  EXPECT_EQ(Drops(stats_, 0, DropReason::kFunction), 1U);
}

TEST_F(LaneTransitTest, CountsFramesThatStillWaitWhenTheLaneCloses) {
  HandOver(UdpPacket(1, 0));
  transit_.Run();
  Burst burst = Received({UdpPacket(1, 1), UdpPacket(2, 0)});
  transit_.Transmit(burst);
  EXPECT_EQ(queues_.sent.size(), 2U) << "the one that was handed in, and the flow that does not move";
  EXPECT_EQ(stats_.handoff_held.Get(), 1U);
  transit_.CloseAccounts();
  EXPECT_EQ(Drops(stats_, 0, DropReason::kLaneClosed), 1U);
  EXPECT_EQ(stats_.handoff_held.Get(), 0U);
  EXPECT_EQ(umem_.free_frames(), kFrames);
}

}  // namespace
}  // namespace sluice
