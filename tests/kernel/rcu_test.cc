// Waits for grace periods while a BPF program runs for 50 ms: Wait must not return before the program has ended.
#include "dataplane/base/rcu.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
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
    if (std::thread::hardware_concurrency() < 2) {
      GTEST_SKIP() << "needs two CPUs: one runs the program, the other waits for it";
    }
  }

  // Calls `during` while the program runs, and returns whether the program had ended when `during` returned. On a busy
  // machine this thread may run again only after the program; such a try proves nothing and is repeated. Returns
  // nullopt if no try was valid.
  template <typename During>
  std::optional<bool> EndedAfter(During during) {
    constexpr int kTries = 100;
    for (int tries = 0; tries < kTries; ++tries) {
      program_->bss->began = program_->bss->ended = 0;
      std::thread runner([this] { Run(); });
      while (program_->bss->began == 0) {
        std::this_thread::yield();
      }
      const bool too_late = program_->bss->ended != 0;
      if (!too_late) {
        during();
      }
      const bool ended = program_->bss->ended != 0;
      runner.join();
      if (!too_late) {
        return ended;
      }
    }
    return std::nullopt;
  }

  void Run() {
    std::array<char, 64> packet{};
    bpf_test_run_opts options{.sz = sizeof(bpf_test_run_opts)};
    options.data_in = packet.data();
    options.data_size_in = packet.size();
    EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(program_->progs.slow_xdp), &options), 0);
  }

  struct Destroy {
    void operator()(slow_xdp* program) const { slow_xdp__destroy(program); }
  };
  std::unique_ptr<slow_xdp, Destroy> program_;
};

// Shows that a call which does not wait returns before the program has ended, so that the tests below can fail.
TEST_F(RcuTest, AnotherSystemCallDoesNotWait) {
  const UniqueFd array(bpf_map_create(BPF_MAP_TYPE_ARRAY, "plain", sizeof(uint32_t), sizeof(uint32_t), 1, nullptr));
  const uint32_t zero = 0;
  std::optional<bool> ended;
  for (int tries = 0; tries < 100 && ended != false; ++tries) {
    ended = EndedAfter([&] { EXPECT_EQ(bpf_map_update_elem(array.get(), &zero, &zero, BPF_ANY), 0); });
  }
  EXPECT_EQ(ended, false);
}

TEST_F(RcuTest, WaitsForAProgramThatRuns) {
  const absl::StatusOr<RcuWaiter> rcu = RcuWaiter::Make();
  ASSERT_OK(rcu);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(EndedAfter([&] { EXPECT_OK(rcu->Wait()); }), true) << i;
  }
}

TEST_F(RcuTest, WaitsByDescriptorsThatAnotherProcessMade) {
  const absl::StatusOr<RcuWaiter> made = RcuWaiter::Make();
  ASSERT_OK(made);
  const RcuWaiter rcu(UniqueFd(fcntl(made->outer_fd(), F_DUPFD_CLOEXEC, 0)),
                      UniqueFd(fcntl(made->inner_fd(), F_DUPFD_CLOEXEC, 0)));
  EXPECT_EQ(EndedAfter([&] { EXPECT_OK(rcu.Wait()); }), true);
}

TEST_F(RcuTest, SaysThatNothingWasWaitedFor) {
  const RcuWaiter missing{UniqueFd(), UniqueFd()};
  EXPECT_FALSE(missing.Wait().ok());
}

}  // namespace
}  // namespace sluice
