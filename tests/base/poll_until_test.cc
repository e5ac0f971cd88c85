#include "dataplane/base/poll_until.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "absl/time/clock.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

class PollUntilTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    near_.Reset(fds[0]);
    far_.Reset(fds[1]);
  }
  void Speak() { ASSERT_EQ(write(far_.get(), "x", 1), 1); }

  UniqueFd near_, far_;
};

TEST_F(PollUntilTest, ReadableIsOkAlsoAtADeadlineThatHasPassed) {
  Speak();
  EXPECT_TRUE(WaitReadable(near_.get(), SteadyTime::InfiniteFuture(), "byte").ok());
  EXPECT_TRUE(WaitReadable(near_.get(), SteadyTime::InfinitePast(), "byte").ok());
}

TEST_F(PollUntilTest, PeerThatHungUpEndsTheWait) {
  far_.Reset();
  EXPECT_TRUE(WaitReadable(near_.get(), SteadyTime::InfiniteFuture(), "byte").ok());
}

TEST_F(PollUntilTest, DeadlineIsKeptAndNamed) {
  const SteadyTime begin = SteadyTime::Now();
  const absl::Status late = WaitReadable(near_.get(), begin + absl::Milliseconds(20), "answer from the dataplane");
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(late.message(), "no answer from the dataplane in time");
  EXPECT_GE(SteadyTime::Now() - begin, absl::Milliseconds(20));
  EXPECT_TRUE(absl::IsDeadlineExceeded(WaitReadable(near_.get(), SteadyTime::InfinitePast(), "byte")));
}

TEST_F(PollUntilTest, SeveralAreWaitedForAndNoneIsSkipped) {
  Speak();
  pollfd fds[] = {{-1, POLLIN, 0}, {far_.get(), POLLIN, 0}, {near_.get(), POLLIN, 0}};
  const absl::StatusOr<int> ready = PollUntil(absl::MakeSpan(fds), SteadyTime::InfiniteFuture());
  ASSERT_TRUE(ready.ok()) << ready.status();
  EXPECT_EQ(*ready, 1);
  EXPECT_EQ(fds[0].revents, 0);
  EXPECT_EQ(fds[1].revents, 0);
  EXPECT_EQ(fds[2].revents, POLLIN);
}

TEST_F(PollUntilTest, SignalsDoNotEndTheWait) {
  struct sigaction action {};
  action.sa_handler = [](int) {};  // without SA_RESTART, so that poll() returns EINTR
  struct sigaction before {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  absl::Status status = absl::UnknownError("not waited");
  std::thread waiter([&] { status = WaitReadable(near_.get(), SteadyTime::Now() + absl::Minutes(1), "byte"); });
  for (int i = 0; i < 20; ++i) {
    pthread_kill(waiter.native_handle(), SIGUSR1);
    absl::SleepFor(absl::Milliseconds(1));
  }
  Speak();
  waiter.join();
  EXPECT_TRUE(status.ok()) << status;
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(PollUntilTest, RefusedPollIsAnError) {
  // poll() refuses more entries than the process may have descriptors (fs/select.c: do_sys_poll).
  std::vector<pollfd> too_many(static_cast<size_t>(sysconf(_SC_OPEN_MAX)) + 1, pollfd{-1, POLLIN, 0});
  const absl::StatusOr<int> refused = PollUntil(absl::MakeSpan(too_many), SteadyTime::InfinitePast());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace sluice
