// Every load of the table against a machine in memory (plant.h): the number of changes, and the size in the end.
#include "control/autoscale/autoscale.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/autoscale/plant.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr double kHourS = 3600;

struct Case {
  const char* name;
  uint32_t start;  // pairs
  double seconds;
  std::function<Offered(double)> load;
  size_t most_changes;
  uint32_t pairs;       // in the end
  uint32_t most_pairs;  // at any time
  const char* says;     // part of the last sentence
};

Offered Mice(double cores) {
  return {.mice = cores};
}

std::function<Offered(double)> Always(Offered offered) {
  return [offered](double /*t*/) { return offered; };
}

// Rises from 0 to `top` in half of the time, and falls again.
double Triangle(double t, double period, double top) {
  const double phase = std::fmod(t, period) / period;
  return top * (phase < 0.5 ? 2 * phase : 2 - 2 * phase);
}

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"nothing", 1, kHourS, [](double) { return Mice(0); }, 0, 1, 1, "1 pair carries it"},
      {"nothing any more", 4, 60, [](double) { return Mice(0); }, 2, 1, 4, "1 pair carries it"},
      {"light", 1, kHourS, [](double) { return Mice(0.3); }, 0, 1, 1, "1 pair carries it"},
      {"just below full", 1, kHourS, [](double) { return Mice(0.85); }, 0, 1, 1, "1 pair carries it"},
      {"busy, and kept at two", 2, kHourS, [](double) { return Mice(0.85); }, 0, 2, 2, "2 pairs carry it"},
      {"full", 1, kHourS, [](double) { return Mice(1.3); }, 2, 2, 2, "2 pairs carry it"},
      {"three cores", 1, kHourS, [](double) { return Mice(2.4); }, 3, 4, 4, "4 pairs carry it"},
      {"more than the device can", 1, kHourS, [](double) { return Mice(9); }, 3, 4, 4, "the device has 4 queue pairs"},
      {"ramp up", 1, 600, [](double t) { return Mice(t / 200); }, 4, 4, 4, "4 pairs carry it"},
      {"ramp down", 4, 660, [](double t) { return Mice(std::max(0.0, 3 - t / 200)); }, 6, 1, 4, "1 pair carries it"},
      {"up for a while", 1, 300, [](double t) { return Mice(t > 60 && t < 120 ? 2.4 : 0.1); }, 5, 1, 4,
       "1 pair carries it"},
      {"burst of SYN, every minute", 1, kHourS, [](double t) { return Mice(std::fmod(t, 60) < 0.6 ? 6 : 0.2); }, 0, 1,
       1, "1 pair carries it"},
      {"burst of SYN, every second", 1, kHourS, [](double t) { return Mice(std::fmod(t, 1) < 0.02 ? 9 : 0.1); }, 0, 1,
       1, "1 pair carries it"},
      {"one elephant", 1, kHourS, Always(Offered{0, 1.5}), 0, 1, 1, "one flow is 100 %"},
      {"one elephant among mice", 1, kHourS, Always(Offered{0.2, 1.2}), 0, 1, 1, "one flow is 8"},
      {"one elephant among mice, at two", 2, kHourS, Always(Offered{0.3, 1.2}), 0, 2, 2, "one flow is"},
      {"one elephant alone, at four", 4, kHourS, Always(Offered{0, 1.2}), 2, 1, 4, "one flow is 100 %"},
      {"an elephant that is no majority", 1, kHourS, Always(Offered{0.7, 0.5}), 3, 3, 3, "3 pairs"},
  };
  return cases;
}

class AutoscaleLoad : public testing::TestWithParam<std::tuple<size_t, bool>> {};

TEST_P(AutoscaleLoad, IsFollowedWithFewChanges) {
  const Case& c = Cases()[std::get<0>(GetParam())];
  Plant plant;
  plant.setup.can_spread = std::get<1>(GetParam());
  plant.StartWith(c.start);
  plant.Run(c.seconds, c.load);
  // With RSS, pairs that no longer get traffic are closed in one more change.
  EXPECT_LE(plant.changes.size(), c.most_changes + (plant.setup.can_spread ? 1 : 0)) << c.name << plant.Story();
  EXPECT_EQ(plant.setup.active_pairs, c.pairs) << c.name << plant.Story();
  EXPECT_EQ(plant.most_pairs, c.most_pairs) << c.name << plant.Story();
  EXPECT_THAT(plant.last.sentence, HasSubstr(c.says)) << c.name << plant.Story();
}

INSTANTIATE_TEST_SUITE_P(All, AutoscaleLoad,
                         testing::Combine(testing::Range<size_t>(0, Cases().size()), testing::Bool()));

class AutoscaleWave : public testing::TestWithParam<std::tuple<double, double, bool>> {};

// The changes of a square wave: a few until each lever's hold is as long as the wave's low half, then none; for longer
// waves one down and one up for each lever in the longest hold.
TEST_P(AutoscaleWave, NeverFlaps) {
  const auto [period, high, can_spread] = GetParam();
  Plant plant;
  plant.setup.can_spread = can_spread;
  const double seconds = period < 60 ? 2.5 * kHourS : std::max(5 * kHourS, 3 * period);
  const auto wave = [period = period, high = high](double t) {
    return Mice(std::fmod(t, period) < period / 2 ? high : 0.05);
  };
  plant.Run(seconds, wave);
  std::vector<size_t> of_hour(static_cast<size_t>(seconds / kHourS) + 2, 0);
  for (const Change& change : plant.changes) {
    ++of_hour[static_cast<size_t>(change.at_s / kHourS)];
  }
  // Down by cores, by spread and by channels, and up in at most two steps by each.
  constexpr size_t kOfAPeriod = 3 + 3 * 2;
  const size_t periods_of_hour = period / 2 < 600 ? 1 : static_cast<size_t>(std::ceil(kHourS / period)) + 1;
  for (size_t hour = 0; hour < of_hour.size(); ++hour) {
    // A long wave takes hours to double the holds.
    const size_t most = hour == 0 ? 40 : hour < 3 ? 24 : periods_of_hour * kOfAPeriod;
    EXPECT_LE(of_hour[hour], most) << "hour " << hour << " of period " << period << plant.Story();
  }
}

INSTANTIATE_TEST_SUITE_P(Periods, AutoscaleWave,
                         testing::Combine(testing::Values(0.1, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 13, 15, 21,
                                                          25, 30, 45, 60, 90, 120, 180, 300, 500, 800, 1150, 1300, 1900,
                                                          3600, 5000, 7300, 12000),
                                          testing::Values(1.2, 3.2), testing::Bool()));

TEST(Autoscale, ASawtoothIsFollowedAndThenCarried) {
  for (const double period : {4.0, 10.0, 40.0, 120.0, 600.0}) {
    Plant plant;
    plant.Run(kHourS, [&](double t) { return Mice(3.5 * std::fmod(t, period) / period); });
    const size_t early = plant.changes.size();
    EXPECT_LE(early, 40U) << period << plant.Story();
    plant.Run(3 * kHourS, [&](double t) { return Mice(3.5 * std::fmod(t, period) / period); });
    EXPECT_LE(plant.changes.size(), early + 3 * 8U) << "later, of period " << period << plant.Story();
  }
}

TEST(Autoscale, ATriangleOfHoursIsFollowed) {
  Plant plant;
  plant.Run(12 * kHourS, [](double t) { return Mice(Triangle(t, 4 * kHourS, 3.5)); });
  EXPECT_LE(plant.changes.size(), 3 * 2 * 6U) << plant.Story();
  EXPECT_EQ(plant.most_pairs, 4U);
  EXPECT_EQ(plant.setup.active_pairs, 1U) << plant.Story();
}

TEST(Autoscale, NoiseChangesNothing) {
  std::mt19937 random(20121104);
  for (const double mean : {0.2, 0.4, 0.6}) {
    std::gamma_distribution<double> noise(16, mean / 16);
    for (const uint32_t start : {1U, 2U}) {
      Plant plant;
      plant.StartWith(start);
      plant.Run(4 * kHourS, [&](double) { return Mice(noise(random)); });
      EXPECT_LE(plant.changes.size(), start == 1 ? 0U : 2U) << mean << plant.Story();
    }
  }
}

// Independent loads of every quarter of a second around the size at which it grows: it grows once, and stays.
TEST(Autoscale, NoiseAroundAFullCoreDoesNotFlap) {
  std::mt19937 random(20121104);
  double level = 0;
  int steps = 0;
  Plant plant;
  plant.Run(6 * kHourS, [&](double) {
    level = steps++ % 100 == 0 ? std::uniform_real_distribution<double>(0.2, 1.6)(random) : level;
    return Mice(level);
  });
  EXPECT_LE(plant.changes.size(), 20U) << plant.Story();
  EXPECT_LE(plant.most_pairs, 3U);
}

TEST(Autoscale, IsNotLargerThanNeededForLong) {
  Plant plant;
  // The worst history: the holds are as long as they become.
  plant.Run(2 * kHourS, [](double t) { return Mice(std::fmod(t, 900) < 450 ? 3 : 0); });
  EXPECT_EQ(plant.setup.active_pairs, 4U) << plant.Story();
  plant.Run(660, [](double) { return Mice(0.1); });
  EXPECT_EQ(plant.setup.active_pairs, 1U) << plant.Story();
  EXPECT_EQ(plant.setup.workers, 1U);
}

TEST(Autoscale, LossesEndWithinSeconds) {
  Plant plant;
  plant.Run(60, [](double) { return Mice(3.2); });
  EXPECT_EQ(plant.setup.active_pairs, 4U);
  const double lost = plant.dropped;
  EXPECT_LT(lost, 2.2 * 2 + 1.2 * 10) << plant.Story();
  plant.Run(60, [](double) { return Mice(3.2); });
  EXPECT_EQ(plant.dropped, lost) << "four pairs carry it";
}

TEST(Autoscale, TheCheapestLeverComesFirst) {
  Plant plant;
  plant.setup.can_spread = true;
  plant.StartWith(4);
  plant.setup.workers = 1;
  plant.setup.active_pairs = 2;
  plant.Run(30, [](double) { return Mice(3); });
  ASSERT_GE(plant.changes.size(), 2U) << plant.Story();
  EXPECT_EQ(plant.changes[0].lever, Lever::kCores);
  EXPECT_EQ(plant.changes[1].lever, Lever::kSpread);
  EXPECT_EQ(plant.setup.active_pairs, 4U);

  Plant down;
  down.setup.can_spread = true;
  down.StartWith(4);
  down.Run(400, [](double) { return Mice(0.1); });
  ASSERT_EQ(down.changes.size(), 3U) << down.Story();
  EXPECT_EQ(down.changes[0].lever, Lever::kCores);
  EXPECT_EQ(down.changes[1].lever, Lever::kSpread);
  EXPECT_EQ(down.changes[2].lever, Lever::kChannels);
  EXPECT_EQ(down.setup.open_pairs, 1U);
}

TEST(Autoscale, BoundsAreRespectedAndFollowed) {
  Plant plant;
  plant.setup.bounds = {2, 3};
  plant.StartWith(4);
  plant.Run(5, [](double) { return Mice(0); });
  ASSERT_EQ(plant.changes.size(), 1U) << plant.Story();
  EXPECT_EQ(plant.changes[0].why, AutoscaleWhy::kBounds);
  EXPECT_EQ(plant.setup.active_pairs, 3U);
  plant.Run(600, [](double) { return Mice(0); });
  EXPECT_EQ(plant.setup.active_pairs, 2U) << plant.Story();
  plant.Run(600, [](double) { return Mice(9); });
  EXPECT_EQ(plant.setup.active_pairs, 3U) << plant.Story();
  EXPECT_EQ(plant.last.why, AutoscaleWhy::kAtMost);
  EXPECT_THAT(plant.last.sentence, HasSubstr("queue_pairs_max is 3"));
  plant.setup.bounds = {4, 4};
  plant.Run(5, [](double) { return Mice(9); });
  EXPECT_EQ(plant.setup.active_pairs, 4U) << plant.Story();
}

TEST(Autoscale, NoMorePairsThanThereAreCores) {
  Plant plant;
  plant.setup.usable_workers = 2;
  plant.Run(600, [](double) { return Mice(9); });
  EXPECT_EQ(plant.setup.active_pairs, 2U) << plant.Story();
  EXPECT_THAT(plant.last.sentence, HasSubstr("2 workers at most, one a core"));
}

TEST(Autoscale, WorkersThatTheUserHasSetStay) {
  Plant plant;
  plant.StartWith(4);
  plant.setup.workers = plant.setup.usable_workers = 3;
  plant.setup.workers_are_set = true;
  plant.Run(600, [](double) { return Mice(0); });
  EXPECT_EQ(plant.setup.workers, 3U);
  EXPECT_EQ(plant.setup.active_pairs, 1U) << plant.Story();
}

TEST(Autoscale, ADeviceOfOneQueueStays) {
  Plant plant;
  plant.setup.device_pairs = 1;
  plant.Run(600, [](double) { return Mice(3); });
  EXPECT_TRUE(plant.changes.empty());
  EXPECT_EQ(plant.last.why, AutoscaleWhy::kAtMost);
  EXPECT_THAT(plant.last.sentence, HasSubstr("the device has 1 queue pair"));
}

TEST(Autoscale, ADeviceThatDoesNotSpreadFlowsIsTriedOnce) {
  Plant plant;
  plant.device_spreads = false;
  plant.Run(6 * kHourS, [](double) { return Mice(1.5); });
  EXPECT_EQ(plant.changes.size(), 1U) << plant.Story();
  EXPECT_EQ(plant.last.why, AutoscaleWhy::kUneven);
  EXPECT_THAT(plant.last.sentence, HasSubstr("lane 0 gets 100 % of all packets"));
}

TEST(Autoscale, ARefusalIsRememberedAndBackedOff) {
  Plant plant;
  plant.refuses = [](const Change&) { return true; };
  plant.Run(2 * kHourS, [](double) { return Mice(3); });
  EXPECT_TRUE(plant.changes.empty());
  EXPECT_LE(plant.refusals, 8U + 12U) << "seven doublings from 5 s, then one in ten minutes";
  EXPECT_GE(plant.refusals, 8U);
  EXPECT_THAT(plant.last.sentence, HasSubstr("the kernel said no"));
  plant.refuses = [](const Change&) { return false; };
  plant.Run(660, [](double) { return Mice(3); });
  EXPECT_EQ(plant.setup.active_pairs, 4U) << "and tried again";
}

TEST(Autoscale, ABusyWorkerWithShortRoundsIsNotFull) {
  AutoscaleSetup setup;
  setup.usable_workers = setup.device_pairs = 4;
  setup.bounds = {1, 4};
  std::vector<LoadSample> window;
  for (int64_t i = 1; i <= 16; ++i) {
    LoadSample sample;
    sample.at_ns = i * 250'000'000;
    sample.took_ns = 250'000'000;
    sample.lanes = {{.worker = 0, .packets = 100'000}};
    sample.workers = {{.busy_ns = 245'000'000, .idle_ns = 5'000'000, .busy_rounds = 50'000}};
    window.push_back(sample);
  }
  EXPECT_EQ(JudgeLoad(window, setup, {}).lever, Lever::kNone);
  for (LoadSample& sample : window) {
    sample.workers[0].busy_rounds = 2'000;
  }
  EXPECT_EQ(JudgeLoad(window, setup, {}).lever, Lever::kChannels) << "50 packets a round: its rings are never empty";
}

TEST(Autoscale, PairsOnWhichXdpSendsOffloadedFlowsStay) {
  AutoscaleSetup setup;
  setup.active_pairs = setup.open_pairs = setup.workers = 2;
  setup.usable_workers = setup.device_pairs = 4;
  setup.bounds = {1, 4};
  const auto judge = [&](uint64_t offloaded) {
    AutoscaleMemory memory;
    std::vector<LoadSample> window;
    for (int64_t i = 1; i <= 200; ++i) {
      window = {{.at_ns = i * 250'000'000,
                 .took_ns = 250'000'000,
                 .lanes = {{.worker = 0, .offloaded = offloaded}, {.worker = 1}},
                 .workers = {{.idle_ns = 250'000'000}, {.idle_ns = 250'000'000}}}};
      const AutoscaleJudgement judgement = JudgeLoad(window, setup, memory);
      if (judgement.lever != Lever::kNone) {
        return judgement;
      }
      memory = judgement.memory;
    }
    return JudgeLoad(window, setup, memory);
  };
  EXPECT_EQ(judge(100).why, AutoscaleWhy::kIdle) << "400 a second are no load";
  EXPECT_EQ(judge(100'000).lever, Lever::kNone);
  EXPECT_THAT(judge(100'000).sentence, HasSubstr("offloaded flows"));
}

TEST(Autoscale, EveryReasonHasAName) {
  for (const AutoscaleWhy why : kCountedWhys) {
    EXPECT_STRNE(AutoscaleWhyName(why), "enough");
  }
}

}  // namespace
}  // namespace sluice
