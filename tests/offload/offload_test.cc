#include "control/offload/offload.h"

#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/steady_time.h"
#include "tests/lanes/lanes_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OffloadTest : public LanesTest {
 protected:
  OffloadTest() { Make(OffloadSetting::kAuto); }

  void Make(OffloadSetting setting) {
    offload_.emplace(setting, ports_, *lanes_, *placement_, *transmit_, dataplane_, [this] {
      log_.emplace_back("grace period");
      return rcu_error_;
    });
  }
  // Starts two lanes, with each queue's interrupt on the CPU of its number, and offload.
  void StartOffload() {
    StartLanes(2);
    offload_->Follow();
    ASSERT_TRUE(offload_->on()) << offload_->why_not();
    log_.clear();
  }
  absl::Status Change() {
    log_.emplace_back("changed");
    return change_error_;
  }

  absl::Status rcu_error_, change_error_;
  std::optional<Offload> offload_;
};

TEST_F(OffloadTest, StartsWithTablesThenTellsXdp) {
  StartLanes(2);
  fakes_[1]->offload.epoch = 41;  // left by an earlier agent
  offload_->Follow();
  EXPECT_TRUE(offload_->on());
  EXPECT_THAT(log_, ElementsAre("dataplane: epoch 42 with 6 fds", "eth0: offload 0 of 10,11 in epoch 42",
                                "eth1: offload 1 of 10,11 in epoch 42"));
  log_.clear();
  offload_->Follow();
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(OffloadTest, StopsBehindAFenceAndAGracePeriod) {
  StartOffload();
  ASSERT_TRUE(offload_->Stop().ok());
  EXPECT_THAT(log_,
              ElementsAre("dataplane: hold 0,1,64", "eth0: no offload from epoch 2", "eth1: no offload from epoch 2",
                          "grace period", "dataplane: release after ", "dataplane: epoch 0 with 0 fds"));
  log_.clear();
  ASSERT_TRUE(offload_->Stop().ok());
  EXPECT_THAT(log_, IsEmpty()) << "offload is off already";
}

TEST_F(OffloadTest, WithdrawsByANewEpoch) {
  StartOffload();
  ASSERT_TRUE(offload_->Withdrawing([this] { return Change(); }).ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: hold 0,1,64", "changed", "eth0: offload 0 of 10,11 in epoch 2",
                                "eth1: offload 1 of 10,11 in epoch 2", "grace period", "dataplane: epoch 2 with 0 fds",
                                "dataplane: release after "));
}

TEST_F(OffloadTest, AChangeThatFailedWithdrawsNothing) {
  StartOffload();
  change_error_ = absl::InternalError("no");
  EXPECT_EQ(offload_->Withdrawing([this] { return Change(); }), change_error_);
  EXPECT_THAT(Logged("epoch"), IsEmpty());
}

TEST_F(OffloadTest, SaysWhenDecisionsMayStillBeFollowed) {
  StartOffload();
  rcu_error_ = absl::InternalError("no grace period");
  EXPECT_EQ(offload_->Withdrawing([this] { return Change(); }), rcu_error_);
  EXPECT_EQ(offload_->Stop(), rcu_error_);
}

TEST_F(OffloadTest, WhileOffloadIsOffAChangeWithdrawsNothing) {
  StartLanes(2);
  ASSERT_TRUE(offload_->Withdrawing([this] { return Change(); }).ok());
  EXPECT_THAT(log_, ElementsAre("changed"));
}

TEST_F(OffloadTest, ADataplaneThatDiesTakesItsDecisionsWithIt) {
  StartOffload();
  connection_.dies_at = "epoch 2 with 0 fds";
  EXPECT_TRUE(offload_->Withdrawing([this] { return Change(); }).ok()) << "without a dataplane nothing is offloaded";
  dataplane_.SetDown();
  offload_->DataplaneLost();
  EXPECT_FALSE(offload_->on());
  EXPECT_FALSE(fakes_[0]->offload.on);
  EXPECT_EQ(fakes_[0]->offload.epoch, 3U);
  log_.clear();
  offload_->Follow();
  EXPECT_THAT(log_, IsEmpty()) << "offload stays off without a dataplane";
}

TEST_F(OffloadTest, ATakeoverBeginsWithoutIt) {
  StartLanes(2);
  ASSERT_TRUE(offload_->Adopt().ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: epoch 0 with 0 fds"));
  log_.clear();
  fakes_[1]->offload = {true, 7};  // the previous agent died after it had switched one port
  ASSERT_TRUE(offload_->Adopt().ok());
  EXPECT_FALSE(offload_->on());
  EXPECT_EQ(fakes_[0]->offload.epoch, 8U);
  EXPECT_FALSE(fakes_[1]->offload.on);
}

TEST_F(OffloadTest, IsOffForAMomentWhileFlowsAreSpread) {
  StartLanes(2);
  ASSERT_TRUE(transmit_->Spread(SteadyTime()).ok());
  offload_->Follow();
  EXPECT_FALSE(offload_->on());
  EXPECT_THAT(offload_->why_not(), IsEmpty());
  ASSERT_TRUE(transmit_->Change(2).ok());
  offload_->Follow();
  EXPECT_TRUE(offload_->on());
}

TEST_F(OffloadTest, TurnsOffWhenAPortNoLongerAllowsIt) {
  StartOffload();
  fakes_[1]->unread = 16;
  offload_->Follow();
  EXPECT_FALSE(offload_->on());
  EXPECT_THAT(offload_->why_not(), HasSubstr("eth1: frames count as sent"));
}

TEST_F(OffloadTest, SaysWhyNot) {
  StartLanes(2);
  const auto why = [this](auto change, auto restore) {
    change();
    offload_->Follow();
    restore();
    EXPECT_FALSE(offload_->on());
    return offload_->why_not();
  };
  EXPECT_EQ(offload_->why_not(), "not yet");
  PortInfo& info = fakes_[1]->info();
  EXPECT_THAT(why([&] { info.is_virtio = false; }, [&] { info.is_virtio = true; }), HasSubstr("may not send"));
  EXPECT_THAT(why([&] { fakes_[1]->native = false; }, [&] { fakes_[1]->native = true; }), HasSubstr("skb mode"));
  EXPECT_THAT(why([&] { info.flow_buckets = 0; }, [&] { info.flow_buckets = 1024; }), HasSubstr("odd size"));
  ASSERT_TRUE(placement_->Place(1, lanes_->All()).ok());
  offload_->Follow();
  EXPECT_THAT(offload_->why_not(), HasSubstr("queue 1's interrupt is not on a CPU c with c mod 2 = 1"));
  for (FakePort* port : fakes_) {
    port->info().has_rss = true;
  }
  offload_->Follow();
  EXPECT_TRUE(offload_->on()) << "with an RSS table the place of interrupts does not matter";
}

TEST_F(OffloadTest, TriesDriversThatMayNotSendWhenItIsAskedTo) {
  Make(OffloadSetting::kOn);
  StartLanes(2);
  for (FakePort* port : fakes_) {
    port->info().is_virtio = false;
  }
  offload_->Follow();
  EXPECT_TRUE(offload_->on());
  Make(OffloadSetting::kOff);
  offload_->Follow();
  EXPECT_EQ(offload_->why_not(), "the configuration says off");
}

TEST_F(OffloadTest, IsOffInZeroCopyMode) {
  SetMode(ModeSetting::kZeroCopy);
  Make(OffloadSetting::kAuto);
  kernel_.has_zero_copy = true;
  StartLanes(2);
  offload_->Follow();
  EXPECT_THAT(offload_->why_not(), HasSubstr("zero-copy"));
}

}  // namespace
}  // namespace sluice
