// Applies, confirms and rolls back configurations, on a fake that fails when it is told to.
#include "control/apply/config_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/base/clock.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Text(uint32_t pairs, const std::string& more = "") {
  return absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n[function]\ntype = \"reflect\"\n",
                      "[dataplane]\nqueue_pairs = ", pairs, "\n", more);
}

constexpr const char* kRule = "[[rule]]\naction = \"drop\"\n";

Config Parsed(const std::string& text) {
  absl::StatusOr<Config> config = ParseConfig(text, "f");
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : Config();
}

// Has a number of queue pairs and rules. A step changes them, or fails if the test wants that.
class FakeFunction : public ConfigActions {
 public:
  explicit FakeFunction(const std::string& text) : running_(Parsed(text)) {}
  Config Running() const override { return running_; }
  bool dataplane_down() const override { return false; }
  absl::Status Check(ConfigStep /*step*/, const Config& /*wanted*/) override { return absl::OkStatus(); }
  absl::Status Do(ConfigStep step, const Config& wanted) override {
    ++steps;
    if (before_step != nullptr) {
      before_step();
    }
    if (step == failing) {
      return absl::ResourceExhaustedError("ENOMEM");
    }
    if (step == ConfigStep::kQueuePairs) {
      running_.dataplane.queue_pairs = wanted.dataplane.queue_pairs;
    } else if (step == ConfigStep::kRules) {
      running_.rules = wanted.rules;
    }
    return absl::OkStatus();
  }
  void Settle() override { settled = true; }
  bool Runs(const std::string& text) const { return Compare(running_, Parsed(text)).empty(); }

  std::optional<ConfigStep> failing;
  std::function<void()> before_step;
  int steps = 0;
  bool settled = false;

 private:
  Config running_;
};

class ConfigKeeperTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = folder_ + "/sluice.toml";
    state_.emplace(*StateDir::Open(folder_ + "/state"));
    Start({Parsed(Text(1)), {file_, false, {}}, Text(1), {}});
  }

  void Start(StartConfig start) { keeper_.emplace(function_, *state_, std::move(start), file_); }
  absl::StatusOr<AppliedConfig> Apply(const std::string& text, absl::Duration confirm = absl::ZeroDuration()) {
    return keeper_->Apply(Parsed(text), text, file_, confirm);
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path();
  std::string file_;
  std::optional<StateDir> state_;
  FakeFunction function_{Text(1)};
  std::optional<ConfigKeeper> keeper_;
};

TEST_F(ConfigKeeperTest, TheConfigurationItStartsWithBecomesTheLastGoodOne) {
  EXPECT_EQ(*state_->ReadLastGood(), Text(1));
  EXPECT_EQ(keeper_->Status().file(), file_);
  EXPECT_EQ(keeper_->Status().state(), "file");
  EXPECT_FALSE(keeper_->Status().has_pending());
}

TEST_F(ConfigKeeperTest, AppliesForGood) {
  const absl::StatusOr<AppliedConfig> applied = Apply(Text(2, kRule));
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(applied->diff.changes.size(), 1u);
  EXPECT_EQ(applied->diff.rules.size(), 1u);
  EXPECT_THAT(applied->warnings, IsEmpty());
  EXPECT_TRUE(function_.Runs(Text(2, kRule)));
  EXPECT_EQ(*state_->ReadLastGood(), Text(2, kRule));
  EXPECT_TRUE(absl::IsNotFound(state_->ReadApply().status()));
}

TEST_F(ConfigKeeperTest, WarnsThatTheNextAgentStartsWithAnotherFile) {
  const absl::StatusOr<AppliedConfig> applied =
      keeper_->Apply(Parsed(Text(2)), Text(2), "/tmp/new.toml", absl::ZeroDuration());
  ASSERT_TRUE(applied.ok());
  EXPECT_THAT(applied->warnings, ElementsAre(HasSubstr(file_)));
  EXPECT_EQ(keeper_->Status().file(), "/tmp/new.toml");
}

TEST_F(ConfigKeeperTest, WhileStepsRunTheFolderSaysHowToGoBack) {
  function_.before_step = [this] {
    const absl::StatusOr<SavedApply> apply = state_->ReadApply();
    ASSERT_TRUE(apply.ok());
    EXPECT_TRUE(apply->under_way());
    EXPECT_TRUE(Compare(Parsed(apply->previous()), Parsed(Text(1))).empty());
  };
  EXPECT_TRUE(Apply(Text(2, kRule)).ok());
  EXPECT_EQ(function_.steps, 2);
}

// So a machine that is switched off while the steps run does not start with that configuration.
TEST_F(ConfigKeeperTest, WhileStepsRunTheApplyCountsAsNotConfirmed) {
  function_.before_step = [this] { EXPECT_GT(state_->ReadApply()->deadline_ns(), 0); };
  EXPECT_TRUE(Apply(Text(2), absl::Hours(1)).ok());
  EXPECT_EQ(function_.steps, 1);
}

TEST_F(ConfigKeeperTest, AStepThatFailsLeavesNothing) {
  function_.failing = ConfigStep::kRules;
  const absl::Status s = Apply(Text(2, kRule), absl::Hours(1)).status();
  EXPECT_EQ(std::string(s.message()), "rules: ENOMEM; everything is as before");
  EXPECT_TRUE(function_.Runs(Text(1)));
  EXPECT_FALSE(keeper_->Status().has_pending());
  EXPECT_EQ(*state_->ReadLastGood(), Text(1));
  EXPECT_TRUE(absl::IsNotFound(state_->ReadApply().status()));
}

TEST_F(ConfigKeeperTest, GoingBackIsTriedUntilItWorks) {
  ASSERT_TRUE(Apply(Text(2, kRule), absl::Hours(1)).ok());
  function_.failing = ConfigStep::kQueuePairs;
  EXPECT_THAT(std::string(keeper_->Rollback().message()), HasSubstr("queue_pairs: ENOMEM"));
  EXPECT_TRUE(function_.Runs(Text(2))) << "the rules are back although the queue pairs are not";
  EXPECT_EQ(keeper_->Status().pending().seconds_left(), 0u);
  EXPECT_EQ(keeper_->Status().pending().error(), "queue_pairs: ENOMEM");
  EXPECT_TRUE(state_->ReadApply()->under_way());
  EXPECT_THAT(std::string(keeper_->Confirm().message()), HasSubstr("is being rolled back already"));
  EXPECT_THAT(std::string(Apply(Text(3)).status().message()), HasSubstr("did not work yet: queue_pairs: ENOMEM"));
  const int steps = function_.steps;
  keeper_->Tick();
  EXPECT_EQ(function_.steps, steps) << "the next attempt comes after a pause";
  function_.failing.reset();
  EXPECT_TRUE(keeper_->Rollback().ok());
  EXPECT_TRUE(function_.Runs(Text(1)));
  EXPECT_FALSE(keeper_->Status().has_pending());
}

// A configuration that may have locked its user out must not do so again at the next start.
TEST_F(ConfigKeeperTest, AnUnconfirmedFileStaysRejectedUntilItIsAppliedForGood) {
  ASSERT_TRUE(Apply(Text(2), absl::Hours(1)).ok());
  ASSERT_TRUE(keeper_->Rollback().ok());
  const auto rejected = [this] {
    const absl::StatusOr<SavedApply> left = state_->ReadApply();
    return left.ok() && left->rolled_back() && !left->under_way() ? left->text() : "";
  };
  EXPECT_EQ(rejected(), Text(2));
  function_.failing = ConfigStep::kRules;
  EXPECT_FALSE(Apply(Text(3, kRule)).ok());
  EXPECT_EQ(rejected(), Text(2));
  function_.failing.reset();
  EXPECT_TRUE(keeper_->Apply(Parsed(Text(4)), Text(4), "/tmp/other.toml", absl::ZeroDuration()).ok());
  EXPECT_EQ(rejected(), Text(2)) << "the rejected file itself has not changed";
  Start({Parsed(Text(4)), {"last-good.toml", true, {}}, "", {}});
  EXPECT_EQ(rejected(), Text(2));
  EXPECT_FALSE(keeper_->Status().has_pending());
  EXPECT_TRUE(Apply(Text(2)).ok());
  EXPECT_TRUE(absl::IsNotFound(state_->ReadApply().status()));
}

TEST_F(ConfigKeeperTest, AStepThatCannotBePutBackIsTriedAgain) {
  // The step of the rules fails, and so does putting back the queue pairs.
  function_.before_step = [this] {
    function_.failing =
        function_.Running().dataplane.queue_pairs.count == 1 ? ConfigStep::kRules : ConfigStep::kQueuePairs;
    if (function_.steps == 2) {
      function_.failing = ConfigStep::kRules;
    }
  };
  EXPECT_THAT(std::string(Apply(Text(2, kRule)).status().message()), HasSubstr("the agent goes on trying"));
  EXPECT_TRUE(keeper_->Status().has_pending());
  function_.before_step = nullptr;
  function_.failing.reset();
  EXPECT_TRUE(keeper_->Rollback().ok());
  EXPECT_TRUE(function_.Runs(Text(1)));
}

TEST_F(ConfigKeeperTest, ASuccessorRollsBackAnInterruptedApply) {
  SavedApply apply;
  apply.set_file(file_);
  apply.set_text(Text(2, kRule));
  apply.set_previous(Text(3));
  apply.set_previous_file("/old.toml");
  apply.set_under_way(true);
  apply.set_boot_id(BootId());
  ASSERT_TRUE(state_->KeepApply(apply).ok());
  Start({Parsed(Text(3)), {"/old.toml", false, {}}, "", apply});
  keeper_->Tick();
  EXPECT_TRUE(function_.Runs(Text(3)));
  EXPECT_FALSE(keeper_->Status().has_pending());
  EXPECT_EQ(keeper_->Status().file(), "/old.toml");
  EXPECT_THAT(keeper_->Status().problems(), ElementsAre(HasSubstr("was rolled back")));
}

TEST_F(ConfigKeeperTest, RollsBackToTheLastGoodOne) {
  Start({Parsed(Text(1)), {"/state/last-good.toml", true, {"f:1: x: unknown key"}}, "", {}});
  ASSERT_TRUE(Apply(Text(2), absl::Hours(1)).ok());
  EXPECT_EQ(keeper_->Status().state(), "file");
  EXPECT_THAT(keeper_->Status().problems(), IsEmpty());
  EXPECT_TRUE(keeper_->Rollback().ok());
  EXPECT_EQ(keeper_->Status().state(), "last good");
  EXPECT_THAT(keeper_->Status().problems(), ElementsAre("f:1: x: unknown key"));
}

TEST_F(ConfigKeeperTest, FormerStateIsKeptAsLongAsAnApplyMayGoBack) {
  function_.settled = false;
  ASSERT_TRUE(Apply(Text(2), absl::Hours(1)).ok());
  EXPECT_FALSE(function_.settled);
  ASSERT_TRUE(keeper_->Confirm().ok());
  EXPECT_TRUE(function_.settled);
  function_.settled = false;
  function_.failing = ConfigStep::kQueuePairs;
  ASSERT_FALSE(Apply(Text(3)).ok());
  EXPECT_TRUE(function_.settled);
}

TEST_F(ConfigKeeperTest, AFileOfAListIsReadAtEachApply) {
  const std::string text = Text(1, "[blocklist]\nfile = \"/l\"\n");
  ASSERT_TRUE(Apply(text).ok());
  EXPECT_EQ(function_.steps, 1);
  ASSERT_TRUE(Apply(text).ok());
  EXPECT_EQ(function_.steps, 2) << "its content may be another one";
}

TEST_F(ConfigKeeperTest, CopiesOfListsAreKeptWhenTheApplyIsFinal) {
  const ListCopies copies = state_->list_copies();
  const auto copy = [&copies] {
    std::string text;
    std::getline(std::ifstream(copies.last_good_path("blocklist")), text);
    return text;
  };
  ASSERT_TRUE(copies.Stage("blocklist", "one").ok());
  ASSERT_TRUE(Apply(Text(2), absl::Hours(1)).ok());
  EXPECT_EQ(copy(), "");
  ASSERT_TRUE(keeper_->Confirm().ok());
  EXPECT_EQ(copy(), "one");
  ASSERT_TRUE(copies.Stage("blocklist", "two").ok());
  ASSERT_TRUE(Apply(Text(3), absl::Hours(1)).ok());
  ASSERT_TRUE(keeper_->Rollback().ok());
  ASSERT_TRUE(Apply(Text(4)).ok());
  EXPECT_EQ(copy(), "one");
}

TEST_F(ConfigKeeperTest, WithoutAFolderNothingIsApplied) {
  state_.emplace(*StateDir::Open("/proc/none"));
  Start({Parsed(Text(1)), {file_, false, {}}, Text(1), {}});
  EXPECT_THAT(std::string(Apply(Text(2)).status().message()),
              testing::AllOf(HasSubstr("/proc/none"), HasSubstr("nothing was changed")));
  EXPECT_EQ(function_.steps, 0);
}

}  // namespace
}  // namespace sluice
