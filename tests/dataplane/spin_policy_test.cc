#include "dataplane/worker/spin_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace sluice {
namespace {

constexpr int64_t kUs = 1000;
constexpr int64_t kSpinUs = SpinPolicy::kSpinNs / kUs;

// A worker, and packets that arrive at even intervals. A spinning worker sees a packet at once. A sleeping one sees it
// `wakeup_us` late, together with the packets that have arrived by then.
class Stream {
 public:
  explicit Stream(int64_t wakeup_us) : wakeup_us_(wakeup_us) {}

  // Returns how many of `packets` found the worker awake.
  int Send(int packets, int64_t spacing_us) {
    int met_awake = 0;
    int64_t last_work_us = next_us_ - spacing_us;
    for (int left = packets; left > 0;) {
      const int64_t idle_us = std::max<int64_t>(next_us_ - last_work_us, 0);
      const bool awake = spin_policy_.KeepsSpinning(idle_us * kUs - 1);
      const int64_t seen_us = last_work_us + idle_us + (awake ? 0 : wakeup_us_);
      const int waiting = 1 + static_cast<int>((seen_us - next_us_) / spacing_us);
      spin_policy_.Learn((seen_us - last_work_us) * kUs, static_cast<uint32_t>(waiting));
      met_awake += awake ? waiting : 0;
      left -= waiting;
      next_us_ += waiting * spacing_us;
      last_work_us = seen_us;
    }
    return met_awake;
  }

  const SpinPolicy& spin_policy() const { return spin_policy_; }

 private:
  const int64_t wakeup_us_;
  int64_t next_us_ = 0;
  SpinPolicy spin_policy_;
};

class SpinPolicyTest : public ::testing::TestWithParam<int64_t> {};

// From a core in a light sleep state to a halted virtual CPU.
INSTANTIATE_TEST_SUITE_P(WakeupUs, SpinPolicyTest, ::testing::Values(5, 20, 60));

TEST_P(SpinPolicyTest, MeetsCloselySpacedPacketsAwake) {
  Stream stream(GetParam());
  stream.Send(100, kSpinUs / 2);
  EXPECT_EQ(stream.Send(1000, kSpinUs / 2), 1000);
}

TEST_P(SpinPolicyTest, SleepsAtOnceBetweenDistantPackets) {
  Stream stream(GetParam());
  stream.Send(100, 4 * kSpinUs);
  EXPECT_FALSE(stream.spin_policy().KeepsSpinning(0));
  EXPECT_EQ(stream.Send(1000, 4 * kSpinUs), 0);
}

TEST_P(SpinPolicyTest, FollowsAStreamThatChanges) {
  Stream stream(GetParam());
  for (int change = 0; change < 3; ++change) {
    stream.Send(100, 1000);
    EXPECT_EQ(stream.Send(100, 1000), 0);
    stream.Send(100, kSpinUs / 2);
    EXPECT_EQ(stream.Send(100, kSpinUs / 2), 100);
  }
}

TEST_P(SpinPolicyTest, AFewPacketsDoNotChangeIt) {
  Stream stream(GetParam());
  stream.Send(1000, 1000);
  stream.Send(3, 1);
  EXPECT_FALSE(stream.spin_policy().KeepsSpinning(0));
  stream.Send(1000, kSpinUs / 2);
  stream.Send(3, 1000);
  EXPECT_TRUE(stream.spin_policy().KeepsSpinning(0));
}

TEST(SpinPolicyTest, EndsAfterTheLongestLook) {
  SpinPolicy spin_policy;
  for (int i = 0; i < SpinPolicy::kVotes; ++i) {
    spin_policy.Learn(0, 1);
  }
  EXPECT_TRUE(spin_policy.KeepsSpinning(SpinPolicy::kSpinNs - 1));
  EXPECT_FALSE(spin_policy.KeepsSpinning(SpinPolicy::kSpinNs));
}

TEST(SpinPolicyTest, ABurstAfterALongWaitIsNoStream) {
  SpinPolicy spin_policy;
  for (int i = 0; i < SpinPolicy::kVotes; ++i) {
    spin_policy.Learn(SpinPolicy::kSpinNs * 5, 64);
  }
  EXPECT_FALSE(spin_policy.KeepsSpinning(0));
}

}  // namespace
}  // namespace sluice
