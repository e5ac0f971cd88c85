#include "control/kernel/thread_state.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace sluice {
namespace {

using testing::ElementsAre;

TEST(ThreadState, IsReadFromTheKernelsText) {
  const std::string tail = " 1 42 42 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 3 0 98765 1000 200";
  const std::optional<ThreadState> state = ParseThreadState("42 (a ) b (c) T" + tail);
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->state, 'T');
  EXPECT_EQ(state->cpu_ns, 42 * (1'000'000'000 / sysconf(_SC_CLK_TCK)));
  EXPECT_EQ(state->started, 98765U);
  EXPECT_TRUE(state->stopped());
}

TEST(ThreadState, OtherTextIsNone) {
  for (const char* text :
       {"", "42", "42 (x)", "42 (x) ", "42 (x) R 1 2 3", "42 (x) RR 1 42 42 0 -1 4 1 0 0 0 a b 0 0"}) {
    EXPECT_FALSE(ParseThreadState(text).has_value()) << text;
  }
}

TEST(ThreadState, FollowsAProcess) {
  const pid_t child = fork();
  if (child == 0) {
    while (true) {
      pause();
    }
  }
  EXPECT_THAT(ThreadsOf(child), ElementsAre(child));
  const std::optional<ThreadState> before = ReadThreadState(child, child);
  ASSERT_TRUE(before.has_value());
  EXPECT_FALSE(before->stopped());
  kill(child, SIGSTOP);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  const std::optional<ThreadState> stopped = ReadThreadState(child, child);
  ASSERT_TRUE(stopped.has_value());
  EXPECT_EQ(stopped->state, 'T');
  EXPECT_EQ(stopped->started, before->started);
  EXPECT_FALSE(ReadThreadState(getpid(), child).has_value()) << "a thread of another process";
  EXPECT_FALSE(EveryThreadHasEnded(child));
  kill(child, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(EveryThreadHasEnded(child)) << "a zombie";
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(EveryThreadHasEnded(child));
  EXPECT_FALSE(ReadThreadState(child, child).has_value());
  EXPECT_TRUE(ThreadsOf(child).empty());
}

}  // namespace
}  // namespace sluice
