#include "control/dataplane/watchdog.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr int64_t kMs = 1'000'000;
constexpr pid_t kControl = 100, kFirst = 101, kSecond = 102;

// A dataplane with two workers, and an agent that looks at it.
class WatchdogTest : public testing::Test {
 protected:
  // Looks every `every_ms` for `for_ms`, or until something hangs. Threads in state S that are not `silent` beat.
  Watchdog::Verdict LookFor(int64_t for_ms, int64_t every_ms = Watchdog::kLookEveryMs) {
    Watchdog::Verdict verdict;
    for (int64_t passed = 0; passed < for_ms && !verdict.hangs; passed += every_ms) {
      now_ns_ += every_ms * kMs;
      for (Watchdog::Thread& thread : threads_) {
        thread.beats += silent_.contains(thread.id) ? 0 : 1;
      }
      for (auto& [thread, state] : silent_) {
        state.cpu_ns += every_ms * kMs * cpu_percent_ / 100;
      }
      verdict = watchdog_.Look(now_ns_, threads_, [this](pid_t thread) { return Read(thread); });
    }
    return verdict;
  }
  std::optional<ThreadState> Read(pid_t thread) {
    ++reads_;
    const auto silent = silent_.find(thread);
    if (silent == silent_.end()) {
      return ThreadState{.state = 'S'};
    }
    return silent->second.state == 0 ? std::nullopt : std::optional(silent->second);
  }
  void Silence(pid_t thread, char state) { silent_[thread].state = state; }

  Watchdog watchdog_;
  int64_t now_ns_ = 7'000'000'000;
  std::vector<Watchdog::Thread> threads_ = {
      {"its control thread", kControl, 5, true}, {"worker 0", kFirst, 0}, {"worker 1", kSecond, 0}};
  std::map<pid_t, ThreadState> silent_;  // state 0: cannot be read
  int64_t cpu_percent_ = 0;              // that silent threads use
  int reads_ = 0;
};

TEST_F(WatchdogTest, ANewWorkerThatWaitsForItsCoreExcusesTheControlThread) {
  constexpr pid_t kNew = 103;
  const auto look_for = [&](char state_of_new) {
    Watchdog::Verdict verdict;
    const auto read = [&](pid_t thread) { return ThreadState{.state = thread == kNew ? state_of_new : 'S'}; };
    for (int64_t passed = 0; passed < 4000 && !verdict.hangs; passed += Watchdog::kLookEveryMs) {
      now_ns_ += Watchdog::kLookEveryMs * kMs;
      ++threads_[1].beats;
      std::vector<Watchdog::Thread> threads = {threads_[0], threads_[1]};
      Watchdog::AddNew(std::vector<pid_t>{kControl, kFirst, kNew}, read, threads);
      verdict = watchdog_.Look(now_ns_, threads, read);
    }
    return verdict;
  };
  EXPECT_FALSE(look_for('R').hangs) << "it has used no time";
  const Watchdog::Verdict verdict = look_for('S');
  EXPECT_TRUE(verdict.hangs) << "any other thread that sleeps is no excuse";
  EXPECT_THAT(verdict.why, HasSubstr("its control thread has been asleep"));
}

TEST_F(WatchdogTest, ADataplaneThatBeatsWorksAndCostsNoLookAtTheKernel) {
  LookFor(1000);
  EXPECT_FALSE(LookFor(60'000).hangs);
  EXPECT_EQ(reads_, 0);
}

TEST_F(WatchdogTest, AStoppedThreadHangsAfterTheBound) {
  for (const auto& [state, words] : {std::pair('T', "signal"), std::pair('t', "tracer")}) {
    for (const pid_t thread : {kControl, kFirst, kSecond}) {
      silent_.clear();
      LookFor(200);
      Silence(thread, state);
      EXPECT_FALSE(LookFor(900).hangs);
      const Watchdog::Verdict verdict = LookFor(200);
      EXPECT_TRUE(verdict.hangs);
      EXPECT_THAT(verdict.why, HasSubstr(words));
      EXPECT_THAT(verdict.why, HasSubstr("1.0 s"));
    }
  }
}

TEST_F(WatchdogTest, AnEndlessLoopHangsAndAStarvedThreadDoesNot) {
  LookFor(200);
  Silence(kSecond, 'R');
  cpu_percent_ = 100;
  EXPECT_FALSE(LookFor(900).hangs);
  const Watchdog::Verdict endless = LookFor(200);
  EXPECT_TRUE(endless.hangs);
  EXPECT_THAT(endless.why, HasSubstr("worker 1 has been running in circles"));

  silent_.clear();
  LookFor(200);
  Silence(kSecond, 'R');
  cpu_percent_ = 0;
  EXPECT_EQ(LookFor(4000).why, "");
  const Watchdog::Verdict starved = LookFor(600'000);
  EXPECT_FALSE(starved.hangs);
  EXPECT_EQ(starved.why, "worker 1 gets no time on its core");
  silent_.clear();
  EXPECT_EQ(LookFor(100).why, "");
}

TEST_F(WatchdogTest, AnEndlessLoopOnASharedCoreIsFoundLater) {
  LookFor(200);
  Silence(kFirst, 'R');
  cpu_percent_ = 30;
  EXPECT_FALSE(LookFor(1500).hangs);
  EXPECT_TRUE(LookFor(1000).hangs);
}

TEST_F(WatchdogTest, TheControlThreadMayWorkLong) {
  LookFor(200);
  Silence(kControl, 'R');
  cpu_percent_ = 100;
  EXPECT_FALSE(LookFor(9000).hangs);
  EXPECT_TRUE(LookFor(2000).hangs);
}

TEST_F(WatchdogTest, AThreadThatSleepsOnHangsUnlessItMayBeWaitingForAStarvedOne) {
  LookFor(200);
  Silence(kControl, 'S');
  EXPECT_FALSE(LookFor(1900).hangs);
  EXPECT_TRUE(LookFor(200).hangs);
  for (const char waits : {'R', 'D'}) {
    silent_.clear();
    LookFor(200);
    Silence(kFirst, waits);
    Silence(kControl, 'S');
    EXPECT_FALSE(LookFor(9000).hangs);
  }
}

TEST_F(WatchdogTest, ACallOfTheKernelAndAThreadThatCannotBeReadHaveALongBound) {
  for (const char state : {'D', '\0'}) {
    silent_.clear();
    LookFor(200);
    Silence(kFirst, state);
    EXPECT_FALSE(LookFor(9000).hangs);
    EXPECT_TRUE(LookFor(2000).hangs);
  }
}

TEST_F(WatchdogTest, APauseOfTheMachineOrOfTheAgentDoesNotCount) {
  LookFor(200);
  Silence(kFirst, 'T');
  for (int pauses = 0; pauses < 4; ++pauses) {
    EXPECT_FALSE(LookFor(3'600'000, 3'600'000).hangs) << "an hour counts as two looks";
  }
  EXPECT_TRUE(LookFor(500).hangs);
}

TEST_F(WatchdogTest, AThreadThatIsNewStartsAfresh) {
  LookFor(200);
  Silence(kFirst, 'T');
  LookFor(800);
  threads_[1].id = 200;
  silent_.clear();
  Silence(200, 'T');
  EXPECT_FALSE(LookFor(900).hangs);
  EXPECT_TRUE(LookFor(300).hangs);
}

}  // namespace
}  // namespace sluice
