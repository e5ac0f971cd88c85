// Keeps configurations in the state folder, and chooses the one that an agent starts with.
#include "control/apply/config_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/state/state_dir.h"
#include "dataplane/base/clock.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kHourNs = 3'600'000'000'000;

std::string Good(uint32_t pairs) {
  return absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n[function]\ntype = \"reflect\"\n",
                      "[dataplane]\nqueue_pairs = ", pairs, "\n");
}

class ConfigStartTest : public testing::Test {
 protected:
  void SetUp() override {
    config_ = folder_ + "/sluice.toml";
    state_.emplace(*StateDir::Open(folder_ + "/a/state"));
  }

  void Write(const std::string& text) { std::ofstream(config_, std::ios::trunc) << text; }
  StartChoices Choices(bool takes_over = false) { return FindStartChoices(config_, *state_, takes_over); }
  // Returns a saved apply from 2 pairs to 3.
  SavedApply Apply(bool under_way, int64_t deadline_ns) {
    SavedApply apply;
    apply.set_file("/new.toml");
    apply.set_text(Good(3));
    apply.set_previous(Good(2));
    apply.set_previous_file("/old.toml");
    apply.set_under_way(under_way);
    apply.set_deadline_ns(deadline_ns);
    apply.set_boot_id(BootId());
    return apply;
  }
  void Keep(const SavedApply& apply) { ASSERT_TRUE(state_->KeepApply(apply).ok()); }

  // Describes each choice by its file and its number of pairs.
  std::vector<std::string> Words(const StartChoices& choices) {
    std::vector<std::string> words;
    for (const StartConfig& choice : choices.configs) {
      words.push_back(absl::StrCat(std::filesystem::path(choice.source.file).filename().string(), " ",
                                   choice.config.dataplane.FirstPairs(), choice.source.last_good ? " last good" : "",
                                   choice.text.empty() ? "" : " kept", choice.apply.has_value() ? " apply" : ""));
    }
    return words;
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path();
  std::string config_;
  std::optional<StateDir> state_;
};

TEST_F(ConfigStartTest, FolderKeepsWhatItIsGiven) {
  EXPECT_TRUE(absl::IsNotFound(state_->ReadLastGood().status()));
  EXPECT_TRUE(absl::IsNotFound(state_->ReadApply().status()));
  EXPECT_TRUE(state_->RemoveApply().ok()) << "removing an apply that is gone is no error";
  const std::string bytes("# \0 \xff", 5);
  ASSERT_TRUE(state_->KeepLastGood(bytes).ok());
  ASSERT_TRUE(state_->KeepLastGood(bytes).ok());
  EXPECT_EQ(*state_->ReadLastGood(), bytes);
  ASSERT_TRUE(state_->KeepLastGood("").ok());
  EXPECT_EQ(*state_->ReadLastGood(), "");

  SavedApply apply = Apply(true, kHourNs);
  apply.set_text(bytes);
  ASSERT_TRUE(state_->KeepApply(apply).ok());
  EXPECT_EQ(state_->ReadApply()->SerializeAsString(), apply.SerializeAsString());
  EXPECT_TRUE(state_->RemoveApply().ok());
  EXPECT_TRUE(absl::IsNotFound(state_->ReadApply().status()));
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/a/state")) {
    EXPECT_EQ(entry.path().filename(), "last-good.toml") << "no half-written file is left";
  }
}

TEST_F(ConfigStartTest, FolderHasOneAgent) {
  const absl::StatusOr<StateDir> second = StateDir::Open(folder_ + "/a/state");
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--state-dir"));
  state_.reset();
  EXPECT_TRUE(StateDir::Open(folder_ + "/a/state").ok());
}

TEST_F(ConfigStartTest, FolderThatCannotBeMadeSaysSoAtEachCall) {
  absl::StatusOr<StateDir> none = StateDir::Open("/proc/none");
  ASSERT_TRUE(none.ok());
  EXPECT_THAT(std::string(none->KeepLastGood("x").message()), HasSubstr("/proc/none"));
  EXPECT_THAT(std::string(none->KeepApply(SavedApply()).message()), HasSubstr("/proc/none"));
  EXPECT_TRUE(absl::IsNotFound(none->ReadLastGood().status()));
}

TEST_F(ConfigStartTest, TheFileThenTheLastGoodOne) {
  Write(Good(1));
  EXPECT_THAT(Words(Choices()), ElementsAre("sluice.toml 1 kept"));
  ASSERT_TRUE(state_->KeepLastGood(Good(1)).ok());
  EXPECT_THAT(Words(Choices()), ElementsAre("sluice.toml 1 kept"))
      << "the last good configuration is the same, so it would fare no better";
  ASSERT_TRUE(state_->KeepLastGood(Good(2)).ok());
  EXPECT_THAT(Words(Choices()), ElementsAre("sluice.toml 1 kept", "last-good.toml 2 last good"));
  EXPECT_THAT(Choices().problems, IsEmpty());
}

TEST_F(ConfigStartTest, TheSameConfigurationWithTheLastGoodLists) {
  const std::string text = Good(1) + "[allowlist]\nfile = \"/nosuch\"\n";
  Write(text);
  ASSERT_TRUE(state_->KeepLastGood(text).ok());
  EXPECT_THAT(Words(Choices()), ElementsAre("sluice.toml 1 kept", "last-good.toml 1 last good"));
}

TEST_F(ConfigStartTest, AFileThatIsBrokenOrGone) {
  EXPECT_THAT(Words(Choices()), IsEmpty());
  EXPECT_THAT(Choices().problems, ElementsAre(HasSubstr(config_)));
  ASSERT_TRUE(state_->KeepLastGood(Good(2)).ok());
  EXPECT_THAT(Words(Choices()), ElementsAre("last-good.toml 2 last good"));
  Write(absl::StrCat(Good(1), "x = 1\ny = 2\n"));
  EXPECT_THAT(Words(Choices()), ElementsAre("last-good.toml 2 last good"));
  EXPECT_THAT(Choices().problems,
              ElementsAre(HasSubstr(config_ + ":8: dataplane.x"), HasSubstr(config_ + ":9: dataplane.y")));
  ASSERT_TRUE(state_->KeepLastGood("z = 1\n").ok());
  EXPECT_THAT(Words(Choices()), IsEmpty());
  EXPECT_THAT(Choices().problems, testing::Contains(HasSubstr("last-good.toml:1: z")));
}

TEST_F(ConfigStartTest, TheLastGoodOneNeverTakesOtherDevicesThanTheFileNames) {
  std::string other = Good(2);
  other.replace(other.find("eth1"), 4, "eth2");
  ASSERT_TRUE(state_->KeepLastGood(other).ok());
  Write(Good(1));
  EXPECT_THAT(Words(Choices()), ElementsAre("sluice.toml 1 kept"));
  EXPECT_THAT(Choices().problems, ElementsAre(HasSubstr("other network devices")));
  Write("not = = toml");
  EXPECT_THAT(Words(Choices()), ElementsAre("last-good.toml 2 last good")) << "the file names none that can be read";
}

TEST_F(ConfigStartTest, ASuccessorGoesOnWithAnApplyThatWaits) {
  Write(Good(3));
  ASSERT_TRUE(state_->KeepLastGood(Good(2)).ok());
  Keep(Apply(false, BootClockNs() + kHourNs));
  EXPECT_THAT(Words(Choices(true)), ElementsAre("new.toml 3 apply", "last-good.toml 2 last good"));
}

TEST_F(ConfigStartTest, ASuccessorRollsBackAnExpiredOrInterruptedApply) {
  Write(Good(1));
  SavedApply other_boot = Apply(false, BootClockNs() + kHourNs);
  other_boot.set_boot_id("another");
  for (const SavedApply& apply :
       {Apply(false, BootClockNs()), Apply(true, 0), Apply(true, BootClockNs() + kHourNs), other_boot}) {
    Keep(apply);
    EXPECT_THAT(Words(Choices(true)), ElementsAre("old.toml 2 apply", "sluice.toml 1 kept"));
  }
}

TEST_F(ConfigStartTest, AFreshStartDoesNotUseAnUnconfirmedFile) {
  Write(Good(3));
  ASSERT_TRUE(state_->KeepLastGood(Good(2)).ok());
  Keep(Apply(false, BootClockNs() + kHourNs));
  EXPECT_THAT(Words(Choices()), ElementsAre("last-good.toml 2 last good"));
  EXPECT_THAT(Choices().problems, ElementsAre(HasSubstr("never confirmed")));
  Write(Good(4));  // the file has changed since the apply
  EXPECT_THAT(Words(Choices()), ElementsAre("sluice.toml 4 kept", "last-good.toml 2 last good"));
  Write(Good(3));
  Keep(Apply(true, 0));  // this apply needed no confirmation
  EXPECT_THAT(Words(Choices()), ElementsAre("sluice.toml 3 kept", "last-good.toml 2 last good"));
}

TEST_F(ConfigStartTest, AFileThatWasRolledBackIsNotStartedWith) {
  Write(Good(3));
  ASSERT_TRUE(state_->KeepLastGood(Good(2)).ok());
  SavedApply apply = Apply(false, BootClockNs() + kHourNs);
  apply.set_rolled_back(true);
  Keep(apply);
  for (const bool takes_over : {false, true}) {
    EXPECT_THAT(Words(Choices(takes_over)), ElementsAre("last-good.toml 2 last good"));
    EXPECT_THAT(Choices(takes_over).problems, ElementsAre(HasSubstr("never confirmed")));
  }
  Write(Good(4));
  EXPECT_THAT(Words(Choices(true)), ElementsAre("sluice.toml 4 kept", "last-good.toml 2 last good"));
}

TEST_F(ConfigStartTest, AnApplyThatCannotBeReadIsReported) {
  Write(Good(1));
  std::ofstream(folder_ + "/a/state/apply.json") << "{ not json";
  EXPECT_THAT(Words(Choices(true)), ElementsAre("sluice.toml 1 kept"));
  EXPECT_THAT(Choices(true).problems, ElementsAre(HasSubstr("apply.json cannot be read")));
}

}  // namespace
}  // namespace sluice
