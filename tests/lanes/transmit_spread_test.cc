#include "control/lanes/transmit_spread.h"

#include "dataplane/base/steady_time.h"
#include "tests/lanes/lanes_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TransmitSpreadTest : public LanesTest {
 protected:
  // Lets `seconds` pass, with a Tick after each.
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now_ += absl::Seconds(1);
      transmit_->Tick(now_);
    }
  }
  SteadyTime now_ = SteadyTime();
};

TEST_F(TransmitSpreadTest, ChangesWhileTrafficRunsBehindAFence) {
  StartLanes(3);
  ASSERT_TRUE(transmit_->Change(2).ok());
  EXPECT_THAT(
      log_, ElementsAre("dataplane: hold 0,1,2,64", "dataplane: transmit by 2, probing", "dataplane: release after "));
  EXPECT_EQ(transmit_->count(), 2U);
}

TEST_F(TransmitSpreadTest, ProbesOnlyWhereFlowsFollow) {
  fakes_[0]->info().has_rss = true;
  StartLanes(2);
  ASSERT_TRUE(transmit_->Set(1).ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: transmit by 1"));
}

TEST_F(TransmitSpreadTest, AnErrorLeavesItAsItWas) {
  StartLanes(2);
  EXPECT_TRUE(absl::IsFailedPrecondition(transmit_->Change(4))) << "there are only two lanes";
  EXPECT_EQ(transmit_->count(), 2U);
}

TEST_F(TransmitSpreadTest, SpreadsForAWhile) {
  StartLanes(2);
  ASSERT_TRUE(transmit_->Spread(now_).ok());
  EXPECT_TRUE(transmit_->spreading());
  EXPECT_THAT(Logged("transmit"), ElementsAre("dataplane: transmit by 2 of every lane, probing"));
  log_.clear();
  Pass(1);
  EXPECT_TRUE(transmit_->spreading());
  EXPECT_THAT(log_, IsEmpty());
  Pass(1);
  EXPECT_FALSE(transmit_->spreading());
  EXPECT_THAT(Logged("transmit"), ElementsAre("dataplane: transmit by 2, probing"));
  log_.clear();
  Pass(5);
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(TransmitSpreadTest, AMachineThatStoodStillMovedNoFlow) {
  StartLanes(2);
  ASSERT_TRUE(transmit_->Spread(now_).ok());
  now_ += absl::Hours(1);
  transmit_->Tick(now_);
  EXPECT_TRUE(transmit_->spreading());
}

TEST_F(TransmitSpreadTest, TriesToEndItUntilItCan) {
  StartLanes(2);
  ASSERT_TRUE(transmit_->Spread(now_).ok());
  connection_.refused["transmit by 2, probing"] = absl::InternalError("not now");
  Pass(3);
  EXPECT_TRUE(transmit_->spreading());
  connection_.refused.clear();
  Pass(1);
  EXPECT_FALSE(transmit_->spreading());
}

TEST_F(TransmitSpreadTest, WaitsForADataplane) {
  StartLanes(2);
  ASSERT_TRUE(transmit_->Spread(now_).ok());
  Die();
  log_.clear();
  Pass(5);
  EXPECT_TRUE(transmit_->spreading());
  EXPECT_THAT(log_, IsEmpty());
}

}  // namespace
}  // namespace sluice
