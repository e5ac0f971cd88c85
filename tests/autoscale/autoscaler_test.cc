// The autoscaler on the agent's objects: counters in, resizes out, over ports and a dataplane in memory.
#include "control/autoscale/autoscaler.h"

#include <cstdint>
#include <optional>
#include <string>

#include "tests/resize/resize_fixture.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

class AutoscalerTest : public ResizeTest {
 protected:
  AutoscalerTest() : ResizeTest(1) {
    for (FakePort* port : fakes_) {
      port->info().max_pairs = 4;
    }
    Start(1);
    MakeAutoscaler({.automatic = true});
  }
  void MakeAutoscaler(Autoscaler::Wish wish) { autoscaler_.emplace(Objects(), *resizer_, state_, wish); }

  // Lets each worker be busy for this part of the time, in rounds of 32 packets, which come evenly by all lanes.
  void Run(double seconds, double busy) {
    const int64_t step_ns = Autoscaler::kSampleEveryNs;
    for (double left = seconds; left > 0; left -= 0.25) {
      now_ns_ += step_ns;
      const uint32_t workers = placement_->workers();
      for (uint32_t w = 0; w < workers; ++w) {
        WorkerStats& worker = stats_->workers[w];
        worker.busy_ns.Add(static_cast<uint64_t>(busy * static_cast<double>(step_ns)));
        worker.idle_ns.Add(static_cast<uint64_t>((1 - busy) * static_cast<double>(step_ns)));
        worker.busy_rounds.Add(static_cast<uint64_t>(busy * 5000));
      }
      for (uint32_t lane = 0; lane < resizer_->active_pairs(); ++lane) {
        stats_->lanes[lane].ports[0].rx_packets.Add(
            static_cast<uint64_t>(busy * 5000 * 32 * workers / resizer_->active_pairs()));
      }
      autoscaler_->Tick(now_ns_);
    }
  }
  uint64_t Decisions(AutoscaleWhy why) { return autoscaler_->decisions(why); }

  std::optional<Autoscaler> autoscaler_;
  int64_t now_ns_ = 1;
};

TEST_F(AutoscalerTest, GrowsUnderLoadAndShrinksAfterwards) {
  Run(10, 0.1);
  ExpectPairs(1);
  EXPECT_THAT(autoscaler_->sentence(), HasSubstr("1 pair carries it"));
  EXPECT_EQ(autoscaler_->bounds().max, 4U);
  Run(3, 1);
  ExpectPairs(2);
  EXPECT_EQ(Decisions(AutoscaleWhy::kFull), 1U);
  Run(5, 0.7);
  ExpectPairs(2);
  Run(15, 0.1);
  ExpectPairs(1);
  EXPECT_EQ(placement_->workers(), 1U);
  EXPECT_EQ(Decisions(AutoscaleWhy::kIdle), 2U) << "a worker first, then the pairs";
  EXPECT_EQ(state_.state().active_pairs(), 1U);
  EXPECT_EQ(resizer_->wanted_pairs(), 1U) << "a resize like a user's";
}

TEST_F(AutoscalerTest, DropsAreLoad) {
  stats_->lanes[0].flow_samples.Set(0);
  Run(1, 0.6);
  for (int i = 0; i < 12; ++i) {
    fakes_[0]->counters[0].packets[SLUICE_VERDICT_OVERLOADED] += 10'000;
    Run(0.25, 0.6);
  }
  ExpectPairs(2);
  EXPECT_EQ(Decisions(AutoscaleWhy::kDrops), 1U);
}

TEST_F(AutoscalerTest, AHoldStaysAlsoForTheNextAgent) {
  Run(3, 1);
  ASSERT_TRUE(autoscaler_->Hold().ok());
  Run(60, 0);
  ExpectPairs(2);
  EXPECT_THAT(autoscaler_->sentence(), HasSubstr("held by `sluicectl queues hold`"));
  MakeAutoscaler({.automatic = true});
  EXPECT_EQ(autoscaler_->mode(), Autoscaler::Mode::kHold);
  Run(60, 0);
  ExpectPairs(2);
  ASSERT_TRUE(autoscaler_->Resume().ok());
  Run(60, 0);
  ExpectPairs(1);
  MakeAutoscaler({.automatic = true});
  EXPECT_EQ(autoscaler_->mode(), Autoscaler::Mode::kAuto);
}

TEST_F(AutoscalerTest, ANumberInTheConfigurationEndsAHold) {
  EXPECT_TRUE(autoscaler_->UserSetPairs());
  EXPECT_EQ(autoscaler_->mode(), Autoscaler::Mode::kHold);
  autoscaler_->SetWish({.automatic = false});
  EXPECT_EQ(autoscaler_->mode(), Autoscaler::Mode::kOff);
  EXPECT_FALSE(autoscaler_->UserSetPairs());
  EXPECT_TRUE(absl::IsFailedPrecondition(autoscaler_->Hold()));
  EXPECT_TRUE(absl::IsFailedPrecondition(autoscaler_->Resume()));
  Run(30, 1);
  ExpectPairs(1);
  autoscaler_->SetWish({.automatic = true});
  EXPECT_EQ(autoscaler_->mode(), Autoscaler::Mode::kAuto);
  Run(3, 1);
  ExpectPairs(2);
}

TEST_F(AutoscalerTest, BoundsTakeEffectAtOnce) {
  autoscaler_->SetWish({.automatic = true, .min = 3});
  Run(0.5, 0);
  ExpectPairs(3);
  autoscaler_->SetWish({.automatic = true, .min = 1, .max = 2});
  Run(0.5, 0);
  ExpectPairs(2);
  EXPECT_EQ(Decisions(AutoscaleWhy::kBounds), 2U);
}

TEST_F(AutoscalerTest, ARefusedResizeIsNotTriedEachSecond) {
  fakes_[1]->refused.insert("pairs 2");
  Run(4, 1);
  ExpectPairs(1);
  EXPECT_EQ(Decisions(AutoscaleWhy::kRefused), 1U);
  EXPECT_THAT(autoscaler_->sentence(), HasSubstr("is not tried again for"));
  fakes_[1]->refused.clear();
  Run(10, 1);
  EXPECT_GE(resizer_->active_pairs(), 2U) << autoscaler_->sentence();
}

TEST_F(AutoscalerTest, NothingIsDoneWithoutADataplaneOrADevice) {
  Run(1, 1);
  Die();
  Run(10, 1);
  EXPECT_EQ(resizer_->active_pairs(), 1U);
  EXPECT_EQ(Decisions(AutoscaleWhy::kRefused), 0U);
}

TEST_F(AutoscalerTest, WorkersOfTheUserStay) {
  ASSERT_TRUE(resizer_->Resize({4, {}, false}, false, SteadyTime::InfiniteFuture()).ok());
  ASSERT_TRUE(resizer_->SetWorkers(2, SteadyTime::InfiniteFuture()).ok());
  EXPECT_EQ(autoscaler_->bounds().max, 2U);
  Run(60, 0);
  ExpectPairs(1);
  EXPECT_EQ(placement_->workers(), 2U);
}

}  // namespace
}  // namespace sluice
