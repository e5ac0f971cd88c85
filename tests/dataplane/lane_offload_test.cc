// Asks the function about flows that may be offloaded and stores its decisions. lane_credit_test.cc tests the credit
// that a lane publishes.
#include "dataplane/offload/lane_offload.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/function/flow_action.h"
#include "tests/dataplane/flow_memory.h"

namespace sluice {
namespace {

constexpr uint32_t kBuckets = 16;
constexpr uint32_t kEpoch = 7;
constexpr uint32_t kQueue = 2;

// Pair 0 belongs to port 1 and pair 1 to port 0, so that a test notices if the two indices are confused.
const LaneOffload::Pairs kPairs = {.queue = kQueue, .count = 2, .ports = {1, 0}, .lost = {7, 9}};

class LaneOffloadTest : public ::testing::Test {
 protected:
  LaneOffloadTest() { Use(kBuckets); }
  void Use(uint32_t buckets) {
    tables_.clear();
    for (auto& memory : memory_) {
      memory = std::make_unique<FlowMemory>(buckets);
      tables_.push_back(memory->Map());
    }
    offload_.Set(&tables_, kEpoch, kPairs);
  }

  using Function = std::function<void(Frame&)>;
  // Takes the packets through Lookup, the function and Store, as received on the port. Returns, for each packet,
  // whether the function was asked about its flow.
  std::vector<bool> Handle(std::vector<std::string> packets, const Function& function, uint8_t in_port = 0) {
    burst_.count = 0;
    burst_.offloaded = 0;
    for (std::string& packet : packets) {
      auto* data = reinterpret_cast<uint8_t*>(packet.data());
      const auto length_bytes = static_cast<uint32_t>(packet.size());
      burst_.headers[burst_.count] = Parse(data, length_bytes);
      burst_.frames[burst_.count++] = {data, 0, length_bytes, in_port, Verdict()};
    }
    offload_.Lookup(burst_);
    std::vector<bool> asked;
    for (Frame& frame : burst_) {
      asked.push_back(frame.may_offload);
      function(frame);
    }
    offload_.Store(burst_);
    return asked;
  }
  std::vector<bool> Handle(uint32_t packets, const Function& function) {
    return Handle(std::vector<std::string>(packets, packet_), function);
  }
  uint32_t StateOf(const std::string& packet, uint32_t port = 0) {
    const sluice_flow* flow = memory_[port]->Find(KeyOf(packet));
    return flow == nullptr ? uint32_t{SLUICE_FLOW_FREE} : FlowMemory::State(*flow);
  }

  const std::string packet_ = UdpPacket(1, 0);
  const Function declines_ = [](Frame& frame) { frame.verdict = Verdict::Transmit(0); };
  const Function decides_ = [this](Frame& frame) {
    frame.verdict = Verdict::Transmit(0);
    if (frame.may_offload) {
      burst_.Offload(frame, SentOut(3, SLUICE_FLOW_SWAP_MACS));
    }
  };
  std::unique_ptr<FlowMemory> memory_[2];  // by port
  FlowTables tables_;
  LaneOffload offload_;
  Burst burst_{};
};

TEST_F(LaneOffloadTest, AsksWithTheFourthPacket) {
  for (const bool may_offload : {false, false, false, true, false}) {
    EXPECT_EQ(Handle(1, decides_), std::vector{may_offload});
  }
}

TEST_F(LaneOffloadTest, AsksWithTheFourthPacketOfABurst) {
  EXPECT_EQ(Handle(5, declines_), (std::vector{false, false, false, true, true}));
}

TEST_F(LaneOffloadTest, AsksAgainFourPacketsAfterItWasDeclined) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Handle(3, declines_), (std::vector{false, false, false}));
    EXPECT_EQ(Handle(1, declines_), std::vector{true});
    EXPECT_EQ(StateOf(packet_), SLUICE_FLOW_SEEN);
  }
}

TEST_F(LaneOffloadTest, CountsEachFlowByItself) {
  const std::string other = UdpPacket(2, 0);
  EXPECT_EQ(Handle({packet_, other, packet_, other, packet_, other, packet_}, decides_),
            (std::vector{false, false, false, false, false, false, true}));
  EXPECT_EQ(StateOf(packet_), SLUICE_FLOW_PENDING);
  EXPECT_EQ(StateOf(other), SLUICE_FLOW_SEEN);
  EXPECT_EQ(Handle({other}, decides_), std::vector{true});
}

TEST_F(LaneOffloadTest, AnOffloadedFlowIsPendingInItsPortsTable) {
  EXPECT_EQ(Handle(std::vector(4, packet_), decides_, 1).back(), true);
  EXPECT_TRUE(memory_[0]->empty());
  const sluice_flow* flow = memory_[1]->Find(KeyOf(packet_));
  ASSERT_NE(flow, nullptr);
  EXPECT_EQ(FlowMemory::State(*flow), SLUICE_FLOW_PENDING);
  EXPECT_EQ(flow->epoch, kEpoch);
  EXPECT_EQ(flow->out_port, 3U);
  EXPECT_EQ(flow->changes, SLUICE_FLOW_SWAP_MACS);
  EXPECT_FALSE(offload_.wants_snapshot()) << "no packet of the flow waits for a report";
  EXPECT_EQ(Handle({packet_}, decides_, 1), std::vector{false});
  EXPECT_TRUE(offload_.wants_snapshot());
}

TEST_F(LaneOffloadTest, ADecidedFrameThatIsDroppedDecidesNothing) {
  EXPECT_EQ(Handle(4,
                   [this](Frame& frame) {
                     decides_(frame);
                     frame.verdict = Verdict::Drop(DropReason::kFunction);
                   })
                .back(),
            true);
  EXPECT_EQ(StateOf(packet_), SLUICE_FLOW_SEEN);
  EXPECT_EQ(Handle(4, decides_), (std::vector{false, false, false, true}));
  EXPECT_EQ(StateOf(packet_), SLUICE_FLOW_PENDING);
}

TEST_F(LaneOffloadTest, ADecisionIsForTheFlowAsItWasReceived) {
  Handle(4, [this](Frame& frame) {
    decides_(frame);
    frame.data[26] = 99;  // the first byte of the source address
  });
  EXPECT_EQ(StateOf(packet_), SLUICE_FLOW_PENDING);
  EXPECT_EQ(memory_[0]->Count(SLUICE_FLOW_FREE), kBuckets * SLUICE_FLOW_WAYS - 1);
}

TEST_F(LaneOffloadTest, NeverAsksAboutFramesWithoutAKey) {
  std::string lengths = packet_;
  --lengths[39];  // UDP's length field, so that it differs from IP's
  std::string fragment = packet_;
  fragment[21] = 1;
  std::string options = packet_;
  options[14] = 0x46;
  std::string icmp = packet_;
  icmp[23] = 1;
  std::string arp = packet_;
  arp[13] = 6;
  std::string truncated = packet_;
  truncated.resize(60);
  Handle(4, declines_);  // leaves a flow's data in the burst's places that the next frames take
  for (const std::string& frame : {lengths, fragment, options, icmp, arp, truncated, std::string(10, '\0')}) {
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(Handle(std::vector(4, frame), decides_), std::vector(4, false));
    }
  }
  EXPECT_EQ(memory_[0]->Count(SLUICE_FLOW_FREE), kBuckets * SLUICE_FLOW_WAYS - 1);
  EXPECT_FALSE(offload_.wants_snapshot());
}

TEST_F(LaneOffloadTest, AnotherEpochDecidesAgain) {
  Handle(5, decides_);
  ASSERT_EQ(StateOf(packet_), SLUICE_FLOW_PENDING);
  offload_.Set(&tables_, kEpoch + 1, kPairs);
  EXPECT_EQ(Handle(4, decides_), (std::vector{false, false, false, true}));
  EXPECT_EQ(memory_[0]->Find(KeyOf(packet_))->epoch, kEpoch + 1);
  EXPECT_EQ(StateOf(packet_), SLUICE_FLOW_PENDING);
}

TEST_F(LaneOffloadTest, DoesNotAskAboutAFlowThatTheTableHasNoRoomFor) {
  Use(/*buckets=*/1);
  for (uint32_t flow = 10; flow < 10 + SLUICE_FLOW_WAYS; ++flow) {
    Handle(std::vector(4, UdpPacket(flow, 0)), decides_);
  }
  ASSERT_EQ(memory_[0]->Count(SLUICE_FLOW_PENDING), SLUICE_FLOW_WAYS);
  EXPECT_EQ(Handle(8, decides_), std::vector(8, false));
  EXPECT_EQ(StateOf(packet_), SLUICE_FLOW_FREE);
}

TEST_F(LaneOffloadTest, ADecisionIsLostOnAFlowThatMadeRoomInTheSameBurst) {
  Use(/*buckets=*/1);
  Handle(3, decides_);
  std::vector<std::string> packets = {packet_};
  for (uint32_t flow = 10; flow < 10 + SLUICE_FLOW_WAYS; ++flow) {
    packets.push_back(UdpPacket(flow, 0));
  }
  EXPECT_EQ(Handle(packets, decides_), (std::vector{true, false, false, false, false}));
  EXPECT_EQ(memory_[0]->Count(SLUICE_FLOW_SEEN), SLUICE_FLOW_WAYS);
  EXPECT_EQ(StateOf(packet_), SLUICE_FLOW_FREE);
}

TEST_F(LaneOffloadTest, StepsComeInTurnAndNumbersAreByPort) {
  memory_[0]->credit(kQueue).base = 1000;
  memory_[1]->credit(kQueue).base = 0xffffffff;
  Handle(4, decides_);
  Handle(1, decides_);
  ASSERT_TRUE(offload_.wants_snapshot());
  ASSERT_EQ(offload_.to_receive(), nullptr);
  offload_.Begin({30, 40}, {5, 0xfffffffe});
  EXPECT_FALSE(offload_.wants_snapshot());
  ASSERT_NE(offload_.to_receive(), nullptr);
  EXPECT_EQ(*offload_.to_receive(), (RingPositions{30, 40}));
  EXPECT_EQ(offload_.to_send(), nullptr);
  offload_.Received({50, 60});
  EXPECT_EQ(offload_.to_receive(), nullptr);
  ASSERT_NE(offload_.to_send(), nullptr);
  EXPECT_EQ(*offload_.to_send(), (RingPositions{50, 60}));
  offload_.Sent();
  EXPECT_EQ(offload_.to_send(), nullptr);
  EXPECT_EQ(memory_[1]->done(kQueue), 34U) << "pair 0: base -1, 30 received, 5 lost";
  EXPECT_EQ(memory_[0]->done(kQueue), 1038U) << "pair 1: base 1000, 40 received, -2 lost, modulo 2^32";
}

TEST_F(LaneOffloadTest, SnapshotsOverlapAndEndInOrder) {
  memory_[1]->credit(kQueue).base = 0;
  Handle(4, decides_);
  uint32_t begun = 0;
  for (Handle(1, decides_); offload_.wants_snapshot(); Handle(1, decides_)) {
    offload_.Begin({++begun}, {});
  }
  ASSERT_EQ(begun, 16U) << "the most snapshots that can wait at once";
  for (uint32_t look = 1; look <= begun; ++look) {
    ASSERT_NE(offload_.to_receive(), nullptr);
    EXPECT_EQ(*offload_.to_receive(), RingPositions{look});
    offload_.Received({100 + look});
  }
  for (uint32_t look = 1; look <= begun; ++look) {
    ASSERT_NE(offload_.to_send(), nullptr);
    EXPECT_EQ(*offload_.to_send(), RingPositions{100 + look});
    offload_.Sent();
    EXPECT_EQ(memory_[1]->done(kQueue), look);
  }
  EXPECT_TRUE(offload_.wants_snapshot()) << "a packet came after the last snapshot";
}

TEST_F(LaneOffloadTest, PacketsLostAtASocketAreAnOverflowUntilASnapshotFindsNoMore) {
  Handle(4, decides_);
  const auto look = [this](uint32_t lost) {
    Handle(1, decides_);
    offload_.Begin({}, {lost, kPairs.lost[1]});
    offload_.Received({});
    offload_.Sent();
    return memory_[1]->credit(kQueue).overflowing;
  };
  EXPECT_EQ(look(kPairs.lost[0]), 0U) << "these were lost before offloading began";
  EXPECT_EQ(look(kPairs.lost[0] + 3), 1U);
  EXPECT_EQ(memory_[0]->credit(kQueue).overflowing, 0U) << "that is the other pair's socket";
  EXPECT_EQ(look(kPairs.lost[0] + 3), 0U);
  look(kPairs.lost[0] + 4);
  offload_.Set(&tables_, kEpoch + 1, kPairs);
  EXPECT_EQ(memory_[1]->credit(kQueue).overflowing, 0U);
}

TEST_F(LaneOffloadTest, PacketsThatXdpDropsForWantOfCreditAreAnOverflowToo) {
  Handle(4, decides_);
  const auto look = [this] {
    Handle(1, decides_);
    offload_.Begin({}, kPairs.lost);
    offload_.Received({});
    offload_.Sent();
    return memory_[1]->credit(kQueue).overflowing;
  };
  EXPECT_EQ(look(), 0U);
  memory_[1]->credit(kQueue).shed += 3;
  EXPECT_EQ(look(), 1U);
  EXPECT_EQ(look(), 0U);
  memory_[1]->credit(kQueue).shed += 3;
  offload_.Set(&tables_, kEpoch + 1, kPairs);
  Handle(4, decides_);
  EXPECT_EQ(look(), 0U) << "these were dropped before this epoch";
}

TEST_F(LaneOffloadTest, IsOffWithoutTables) {
  Handle(4, decides_);
  Handle(1, decides_);
  EXPECT_TRUE(offload_.on());
  ASSERT_TRUE(offload_.wants_snapshot());
  offload_.Set(nullptr, 0, kPairs);
  EXPECT_FALSE(offload_.on());
  EXPECT_FALSE(offload_.wants_snapshot());
  offload_.Set(&tables_, kEpoch, kPairs);
  EXPECT_TRUE(offload_.on());
  EXPECT_FALSE(offload_.wants_snapshot());
  EXPECT_EQ(offload_.to_receive(), nullptr);
  EXPECT_EQ(offload_.to_send(), nullptr);
}

}  // namespace
}  // namespace sluice
