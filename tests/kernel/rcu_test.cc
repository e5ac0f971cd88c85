// A grace period has passed when a program that ran at the call has ended: shown with one that runs for 50 ms.
#include "dataplane/base/rcu.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <thread>

#include "tests/kernel/slow_xdp.skel.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

class RcuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root: loads a BPF program";
    }
    program_.reset(slow_xdp__open_and_load());
    ASSERT_NE(program_, nullptr);
  }

  // Calls `during` while the program runs. Says whether the program had ended when that returned.
  template <typename During>
  bool EndedAfter(During during) {
    program_->bss->began = program_->bss->ended = 0;
    std::thread runner([this] {
      std::array<char, 64> packet{};
      bpf_test_run_opts options{.sz = sizeof(bpf_test_run_opts)};
      options.data_in = packet.data();
      options.data_size_in = packet.size();
      EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(program_->progs.slow_xdp), &options), 0);
    });
    while (program_->bss->began == 0) {
      std::this_thread::yield();
    }
    during();
    const bool ended = program_->bss->ended != 0;
    runner.join();
    return ended;
  }

  struct Destroy {
    void operator()(slow_xdp* program) const { slow_xdp__destroy(program); }
  };
  std::unique_ptr<slow_xdp, Destroy> program_;
};

TEST_F(RcuTest, WaitsForAProgramThatRuns) {
  const absl::StatusOr<RcuWaiter> rcu = RcuWaiter::Make();
  ASSERT_OK(rcu);
  EXPECT_FALSE(EndedAfter([] {})) << "the program is too short to tell anything";
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(EndedAfter([&] { EXPECT_OK(rcu->Wait()); })) << i;
  }
}

TEST_F(RcuTest, WaitsByDescriptorsThatAnotherProcessMade) {
  const absl::StatusOr<RcuWaiter> made = RcuWaiter::Make();
  ASSERT_OK(made);
  const RcuWaiter rcu(UniqueFd(fcntl(made->outer_fd(), F_DUPFD_CLOEXEC, 0)),
                      UniqueFd(fcntl(made->inner_fd(), F_DUPFD_CLOEXEC, 0)));
  EXPECT_TRUE(EndedAfter([&] { EXPECT_OK(rcu.Wait()); }));
}

TEST_F(RcuTest, SaysThatNothingWasWaitedFor) {
  const RcuWaiter missing{UniqueFd(), UniqueFd()};
  EXPECT_FALSE(missing.Wait().ok());
}

}  // namespace
}  // namespace sluice
