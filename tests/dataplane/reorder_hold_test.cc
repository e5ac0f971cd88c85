#include "dataplane/lane/reorder_hold.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kStart = 5 * kMs;
constexpr uint32_t kMoved = 17;
constexpr uint32_t kOther = 18;

Frame Numbered(uint64_t number) {
  return {nullptr, number, 60, 0, Verdict::Transmit(0)};
}

class MovedFlowsTest : public ::testing::Test {
 protected:
  void Wait(uint64_t number, uint32_t flow, int64_t now_ns) { flows_.Wait(Numbered(number), flow, now_ns); }
  ReorderHold::Go Next(int64_t now_ns, bool forced = false) { return flows_.Next(now_ns, forced, frame_, flow_hash_); }

  ReorderHold flows_;
  Frame frame_{};
  uint32_t flow_hash_ = 0;
};

TEST_F(MovedFlowsTest, NobodyWaitsWhereNothingIsHandedIn) {
  EXPECT_TRUE(flows_.idle());
  EXPECT_FALSE(flows_.MustWait(kMoved, kStart));
  EXPECT_EQ(Next(kStart), ReorderHold::Go::kNobody);
}

TEST_F(MovedFlowsTest, OnlyTheFlowThatMovesWaits) {
  flows_.HandedIn(kMoved, kStart);
  EXPECT_FALSE(flows_.idle());
  EXPECT_TRUE(flows_.MustWait(kMoved, kStart + 49 * kMs));
  EXPECT_FALSE(flows_.MustWait(kOther, kStart));
  EXPECT_FALSE(flows_.MustWait(kMoved, kStart + 50 * kMs));
  flows_.Forget(kStart + 49 * kMs);
  EXPECT_FALSE(flows_.idle());
  flows_.Forget(kStart + 50 * kMs);
  EXPECT_TRUE(flows_.idle());
}

TEST_F(MovedFlowsTest, GoesWhenNothingWasHandedInForAWhile) {
  flows_.HandedIn(kMoved, kStart);
  Wait(1, kMoved, kStart + kMs);
  flows_.HandedIn(kMoved, kStart + 10 * kMs);
  EXPECT_EQ(Next(kStart + 59 * kMs), ReorderHold::Go::kNobody);
  EXPECT_EQ(Next(kStart + 60 * kMs), ReorderHold::Go::kSettled);
  EXPECT_EQ(frame_.address, 1U);
  EXPECT_EQ(flows_.waiting(), 0U);
}

TEST_F(MovedFlowsTest, WhatComesBehindAWaitingFrameWaitsToo) {
  flows_.HandedIn(kMoved, kStart);
  Wait(1, kMoved, kStart);
  EXPECT_TRUE(flows_.MustWait(kMoved, kStart + 55 * kMs));
  flows_.Forget(kStart + 55 * kMs);
  EXPECT_FALSE(flows_.idle());
  Wait(2, kMoved, kStart + 55 * kMs);
  EXPECT_EQ(Next(kStart + 55 * kMs), ReorderHold::Go::kSettled);
  EXPECT_EQ(frame_.address, 1U);
  EXPECT_EQ(Next(kStart + 55 * kMs), ReorderHold::Go::kSettled);
  EXPECT_EQ(frame_.address, 2U);
  EXPECT_FALSE(flows_.MustWait(kMoved, kStart + 55 * kMs));
  flows_.Forget(kStart + 55 * kMs);
  EXPECT_TRUE(flows_.idle());
}

TEST_F(MovedFlowsTest, NobodyWaitsForever) {
  flows_.HandedIn(kMoved, kStart);
  Wait(1, kMoved, kStart);
  for (int64_t ms = 10; ms < 250; ms += 10) {
    flows_.HandedIn(kMoved, kStart + ms * kMs);
    ASSERT_EQ(Next(kStart + ms * kMs), ReorderHold::Go::kNobody);
  }
  EXPECT_EQ(Next(kStart + 250 * kMs), ReorderHold::Go::kUnproven);
}

TEST_F(MovedFlowsTest, MayBeMadeToGoWhenMemoryIsFull) {
  flows_.HandedIn(kMoved, kStart);
  for (uint64_t number = 0; number < ReorderHold::kCapacity; ++number) {
    ASSERT_GT(flows_.room(), 0U);
    Wait(number, kMoved, kStart);
  }
  EXPECT_EQ(flows_.room(), 0U);
  EXPECT_EQ(Next(kStart, /*forced=*/true), ReorderHold::Go::kUnproven);
  EXPECT_EQ(frame_.address, 0U);
  EXPECT_EQ(flows_.room(), 1U);
}

}  // namespace
}  // namespace sluice
