// Plans and runs the steps of an apply: their choice, their order, and putting back when one fails.
#include "control/apply/config_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/apply/config_run.h"
#include "control/config/keys.h"
#include "tests/config/other_value.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Config Parsed(const std::string& more) {
  absl::StatusOr<Config> config = ParseConfig(
      absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n", more, "[function]\ntype = \"reflect\"\n"), "f");
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : Config();
}

constexpr const char* kPairs = "[dataplane]\nqueue_pairs = 2\n";
constexpr const char* kEverything =
    "on_dataplane_down = \"hold\"\n[[rule]]\naction = \"pass\"\n[metrics]\nlisten = \"off\"\n"
    "[dataplane]\nqueue_pairs = 2\nworkers = 1\ncores = [0]\n";

absl::StatusOr<std::vector<ConfigStep>> Plan(const std::string& more, bool down = false) {
  return PlanConfig(Compare(Parsed(""), Parsed(more)), down);
}

TEST(ConfigPlan, OnlyTheStepsOfDifferences) {
  EXPECT_THAT(*Plan(""), IsEmpty());
  EXPECT_THAT(*Plan(kPairs), ElementsAre(ConfigStep::kQueuePairs));
  EXPECT_THAT(*Plan("on_dataplane_down = \"drop\"\n"), ElementsAre(ConfigStep::kDownPolicies));
  EXPECT_THAT(*Plan("[dataplane]\ncores = [1]\n"), ElementsAre(ConfigStep::kPlacement));
  EXPECT_THAT(*Plan("[dataplane]\nworkers = 1\n"), ElementsAre(ConfigStep::kPlacement));
  EXPECT_THAT(*Plan("[metrics]\nlisten = \"off\"\n"), ElementsAre(ConfigStep::kMetrics));
  EXPECT_THAT(*Plan("[[rule]]\naction = \"drop\"\n"), ElementsAre(ConfigStep::kRules));
  EXPECT_THAT(*Plan("[blocklist]\nfile = \"/l\"\n"), ElementsAre(ConfigStep::kLists));
}

TEST(ConfigPlan, EveryKeyYieldsItsStepOrNeedsARestart) {
  const Config before = TwoPortConfig();
  for (const KeySpec& spec : AllKeys()) {
    const absl::StatusOr<std::vector<ConfigStep>> steps =
        PlanConfig(Compare(before, WithOtherValue(spec, before)), /*dataplane_down=*/false);
    if (spec.change.live()) {
      ASSERT_TRUE(steps.ok()) << spec.key << ": " << steps.status();
      EXPECT_THAT(*steps, ElementsAre(*spec.change.step())) << spec.key;
    } else {
      EXPECT_THAT(std::string(steps.status().message()), HasSubstr("a restart")) << spec.key;
    }
  }
}

TEST(ConfigPlan, ALiveSettingOfTheFunctionYieldsAStep) {
  ConfigDiff diff;
  diff.changes.push_back({"function.limit", "1", "2", ChangeBy::Live(ConfigStep::kFunction)});
  EXPECT_THAT(*PlanConfig(diff, false), ElementsAre(ConfigStep::kFunction));
  EXPECT_THAT(std::string(PlanConfig(diff, true).status().message()), HasSubstr("the dataplane is down"));
  diff.changes.push_back({"function.style", "a", "b", ChangeBy::Restart()});
  EXPECT_THAT(std::string(PlanConfig(diff, false).status().message()), HasSubstr("function.style needs a restart"));
}

TEST(ConfigPlan, RulesComeLast) {
  EXPECT_THAT(*Plan(kEverything), ElementsAre(ConfigStep::kMetrics, ConfigStep::kDownPolicies, ConfigStep::kPlacement,
                                              ConfigStep::kQueuePairs, ConfigStep::kRules));
  const std::vector<ConfigStep> all = AllConfigSteps();
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(all.back(), ConfigStep::kRules);
}

TEST(ConfigPlan, NamesEveryKeyThatNeedsARestart) {
  const auto plan = Plan("[dataplane]\nqueue_pairs = 2\nmode = \"copy\"\npoll = \"busy\"\n");
  EXPECT_TRUE(absl::IsFailedPrecondition(plan.status()));
  EXPECT_THAT(std::string(plan.status().message()),
              HasSubstr("dataplane.mode, dataplane.poll need a restart (systemctl restart sluice-agent)"));
  EXPECT_THAT(std::string(Plan("[dataplane]\nmode = \"copy\"\n").status().message()),
              HasSubstr("dataplane.mode needs a restart"));
}

TEST(ConfigPlan, WithoutADataplaneRulesAndMetricsAlone) {
  EXPECT_THAT(*Plan("[metrics]\nlisten = \"off\"\n[[rule]]\naction = \"drop\"\n", true),
              ElementsAre(ConfigStep::kMetrics, ConfigStep::kRules));
  for (const char* more : {kPairs, "[dataplane]\nworkers = 1\n", "on_dataplane_down = \"drop\"\n"}) {
    EXPECT_THAT(std::string(Plan(more, true).status().message()), HasSubstr("the dataplane is down")) << more;
  }
}

// Records the calls. A configuration with two queue pairs is the wanted one, any other is the one to go back to.
class Recorder : public ConfigActions {
 public:
  Config Running() const override { return Parsed(""); }
  bool dataplane_down() const override { return false; }
  absl::Status Check(ConfigStep step, const Config& /*wanted*/) override {
    calls.push_back(absl::StrCat("check ", StepName(step)));
    return step == unfit ? absl::FailedPreconditionError("there is no such core") : absl::OkStatus();
  }
  void Settle() override {}
  absl::Status Do(ConfigStep step, const Config& wanted) override {
    const bool forward = wanted.dataplane.queue_pairs.count == 2;
    calls.push_back(absl::StrCat(forward ? "" : "un", "do ", StepName(step)));
    return step == (forward ? failing : stuck) ? absl::ResourceExhaustedError("ENOMEM") : absl::OkStatus();
  }

  std::vector<std::string> calls;
  std::optional<ConfigStep> unfit, failing, stuck;
};

ConfigOutcome RunAll(Recorder& recorder) {
  return RunConfigPlan(AllConfigSteps(), Parsed(""), Parsed(kEverything), recorder);
}

TEST(ConfigRun, ChecksEverythingBeforeItDoesAnything) {
  Recorder recorder;
  EXPECT_TRUE(RunAll(recorder).error.ok());
  EXPECT_THAT(recorder.calls,
              ElementsAre("check [metrics] listen", "check on_dataplane_down", "check workers and cores",
                          "check queue_pairs", "check the function's settings", "check blocklist and allowlist",
                          "check rules", "do [metrics] listen", "do on_dataplane_down", "do workers and cores",
                          "do queue_pairs", "do the function's settings", "do blocklist and allowlist", "do rules"));
}

TEST(ConfigRun, AStepThatFailsItsCheckChangesNothing) {
  for (const ConfigStep step : AllConfigSteps()) {
    Recorder recorder;
    recorder.unfit = step;
    const ConfigOutcome outcome = RunAll(recorder);
    EXPECT_TRUE(outcome.as_before);
    EXPECT_TRUE(absl::IsFailedPrecondition(outcome.error));
    EXPECT_EQ(std::string(outcome.error.message()),
              absl::StrCat(StepName(step), ": there is no such core; nothing was changed"));
    for (const std::string& call : recorder.calls) {
      EXPECT_THAT(call, testing::StartsWith("check "));
    }
  }
}

TEST(ConfigRun, EarlierStepsArePutBackInReverseWhenOneFails) {
  Recorder recorder;
  recorder.failing = ConfigStep::kQueuePairs;
  const ConfigOutcome outcome = RunAll(recorder);
  EXPECT_TRUE(outcome.as_before);
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(outcome.error.message()), "queue_pairs: ENOMEM; everything is as before");
  recorder.calls.erase(recorder.calls.begin(),
                       recorder.calls.begin() + static_cast<ptrdiff_t>(AllConfigSteps().size()));
  EXPECT_THAT(recorder.calls,
              ElementsAre("do [metrics] listen", "do on_dataplane_down", "do workers and cores", "do queue_pairs",
                          "undo workers and cores", "undo on_dataplane_down", "undo [metrics] listen"));
}

TEST(ConfigRun, GoesOnPuttingBackPastAnError) {
  Recorder recorder;
  recorder.failing = ConfigStep::kRules;
  recorder.stuck = ConfigStep::kQueuePairs;
  const ConfigOutcome outcome = RunAll(recorder);
  EXPECT_FALSE(outcome.as_before);
  EXPECT_THAT(std::string(outcome.error.message()),
              testing::StartsWith("rules: ENOMEM; and putting back what was changed before it failed: queue_pairs: "));
  EXPECT_EQ(recorder.calls.back(), "undo [metrics] listen");
}

TEST(ConfigRun, GoingBackBeginsWithTheRules) {
  Recorder recorder;
  EXPECT_TRUE(PutBack(AllConfigSteps(), Parsed(""), recorder).ok());
  EXPECT_EQ(recorder.calls.front(), "undo rules");
  EXPECT_EQ(recorder.calls.size(), AllConfigSteps().size());
}

}  // namespace
}  // namespace sluice
