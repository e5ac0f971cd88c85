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

class ReorderHoldTest : public ::testing::Test {
 protected:
  void Hold(uint64_t number, uint32_t flow, int64_t now_ns) { hold_.Hold(Numbered(number), flow, now_ns); }
  ReorderHold::Released Next(int64_t now_ns, bool forced = false) {
    return hold_.ReleaseNext(now_ns, forced, frame_, flow_hash_);
  }

  ReorderHold hold_;
  Frame frame_{};
  uint32_t flow_hash_ = 0;
};

TEST_F(ReorderHoldTest, NothingWaitsWhereNothingIsHandedIn) {
  EXPECT_TRUE(hold_.idle());
  EXPECT_FALSE(hold_.MustWait(kMoved, kStart));
  EXPECT_EQ(Next(kStart), ReorderHold::Released::kNone);
}

TEST_F(ReorderHoldTest, OnlyTheFlowThatMovesWaits) {
  hold_.NoteHandedIn(kMoved, kStart);
  EXPECT_FALSE(hold_.idle());
  EXPECT_TRUE(hold_.MustWait(kMoved, kStart + 49 * kMs));
  EXPECT_FALSE(hold_.MustWait(kOther, kStart));
  EXPECT_FALSE(hold_.MustWait(kMoved, kStart + 50 * kMs));
  hold_.ForgetSettled(kStart + 49 * kMs);
  EXPECT_FALSE(hold_.idle());
  hold_.ForgetSettled(kStart + 50 * kMs);
  EXPECT_TRUE(hold_.idle());
}

TEST_F(ReorderHoldTest, GoesWhenNothingWasHandedInForAWhile) {
  hold_.NoteHandedIn(kMoved, kStart);
  Hold(1, kMoved, kStart + kMs);
  hold_.NoteHandedIn(kMoved, kStart + 10 * kMs);
  EXPECT_EQ(Next(kStart + 59 * kMs), ReorderHold::Released::kNone);
  EXPECT_EQ(Next(kStart + 60 * kMs), ReorderHold::Released::kSettled);
  EXPECT_EQ(frame_.address, 1U);
  EXPECT_EQ(hold_.held(), 0U);
}

TEST_F(ReorderHoldTest, FramesBehindAWaitingFrameWaitToo) {
  hold_.NoteHandedIn(kMoved, kStart);
  Hold(1, kMoved, kStart);
  EXPECT_TRUE(hold_.MustWait(kMoved, kStart + 55 * kMs));
  hold_.ForgetSettled(kStart + 55 * kMs);
  EXPECT_FALSE(hold_.idle());
  Hold(2, kMoved, kStart + 55 * kMs);
  EXPECT_EQ(Next(kStart + 55 * kMs), ReorderHold::Released::kSettled);
  EXPECT_EQ(frame_.address, 1U);
  EXPECT_EQ(Next(kStart + 55 * kMs), ReorderHold::Released::kSettled);
  EXPECT_EQ(frame_.address, 2U);
  EXPECT_FALSE(hold_.MustWait(kMoved, kStart + 55 * kMs));
  hold_.ForgetSettled(kStart + 55 * kMs);
  EXPECT_TRUE(hold_.idle());
}

TEST_F(ReorderHoldTest, NoFrameWaitsForever) {
  hold_.NoteHandedIn(kMoved, kStart);
  Hold(1, kMoved, kStart);
  for (int64_t ms = 10; ms < 250; ms += 10) {
    hold_.NoteHandedIn(kMoved, kStart + ms * kMs);
    ASSERT_EQ(Next(kStart + ms * kMs), ReorderHold::Released::kNone);
  }
  EXPECT_EQ(Next(kStart + 250 * kMs), ReorderHold::Released::kUnproven);
}

TEST_F(ReorderHoldTest, MayBeMadeToGoWhenMemoryIsFull) {
  hold_.NoteHandedIn(kMoved, kStart);
  for (uint64_t number = 0; number < ReorderHold::kCapacity; ++number) {
    ASSERT_GT(hold_.room(), 0U);
    Hold(number, kMoved, kStart);
  }
  EXPECT_EQ(hold_.room(), 0U);
  EXPECT_EQ(Next(kStart, /*forced=*/true), ReorderHold::Released::kUnproven);
  EXPECT_EQ(frame_.address, 0U);
  EXPECT_EQ(hold_.room(), 1U);
}

}  // namespace
}  // namespace sluice
