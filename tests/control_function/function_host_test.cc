#include "control/function/function_host.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "control/kernel/shared_memory.h"
#include "tests/control_dataplane/fake_dataplane.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "count" has state memory, a setting that needs a restart (sources) and a live one (idle). "reflect" has no state and
// no settings.
class FunctionHostTest : public testing::Test {
 protected:
  FunctionHostTest() { client_.SetStats(*StatsView::Make()); }

  static FunctionHost Host(const std::string& type, SettingTexts settings = {}) {
    return *FunctionHost::Make({.type = type, .settings = std::move(settings)});
  }
  // Withdraws nothing: no flow is offloaded.
  absl::Status Apply(FunctionHost& host, const SettingTexts& settings) {
    return host.Apply(settings, client_, [](absl::FunctionRef<absl::Status()> change) { return change(); });
  }
  absl::Status Configure(FunctionHost& host) {
    return host.Configure(dataplane::Configure(), RcuWaiter{UniqueFd(), UniqueFd()}, client_);
  }
  // Returns the state memory that came with the last Configure.
  struct stat Memory() {
    struct stat memory {};
    EXPECT_TRUE(fake_.state.has_value() && fstat(fake_.state->get(), &memory) == 0);
    return memory;
  }
  static dataplane::Configure Running(const std::string& function, const SettingTexts& settings) {
    dataplane::Configure running;
    running.set_function(function);
    running.mutable_settings()->insert(settings.begin(), settings.end());
    return running;
  }

  // Returns memory as an agent made it, with room for the state of "count" with its default settings.
  static UniqueFd StateMemory() { return *MakeSharedMemory("test", size_t{64} << 20); }

  std::vector<std::string> log_;
  FakeDataplane fake_{log_};
  CallLog calls_;
  DataplaneClient client_{fake_, calls_};
};

TEST_F(FunctionHostTest, RefusesUnknownFunctionsAndBadSettings) {
  EXPECT_THAT(FunctionHost::Make({.type = "counts"}).status().message(), HasSubstr("there are: "));
  EXPECT_THAT(FunctionHost::Make({.type = "count", .settings = {{"sources", "many"}}}).status().message(),
              HasSubstr("sources"));
}

TEST_F(FunctionHostTest, AFunctionWithoutStateGetsNoMemory) {
  FunctionHost host = Host("reflect");
  EXPECT_TRUE(Configure(host).ok());
  EXPECT_TRUE(Configure(host).ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: configure reflect with 3 fds", "dataplane: configure reflect with 3 fds"));
}

TEST_F(FunctionHostTest, AFunctionWithoutStateNeverGetsAny) {
  FunctionHost host = Host("reflect");
  UniqueFd memory(memfd_create("of an older version", MFD_CLOEXEC));
  ASSERT_TRUE(host.Adopt(Running("reflect", {}), std::move(memory)).ok());
  fake_.refused["configure reflect with 3 fds"] = absl::FailedPreconditionError("another version of the counters");
  EXPECT_TRUE(absl::IsFailedPrecondition(Configure(host)));
  EXPECT_THAT(log_, ElementsAre("dataplane: configure reflect with 3 fds")) << "nothing can be made afresh";
}

TEST_F(FunctionHostTest, ASuccessorGetsTheMemoryOfTheDeadOne) {
  FunctionHost host = Host("count", {{"sources", "1024"}});
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_THAT(fake_.settings, ElementsAre(std::pair{"idle", "5m"}, std::pair{"sources", "1024"}))
      << "all settings, with the defaults";
  const struct stat first = Memory();
  EXPECT_GE(first.st_size, 1024 * 64);
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_EQ(Memory().st_ino, first.st_ino);
  EXPECT_THAT(log_, ElementsAre("dataplane: configure count with 4 fds",
                                "dataplane: configure count on used state with 4 fds"));
}

// A page that is missing, or a file that shrinks, is a SIGBUS in the packet path.
TEST_F(FunctionHostTest, TheMemoryIsThereAndKeepsItsSize) {
  FunctionHost host = Host("count", {{"sources", "1024"}});
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_GE(Memory().st_blocks * 512, Memory().st_size);
  EXPECT_EQ(fcntl(fake_.state->get(), F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

TEST_F(FunctionHostTest, MemoryThatNoDataplaneAcceptedIsFresh) {
  FunctionHost host = Host("count");
  fake_.refused["configure count with 4 fds"] = absl::ResourceExhaustedError("no memory");
  EXPECT_EQ(Configure(host).message(), "no memory");
  const struct stat first = Memory();
  fake_.refused.clear();
  EXPECT_TRUE(Configure(host).ok());
  EXPECT_NE(Memory().st_ino, first.st_ino) << "the one that did not start may have written to it";
  EXPECT_THAT(log_, ElementsAre("dataplane: configure count with 4 fds", "dataplane: configure count with 4 fds"));
}

TEST_F(FunctionHostTest, MemoryThatTheFunctionRefusesIsReplaced) {
  FunctionHost host = Host("count");
  ASSERT_TRUE(Configure(host).ok());
  const struct stat first = Memory();
  fake_.refuses_state = true;
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_NE(Memory().st_ino, first.st_ino);
  EXPECT_THAT(
      log_, ElementsAre("dataplane: configure count with 4 fds", "dataplane: configure count on used state with 4 fds",
                        "dataplane: configure count with 4 fds"));
}

TEST_F(FunctionHostTest, OtherErrorsKeepTheMemory) {
  FunctionHost host = Host("count");
  ASSERT_TRUE(Configure(host).ok());
  const struct stat first = Memory();
  const std::string request = "configure count on used state with 4 fds";
  fake_.dies_at = request;
  EXPECT_TRUE(absl::IsUnavailable(Configure(host)));
  fake_.dies_at.reset();
  fake_.alive = true;
  for (const absl::Status& error : {absl::FailedPreconditionError("another version of the counters"),
                                    absl::InvalidArgumentError("no poll mode"), absl::InternalError("no secret")}) {
    fake_.refused[request] = error;
    EXPECT_EQ(Configure(host), error);
  }
  fake_.refused.clear();
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_EQ(Memory().st_ino, first.st_ino);
  EXPECT_EQ(log_.back(), "dataplane: " + request);
}

TEST_F(FunctionHostTest, MemoryThatIsReplacedInVainIsNoPredecessors) {
  FunctionHost host = Host("count");
  ASSERT_TRUE(Configure(host).ok());
  fake_.refuses_state = true;
  fake_.refused["configure count with 4 fds"] = absl::InternalError("no secret");
  EXPECT_TRUE(absl::IsInternal(Configure(host)));
  fake_.refused.clear();
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_EQ(log_.back(), "dataplane: configure count with 4 fds");
}

TEST_F(FunctionHostTest, TakesOverMemoryAndGivesLiveSettings) {
  FunctionHost host = Host("count", {{"idle", "10s"}});
  UniqueFd memory = StateMemory();
  struct stat theirs {};
  ASSERT_EQ(fstat(memory.get(), &theirs), 0);
  ASSERT_TRUE(host.Adopt(Running("count", {{"idle", "5m"}, {"sources", "65536"}}), std::move(memory)).ok());
  EXPECT_THAT(log_, IsEmpty()) << "flows may still be offloaded by the former values";
  EXPECT_EQ(host.settings().at("idle"), "5m") << "what runs";
  ASSERT_TRUE(host.ApplyAdopted(client_).ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: apply settings"));
  EXPECT_EQ(host.settings().at("idle"), "10s");
  EXPECT_EQ(fake_.settings.at("idle"), "10s");
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_EQ(log_.back(), "dataplane: configure count on used state with 4 fds");
  EXPECT_EQ(Memory().st_ino, theirs.st_ino);
}

TEST_F(FunctionHostTest, TakesOverAsItRunsWhenNothingDiffers) {
  FunctionHost host = Host("count");
  const SettingTexts settings = host.settings();
  EXPECT_TRUE(host.Adopt(Running("count", settings), StateMemory()).ok());
  EXPECT_TRUE(host.ApplyAdopted(client_).ok());
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(host.settings(), settings);
}

TEST_F(FunctionHostTest, WhatASurvivorDoesNotTakeIsPutBack) {
  FunctionHost host = Host("count", {{"idle", "10s"}});
  const SettingTexts runs = {{"idle", "5m"}, {"sources", "65536"}};
  ASSERT_TRUE(host.Adopt(Running("count", runs), StateMemory()).ok());
  fake_.fails_with_idle = "10s";
  const absl::Status refused = host.ApplyAdopted(client_);
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("SIGTERM to pid 4711"));
  EXPECT_EQ(host.settings(), runs);
  EXPECT_EQ(fake_.settings, runs);
}

TEST_F(FunctionHostTest, LeavesADataplaneThatRunsSomethingElse) {
  FunctionHost host = Host("count");
  const auto refused = [&](const dataplane::Configure& running, UniqueFd memory) {
    return std::string(host.Adopt(running, std::move(memory)).message());
  };
  const auto memory = [] { return StateMemory(); };
  EXPECT_EQ(refused(Running("reflect", {}), UniqueFd()), "it runs function \"reflect\"");
  EXPECT_EQ(refused(Running("count", {{"idle", "5m"}, {"sources", "64"}}), memory()), "it runs with sources = 64");
  EXPECT_EQ(refused(Running("count", {{"idle", "5m"}}), memory()), "it runs with sources = ")
      << "an older dataplane, which has no such setting";
  EXPECT_THAT(refused(Running("count", host.settings()), UniqueFd()), HasSubstr("state memory"));
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(FunctionHostTest, ASurvivorThatLiesIsNotBelieved) {
  FunctionHost host = Host("count");
  const SettingTexts settings = host.settings();
  EXPECT_TRUE(absl::IsDataLoss(host.Adopt(Running("teleport", settings), StateMemory())));
  SettingTexts strange = settings;
  strange["idle"] = "\x1b[2J";
  EXPECT_TRUE(absl::IsDataLoss(host.Adopt(Running("count", strange), StateMemory())));
  EXPECT_TRUE(absl::IsDataLoss(host.Adopt(Running("count", settings), UniqueFd())));
  EXPECT_TRUE(absl::IsDataLoss(host.Adopt(Running("count", settings), *MakeSharedMemory("small", 4096))));
  UniqueFd unsealed(memfd_create("unsealed", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(unsealed.get(), off_t{64} << 20), 0);
  EXPECT_TRUE(absl::IsDataLoss(host.Adopt(Running("count", settings), std::move(unsealed))));
  EXPECT_EQ(host.settings(), settings);
}

TEST_F(FunctionHostTest, AppliesSettingsOrChangesNothing) {
  FunctionHost host = Host("count");
  EXPECT_THAT(Apply(host, {{"idle", "never"}}).message(), HasSubstr("idle"));
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_TRUE(Apply(host, {{"idle", "10s"}}).ok());
  EXPECT_EQ(host.settings().at("idle"), "10s");
  EXPECT_EQ(fake_.settings.at("idle"), "10s");
}

TEST_F(FunctionHostTest, SettingsThatADataplaneCannotTakeArePutBackThere) {
  FunctionHost host = Host("count");
  ASSERT_TRUE(Configure(host).ok());
  fake_.fails_with_idle = "10s";
  EXPECT_EQ(Apply(host, {{"idle", "10s"}}).message(), "too short for this table");
  EXPECT_EQ(host.settings().at("idle"), "5m");
  EXPECT_EQ(fake_.settings.at("idle"), "5m") << "though it had taken them half";
  EXPECT_TRUE(Apply(host, {{"idle", "20s"}}).ok());
}

TEST_F(FunctionHostTest, SettingsArePutBackWhenDecisionsCannotBeWithdrawn) {
  FunctionHost host = Host("count");
  ASSERT_TRUE(Configure(host).ok());
  const auto change_in_vain = [](absl::FunctionRef<absl::Status()> change) {
    const absl::Status s = change();
    return s.ok() ? absl::InternalError("no grace period") : s;
  };
  EXPECT_EQ(host.Apply({{"idle", "10s"}}, client_, change_in_vain).message(), "no grace period");
  EXPECT_EQ(host.settings().at("idle"), "5m");
  EXPECT_EQ(fake_.settings.at("idle"), "5m");
  log_.clear();
  const auto nothing = [](absl::FunctionRef<absl::Status()> /*change*/) { return absl::InternalError("no fence"); };
  EXPECT_EQ(host.Apply({{"idle", "10s"}}, client_, nothing).message(), "no fence");
  EXPECT_THAT(log_, IsEmpty()) << "nothing to put back";
}

TEST_F(FunctionHostTest, SettingsAppliedWithoutADataplaneGoToTheSuccessor) {
  FunctionHost host = Host("count");
  client_.SetDown();
  EXPECT_TRUE(Apply(host, {{"idle", "10s"}}).ok());
  client_.SetUp();
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_EQ(fake_.settings.at("idle"), "10s");
}

TEST_F(FunctionHostTest, ASuccessorDoesNotGetTheSettingsThatItsPredecessorDiedOf) {
  FunctionHost host = Host("count");
  fake_.dies_at = "apply settings";
  const absl::Status died = Apply(host, {{"idle", "20s"}});
  EXPECT_TRUE(absl::IsUnavailable(died));
  EXPECT_THAT(std::string(died.message()), HasSubstr("the former ones"));
  EXPECT_EQ(host.settings().at("idle"), "5m");
  fake_.alive = true;
  client_.SetUp();
  ASSERT_TRUE(Configure(host).ok());
  EXPECT_EQ(fake_.settings.at("idle"), "5m");
}

}  // namespace
}  // namespace sluice
