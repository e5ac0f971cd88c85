#include "control/dataplane/dataplane_supervisor.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "dataplane/base/steady_time.h"
#include "tests/control_dataplane/fake_dataplane.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;

class FakeLauncher final : public DataplaneLauncher {
 public:
  absl::StatusOr<pid_t> Launch(absl::FunctionRef<void(pid_t)> born) override {
    if (!error.ok()) {
      return error;
    }
    born(++launched);
    return launched;
  }
  bool HasEnded(pid_t child) override { return ended.contains(child); }
  void Kill(pid_t child) override { ended.insert(child); }
  void End(pid_t child, bool kill) override { killed.emplace_back(child, kill); }

  pid_t launched = 0;
  std::set<pid_t> ended;
  std::vector<std::pair<pid_t, bool>> killed;
  absl::Status error;
};

class DataplaneSupervisorTest : public testing::Test {
 protected:
  DataplaneSupervisorTest() { fake_.alive = false; }
  ~DataplaneSupervisorTest() override { (void)state_.Remove(); }

  // Lets the child with this number die, and tells the supervisor.
  void Die(pid_t child) {
    launcher_.ended.insert(child);
    fake_.alive = false;
    supervisor_.Lost(now_);
  }
  // Lets time pass until the next child is started, ten seconds at most, and returns how long that took.
  absl::Duration TimeToStart() {
    const pid_t before = launcher_.launched;
    const SteadyTime start = now_;
    for (int tick = 0; tick < 100; ++tick) {
      supervisor_.Tick(now_);
      if (launcher_.launched != before) {
        return now_ - start;
      }
      now_ += absl::Milliseconds(100);
    }
    return absl::InfiniteDuration();
  }
  void TakeIn() {
    fake_.alive = true;
    supervisor_.TakenIn();
  }

  std::vector<std::string> log_;
  FakeDataplane fake_{log_};
  CallLog calls_;
  DataplaneClient client_{fake_, calls_};
  FakeLauncher launcher_;
  StateFile state_ = StateFile::Open(absl::StrCat(testing::TempDir(), "/supervisor", getpid()));
  DataplaneSupervisor supervisor_{&launcher_, client_, state_};
  SteadyTime now_ = SteadyTime();
};

TEST_F(DataplaneSupervisorTest, SavesThePidThatItStartedAndThePidThatConnected) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  EXPECT_EQ(state_.state().dataplane_pid(), 1U);
  fake_.alive = true;
  supervisor_.Connected();
  EXPECT_EQ(state_.state().dataplane_pid(), static_cast<uint32_t>(FakeDataplane::kPid));
}

TEST_F(DataplaneSupervisorTest, RestartsTenTimesAtOnceAndThenOnceASecond) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  for (pid_t child = 1; child <= 14; ++child) {
    TakeIn();
    EXPECT_FALSE(client_.down());
    Die(child);
    EXPECT_TRUE(client_.down());
    EXPECT_EQ(TimeToStart(), child <= 10 ? absl::ZeroDuration() : absl::Seconds(1)) << child;
  }
  EXPECT_EQ(supervisor_.restarts(), 14U);
}

TEST_F(DataplaneSupervisorTest, ADeathEverySecondIsAlwaysRepairedAtOnce) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  for (pid_t child = 1; child <= 30; ++child) {
    TakeIn();
    now_ += absl::Seconds(1);
    Die(child);
    EXPECT_EQ(TimeToStart(), absl::ZeroDuration()) << child;
  }
}

TEST_F(DataplaneSupervisorTest, TimeWithoutADeathEarnsRestartsAtOnce) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  for (pid_t child = 1; child <= 12; ++child) {
    TakeIn();
    Die(child);
    (void)TimeToStart();
  }
  now_ += absl::Seconds(3);
  std::vector<absl::Duration> waits;
  for (pid_t child = 13; child <= 16; ++child) {
    TakeIn();
    Die(child);
    waits.push_back(TimeToStart());
  }
  const absl::Duration none;
  EXPECT_THAT(waits, ElementsAre(none, none, none, absl::Seconds(1)));
}

TEST_F(DataplaneSupervisorTest, TellsHangsFromOtherEnds) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  EXPECT_EQ(supervisor_.why_lost(), "");
  TakeIn();
  fake_.refused["settle"] = absl::DeadlineExceededError("no answer");
  EXPECT_FALSE(client_.CountCrashDrops().ok());
  Die(1);
  EXPECT_EQ(supervisor_.why_lost(), "no answer");
  EXPECT_EQ(supervisor_.hangs(), 1U);
  EXPECT_EQ(TimeToStart(), absl::ZeroDuration());
  TakeIn();
  Die(2);
  EXPECT_EQ(supervisor_.why_lost(), "it ended by itself");
  EXPECT_EQ(supervisor_.hangs(), 1U);
  EXPECT_EQ(supervisor_.restarts(), 2U);
}

TEST_F(DataplaneSupervisorTest, WaitsForADataplaneThatIsStillEnding) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  TakeIn();
  fake_.alive = false;
  supervisor_.Lost(now_);
  EXPECT_EQ(TimeToStart(), absl::InfiniteDuration()) << "two dataplanes must not work on the same rings";
  launcher_.ended.insert(1);
  EXPECT_EQ(TimeToStart(), absl::ZeroDuration());
}

TEST_F(DataplaneSupervisorTest, OneThatEndsBeforeItConnectsIsStartedAgain) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  TakeIn();
  Die(1);
  EXPECT_EQ(TimeToStart(), absl::ZeroDuration());
  launcher_.ended.insert(2);
  EXPECT_EQ(TimeToStart(), absl::ZeroDuration());
  EXPECT_EQ(launcher_.launched, 3);
}

TEST_F(DataplaneSupervisorTest, OneThatDoesNotConnectIsKilledAndStartedAgain) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  TakeIn();
  now_ += absl::Hours(1);
  supervisor_.Tick(now_);
  EXPECT_TRUE(launcher_.ended.empty()) << "it had connected";
  Die(1);
  EXPECT_EQ(TimeToStart(), absl::ZeroDuration());
  now_ += DataplaneSupervisor::kComesWithin - absl::Seconds(1);
  supervisor_.Tick(now_);
  EXPECT_FALSE(launcher_.ended.contains(2));
  EXPECT_LE(TimeToStart(), absl::Seconds(2));
  EXPECT_TRUE(launcher_.ended.contains(2));
  EXPECT_EQ(launcher_.launched, 3);
}

TEST_F(DataplaneSupervisorTest, TriesAgainWhenItCannotBeStarted) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  TakeIn();
  launcher_.error = absl::FailedPreconditionError("cannot be executed");
  Die(1);
  EXPECT_EQ(TimeToStart(), absl::InfiniteDuration());
  launcher_.error = absl::OkStatus();
  EXPECT_LE(TimeToStart(), absl::Seconds(7));
}

TEST_F(DataplaneSupervisorTest, OneThatIsRefusedIsFollowedByAnother) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  fake_.alive = true;
  launcher_.ended.insert(1);
  fake_.alive = false;
  supervisor_.Refused(now_);
  EXPECT_TRUE(client_.down());
  EXPECT_EQ(TimeToStart(), absl::ZeroDuration());
}

TEST_F(DataplaneSupervisorTest, LeavesStartingToOthersWhenItHasNoLauncher) {
  DataplaneSupervisor external(nullptr, client_, state_);
  ASSERT_TRUE(external.Start(now_).ok());
  external.Lost(now_);
  external.Tick(now_ + absl::Seconds(60));
  external.Stop(/*asked_to_end=*/false);
  EXPECT_EQ(launcher_.launched, 0);
  EXPECT_TRUE(launcher_.killed.empty());
}

TEST_F(DataplaneSupervisorTest, KillsAChildThatWasNotAskedToEnd) {
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  supervisor_.Stop(/*asked_to_end=*/false);
  ASSERT_TRUE(supervisor_.Start(now_).ok());
  supervisor_.Stop(/*asked_to_end=*/true);
  supervisor_.Stop(/*asked_to_end=*/true);
  EXPECT_THAT(launcher_.killed, ElementsAre(std::pair(1, true), std::pair(2, false)));
}

}  // namespace
}  // namespace sluice
