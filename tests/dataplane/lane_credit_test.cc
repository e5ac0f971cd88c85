// The number up to which a lane reports packets as done (lane_offload.h). It reports none before the last of them has
// been sent and completed.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "dataplane/functions/forward/forward.h"
#include "dataplane/functions/reflect/reflect.h"
#include "dataplane/lane/lane.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/dataplane/flow_memory.h"
#include "tests/dataplane/two_lanes.h"

namespace sluice {
namespace {

constexpr uint32_t kBuckets = 16;
constexpr uint32_t kEpoch = 7;
constexpr uint32_t kIndex = 1;  // the lane's number, and so its queues'
// By port: the number of packets that XDP had given to the queue before its present socket received the first.
constexpr uint32_t kGiven[] = {0xfffffffa, 2000};

// The queue's first packet has the number `given` + 1.
void SetBase(FlowMemory& memory, uint32_t given, uint32_t ring_start) {
  memory.credit(kIndex).base = given - ring_start;
  memory.credit(kIndex).completed = given;
}

class LaneCreditTest : public ::testing::Test {
 protected:
  void Open(uint32_t ports) {
    fake_ = std::make_unique<FakeLane>(ports, 1024, FakeSocket::Options{.ring_size = 256, .completes_at_once = false});
    lane_ = fake_->Open(kIndex, stats_->lanes[kIndex]);
    for (uint32_t port = 0; port < ports; ++port) {
      memory_[port] = std::make_unique<FlowMemory>(kBuckets);
      SetBase(*memory_[port], kGiven[port], kNearWrap);
      tables_.push_back(memory_[port]->Map());
    }
    lane_->OffloadFlows(&tables_, kEpoch);
  }
  // Delivers packets to the lane, as XDP does.
  void Deliver(uint32_t packets, uint32_t flow = 1, uint32_t port = 0) {
    for (uint32_t i = 0; i < packets; ++i) {
      ASSERT_TRUE(socket(port).Deliver(UdpPacket(flow, ++sequence_)));
    }
  }
  void Poll(uint32_t rounds = 3) {
    for (uint32_t round = 0; round < rounds; ++round) {
      lane_->Poll(*function_);
    }
  }
  // Offloads flow 1. All packets received so far are done, but the lane has not reported it.
  void OffloadAFlow() {
    Deliver(4);
    Poll();
    ASSERT_EQ(FlowMemory::State(entry()), SLUICE_FLOW_PENDING);
    CompleteAll();
    ASSERT_TRUE(lane_->Quiescent());
    ASSERT_EQ(done(), 0U) << "no packet waits for the report";
  }
  void CompleteAll() {
    for (auto& socket : fake_->sockets) {
      socket->Complete(1000);
    }
    Poll();
  }
  FakeSocket& socket(uint32_t port = 0) { return *fake_->sockets[port]; }
  sluice_flow& entry() { return *memory_[0]->Find(KeyOf(UdpPacket(1, 0))); }
  // Returns how many of the port's packets the lane has reported as done.
  uint32_t done(uint32_t port = 0) { return memory_[port]->done(kIndex) - kGiven[port]; }

  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  functions::reflect::Reflect reflect_;
  functions::forward::Forward forward_;
  NetworkFunction* function_ = &reflect_;
  std::unique_ptr<FlowMemory> memory_[2];  // by port
  FlowTables tables_;
  std::unique_ptr<FakeLane> fake_;
  std::unique_ptr<Lane> lane_;
  uint64_t sequence_ = 0;
};

TEST_F(LaneCreditTest, NothingIsDoneBeforeItIsCompleted) {
  Open(1);
  OffloadAFlow();
  Deliver(1);
  Poll();
  EXPECT_EQ(socket().in_flight(), 1U);
  EXPECT_EQ(done(), 0U);
  Deliver(1);  // came after the snapshot that is waited for, so it waits for the next one
  Poll();
  EXPECT_EQ(done(), 0U);
  socket().Complete(1);
  Poll();
  EXPECT_EQ(done(), 5U);
  socket().Complete(1);
  Poll();
  EXPECT_EQ(done(), 6U);
  EXPECT_EQ(memory_[0]->done(kIndex), 0U) << "numbers wrap";
  EXPECT_EQ(memory_[0]->done(0), 0U) << "the numbers of another queue stay";
}

TEST_F(LaneCreditTest, NothingIsDoneThatTheDeviceDidNotTake) {
  Open(1);
  OffloadAFlow();
  socket().set_frames_per_wakeup(0);
  Deliver(3);
  Poll();
  EXPECT_EQ(lane_->pairs().front().unsent(), 3U);
  EXPECT_EQ(done(), 0U);
  socket().set_frames_per_wakeup(32);
  Poll();
  EXPECT_EQ(done(), 0U);
  CompleteAll();
  EXPECT_EQ(done(), 7U);
}

TEST_F(LaneCreditTest, AllThatCameBeforeMustBeDone) {
  Open(1);
  OffloadAFlow();
  Deliver(10, /*flow=*/2);
  Deliver(1);
  Poll();
  socket().Complete(10);
  Poll();
  EXPECT_EQ(done(), 0U);
  socket().Complete(1);
  Poll();
  EXPECT_EQ(done(), 15U);
}

TEST_F(LaneCreditTest, PacketsInTheReceiveRingCountAsNotDone) {
  Open(1);
  OffloadAFlow();
  Deliver(100);
  Poll(1);
  ASSERT_EQ(lane_->pairs().front().waiting(), 100 - kBurstFrames);
  socket().Complete(1000);
  Poll(1);
  ASSERT_TRUE(lane_->pairs().front().rx_empty());
  EXPECT_EQ(done(), 0U) << "a burst was completed, the rest has only been received";
  CompleteAll();
  EXPECT_EQ(done(), 104U);
}

TEST_F(LaneCreditTest, EachPortHasItsNumbersAndWaitsForTheOther) {
  Open(2);
  function_ = &forward_;
  OffloadAFlow();
  Deliver(1);
  Deliver(2, /*flow=*/2, /*port=*/1);
  Poll();
  socket(0).Complete(1000);  // the frames that came in by port 1
  Poll();
  EXPECT_EQ(done(0), 0U);
  EXPECT_EQ(done(1), 0U);
  socket(1).Complete(1000);
  Poll();
  EXPECT_EQ(done(0), 5U);
  EXPECT_EQ(done(1), 2U);
}

TEST_F(LaneCreditTest, CountsPacketsThatTheSocketLostBeforeTheSnapshotOnly) {
  Open(1);
  OffloadAFlow();
  socket().lost = 3;
  Deliver(1);
  Poll();
  socket().lost = 10;
  Deliver(1);
  Poll();
  socket().Complete(1);
  Poll(1);
  EXPECT_EQ(done(), 5U + 3U);
  CompleteAll();
  EXPECT_EQ(done(), 6U + 10U) << "packets lost after the first snapshot count in the next one";
}

TEST_F(LaneCreditTest, NothingMoreIsOffloadedNorDoneOnceItIsOff) {
  Open(1);
  OffloadAFlow();
  Deliver(1);
  Poll();
  lane_->OffloadFlows(nullptr, 0);
  tables_.clear();  // unmapped
  Deliver(20, /*flow=*/2);
  Deliver(1);
  Poll();
  CompleteAll();
  EXPECT_EQ(socket().TakeSent().size(), 26U);
  EXPECT_EQ(done(), 0U);
  EXPECT_EQ(memory_[0]->Find(KeyOf(UdpPacket(2, 0))), nullptr);
}

TEST_F(LaneCreditTest, AnotherEpochDecidesAgain) {
  Open(1);
  OffloadAFlow();
  Deliver(1);
  Poll();
  lane_->OffloadFlows(&tables_, kEpoch + 1);
  CompleteAll();
  EXPECT_EQ(done(), 0U) << "no flow of this epoch waits for it";
  Deliver(4);
  Poll();
  EXPECT_EQ(entry().epoch, kEpoch + 1);
  EXPECT_EQ(FlowMemory::State(entry()), SLUICE_FLOW_PENDING);
  Deliver(1);
  Poll();
  EXPECT_EQ(done(), 0U);
  CompleteAll();
  EXPECT_EQ(done(), 10U);
}

TEST_F(LaneCreditTest, ASuccessorGoesOnWithTheNumbers) {
  Open(1);
  OffloadAFlow();
  Deliver(1);
  Poll();
  lane_.reset();
  lane_ = fake_->Open(kIndex, stats_->lanes[kIndex]);
  lane_->OffloadFlows(&tables_, kEpoch);
  Deliver(1);
  Poll();
  EXPECT_EQ(done(), 0U);
  socket().Complete(1);
  Poll();
  EXPECT_EQ(done(), 0U) << "the frame that the dead process sent is completed, but not the last one";
  CompleteAll();
  EXPECT_EQ(done(), 6U);
}

// The source lane offloads a flow; then its frames leave by the destination's queues.
class HandedOffCreditTest : public TwoLanes {
 protected:
  void SetUp() override {
    Open({.ring_size = 256, .completes_at_once = false});
    source_->transit().TransmitByHandoff(0, /*probe=*/false);
    SetBase(memory_, kGiven[0], kNearWrap);
    tables_.push_back(memory_.Map());
    source_->OffloadFlows(&tables_, kEpoch);
  }
  void Deliver(uint32_t packets) {
    for (uint32_t i = 0; i < packets; ++i) {
      ASSERT_TRUE(in().Deliver(UdpPacket(1, ++sequence_)));
    }
  }
  void PollSource() {
    for (int round = 0; round < 3; ++round) {
      in().Complete(1000);
      source_->Poll(reflect_);
    }
  }
  uint32_t done() { return memory_.done(kIndex) - kGiven[0]; }

  FlowMemory memory_{kBuckets};
  FlowTables tables_;
  uint64_t sequence_ = 0;
};

TEST_F(HandedOffCreditTest, NothingIsDoneWhileAnotherLaneHasIt) {
  Deliver(4);
  PollSource();
  Deliver(100);
  source_->Poll(reflect_);
  ASSERT_EQ(source_->pairs().front().waiting(), 100 - kBurstFrames);
  source_->transit().TransmitByHandoff(1, /*probe=*/false);
  PollSource();
  ASSERT_EQ(source_->pairs().front().held(), 0U);
  ASSERT_EQ(source_->transit().outbox().in_flight(), 100 - kBurstFrames);
  EXPECT_EQ(done(), 0U);
}

TEST_F(HandedOffCreditTest, NothingIsDoneThatTheOtherLaneHasNotSent) {
  Deliver(4);
  PollSource();
  Deliver(100);
  source_->Poll(reflect_);
  source_->transit().TransmitByHandoff(1, /*probe=*/false);
  PollSource();
  destination_->Poll(reflect_);  // copies them
  PollSource();
  ASSERT_EQ(source_->transit().outbox().in_flight(), 0U);
  ASSERT_EQ(out().in_flight(), 100 - kBurstFrames) << "the destination has sent the frames, and they are not completed";
  EXPECT_EQ(done(), 0U);
}

TEST_F(HandedOffCreditTest, NothingIsOffloadedWhileFramesLeaveByOtherLanes) {
  source_->transit().TransmitByHandoff(1, /*probe=*/false);
  Deliver(10);
  PollSource();
  destination_->Poll(reflect_);
  EXPECT_TRUE(memory_.empty());
  source_->transit().TransmitByHandoff(0, /*probe=*/false);
  Deliver(4);
  PollSource();
  EXPECT_EQ(memory_.Count(SLUICE_FLOW_PENDING), 1U);
}

}  // namespace
}  // namespace sluice
