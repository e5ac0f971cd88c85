#include "control/resize/quiet_wait.h"

#include "dataplane/base/steady_time.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr SteadyTime kStart = SteadyTime();
constexpr absl::Duration kMs = absl::Milliseconds(1);

SteadyTime At(int ms) {
  return kStart + ms * kMs;
}

TEST(QuietWaitTest, QuietFromTheStartIsOverAfterAWhile) {
  QuietWait wait(false, {.going = 7, .staying = 9}, kStart);
  EXPECT_FALSE(wait.Over({7, 9}, At(19)));
  EXPECT_TRUE(wait.Over({7, 9}, At(20)));
  EXPECT_FALSE(wait.still_receiving());
}

TEST(QuietWaitTest, AReceivedPacketStartsItAgain) {
  QuietWait wait(false, {}, kStart);
  EXPECT_FALSE(wait.Over({1, 0}, At(15)));
  EXPECT_FALSE(wait.Over({1, 0}, At(34)));
  EXPECT_TRUE(wait.Over({1, 0}, At(35)));
  EXPECT_FALSE(wait.still_receiving());
}

TEST(QuietWaitTest, AHostThatMayStandStillMustShowThatItRuns) {
  QuietWait wait(true, {}, kStart);
  EXPECT_FALSE(wait.Over({0, 1}, At(10)));
  EXPECT_FALSE(wait.Over({0, 2}, At(20)));
  EXPECT_TRUE(wait.Over({0, 3}, At(30)));
}

TEST(QuietWaitTest, SignsCountFromTheLastPacketOn) {
  QuietWait wait(true, {}, kStart);
  EXPECT_FALSE(wait.Over({0, 1}, At(2)));
  EXPECT_FALSE(wait.Over({0, 2}, At(4)));
  EXPECT_FALSE(wait.Over({1, 3}, At(6)));
  EXPECT_FALSE(wait.Over({1, 3}, At(30)));
  EXPECT_FALSE(wait.Over({1, 3}, At(205)));
  EXPECT_TRUE(wait.Over({1, 3}, At(206)));
}

TEST(QuietWaitTest, FlowsThatNothingMovesEndItAtTheBound) {
  QuietWait wait(false, {}, kStart);
  uint64_t packets = 0;
  for (int ms = 10; ms < 500; ms += 10) {
    ASSERT_FALSE(wait.Over({++packets, 0}, At(ms)));
  }
  EXPECT_TRUE(wait.Over({++packets, 0}, At(500)));
  EXPECT_TRUE(wait.still_receiving());
}

TEST(QuietWaitTest, AHostThatStoodStillToTheBoundIsNotStillReceiving) {
  QuietWait wait(true, {}, kStart);
  EXPECT_FALSE(wait.Over({1, 0}, At(400)));
  EXPECT_TRUE(wait.Over({1, 0}, At(500)));
  EXPECT_FALSE(wait.still_receiving());
}

}  // namespace
}  // namespace sluice
