// A queue pair that is behind limits the queue's credit to its room, and lifts the limit once it has caught up.
#include "dataplane/io/queue_credit.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "dataplane/functions/reflect/reflect.h"
#include "dataplane/lane/lane.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/dataplane/flow_memory.h"

namespace sluice {
namespace {

constexpr uint32_t kQueue = 2;
constexpr uint32_t kRing = 256;
constexpr uint32_t kGiven = 0xffffffe0;  // wraps during a test

class QueueCreditTest : public ::testing::Test {
 protected:
  void SetUp() override {
    credit().delivered = kGiven;
    Open();
  }
  void Open() {
    lane_.reset();
    shared_.clear();
    absl::StatusOr<QueueCredit> mapped = QueueCredit::Map(memory_.credit_fd.get());
    ASSERT_TRUE(mapped.ok()) << mapped.status();
    shared_.push_back(*std::move(mapped));
    lane_ = fake_.Open(kQueue, stats_->lanes[kQueue]);
    lane_->ShareCredit(shared_);
  }
  // Delivers packets to the socket, even beyond its credit.
  void Deliver(uint32_t packets) {
    for (uint32_t i = 0; i < packets; ++i) {
      ASSERT_TRUE(fake_.sockets[0]->Deliver(UdpPacket(1, i)));
      ++credit().delivered;
    }
  }
  void Poll() { lane_->Poll(reflect_); }
  sluice_queue_credit& credit() { return memory_.credit(kQueue); }
  // The number of packets that XDP would still give to the socket before it drops.
  uint32_t room() { return credit().limit - credit().delivered; }

  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  functions::reflect::Reflect reflect_;
  FlowMemory memory_{1};
  FakeLane fake_{1, 4 * kRing, FakeSocketOptions{.ring_size = kRing}};
  std::vector<QueueCredit> shared_;
  std::unique_ptr<Lane> lane_;
};

TEST_F(QueueCreditTest, APairThatKeepsUpSetsNoLimit) {
  for (int round = 0; round < 10; ++round) {
    Deliver(kRing / 2);
    Poll();
    EXPECT_EQ(credit().limited, 0U);
    Poll();
  }
  EXPECT_EQ(credit().limit, 0U) << "a cache line that XDP uses is not written without need";
}

TEST_F(QueueCreditTest, APairThatIsBehindLimitsTheCreditToItsRoom) {
  Deliver(kRing);
  Poll();
  EXPECT_NE(credit().limited, 0U);
  EXPECT_EQ(room(), kBurstFrames) << "one burst has left the ring, and as many frames are posted";
  Deliver(kBurstFrames);
  EXPECT_EQ(room(), 0U);
  EXPECT_FALSE(fake_.sockets[0]->Deliver(UdpPacket(1, 0))) << "the socket has no room, as its credit says";
  Poll();
  EXPECT_EQ(room(), kBurstFrames);
}

TEST_F(QueueCreditTest, APairThatHasCaughtUpLiftsTheLimit) {
  Deliver(kRing);
  Poll();
  ASSERT_NE(credit().limited, 0U);
  for (uint32_t i = 0; i < kRing / kBurstFrames; ++i) {
    Poll();
  }
  EXPECT_EQ(credit().limited, 0U);
}

TEST_F(QueueCreditTest, PacketsThatTheSocketLostDoNotMakeTheRoomSmallerForGood) {
  Deliver(kRing);
  credit().delivered += 100;  // XDP gave them to the socket, which lost them
  Poll();
  EXPECT_EQ(room(), kBurstFrames);
}

TEST_F(QueueCreditTest, ASuccessorBeginsWithoutTheLimitThatItsPredecessorLeft) {
  Deliver(kRing);
  Poll();
  ASSERT_NE(credit().limited, 0U);
  Open();
  EXPECT_EQ(credit().limited, 0U);
  Deliver(kBurstFrames);
  Poll();
  EXPECT_NE(credit().limited, 0U) << "it is behind as well, so it limits the credit again";
}

TEST_F(QueueCreditTest, CountsInANumberThatWraps) {
  shared_[0].Limit(0, 7);
  EXPECT_EQ(memory_.credit(0).limit, 7U);
  memory_.credit(0).delivered = 0xfffffffe;
  shared_[0].Limit(0, 7);
  EXPECT_EQ(memory_.credit(0).limit, 5U);
  memory_.credit(0).shed = 9;
  EXPECT_EQ(shared_[0].Shed(0), 9U);
}

TEST_F(QueueCreditTest, ABadDescriptorCannotBeMapped) {
  EXPECT_EQ(QueueCredit::Map(-1).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace sluice
