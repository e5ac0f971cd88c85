#include "dataplane/base/awake_clock.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

int64_t fake_now_ns = 0;

int64_t FakeNowNs() {
  return fake_now_ns;
}

TEST(AwakeClock, FollowsASourceThatIsReadOften) {
  fake_now_ns = 1'000;
  AwakeClock clock(FakeNowNs);
  const int64_t first_ns = clock.Now_ns();
  EXPECT_NE(first_ns, 0) << "0 means never";
  for (int i = 0; i < 10; ++i) {
    fake_now_ns += 1'000'000;
    EXPECT_EQ(clock.Now_ns(), first_ns + (i + 1) * 1'000'000);
  }
}

TEST(AwakeClock, CountsNoMoreThanANapOfAJump) {
  fake_now_ns = 0;
  AwakeClock clock(FakeNowNs);
  const int64_t first_ns = clock.Now_ns();
  fake_now_ns += AwakeClock::kLongestNapNs;
  EXPECT_EQ(clock.Now_ns(), first_ns + AwakeClock::kLongestNapNs);
  fake_now_ns += 3'600'000'000'000;
  EXPECT_EQ(clock.Now_ns(), first_ns + 2 * AwakeClock::kLongestNapNs);
  fake_now_ns += 1;
  EXPECT_EQ(clock.Now_ns(), first_ns + 2 * AwakeClock::kLongestNapNs + 1);
}

}  // namespace
}  // namespace sluice
