// A worker has its lanes' sockets in its epoll set only while it sleeps now and then.
#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "dataplane/function/network_function.h"
#include "dataplane/worker/worker_pool.h"
#include "tests/dataplane/epoll_members.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

constexpr int kWaker = 1;
constexpr int kSocket = 1;
const std::string kFrame(64, 'x');

// Has its socket receive another frame for each burst, so that the worker never finds it empty, however seldom the
// machine lets this process run.
class Perpetual final : public NetworkFunction {
 public:
  explicit Perpetual(FakeSocket& socket) : socket_(socket) {}

  void Process(LaneContext& /*lane*/, Burst& burst) override {
    for (Frame& frame : burst) {
      frame.verdict = Verdict::Drop(DropReason::kFunction);
    }
    if (goes_on) {
      socket_.Deliver(kFrame);
    }
  }

  std::atomic<bool> goes_on = true;

 private:
  FakeSocket& socket_;
};

class WorkerListenTest : public ::testing::Test {
 protected:
  void Start(Polling polling) {
    worker_pool_ = std::make_unique<WorkerPool>(polling, function_, *stats_);
    ASSERT_TRUE(worker_pool_->Place({static_cast<uint32_t>(sched_getcpu())}, {}).ok());
    worker_pool_->Take(*lane_, 0);
  }
  void TearDown() override { worker_pool_.reset(); }

  // Waits until the kernel's list has this many members. Returns false after a minute without.
  static bool Becomes(int members) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (EpollMembers() != members) {
      if (std::chrono::steady_clock::now() >= end) {
        return false;
      }
      Pause();
    }
    return true;
  }
  static void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  FakeLane fake_;
  Perpetual function_{*fake_.sockets[0]};
  std::unique_ptr<Lane> lane_ = fake_.Open(0, stats_->lanes[0]);
  std::unique_ptr<WorkerPool> worker_pool_;
};

TEST_F(WorkerListenTest, OneThatSleepsListens) {
  Start(Polling::kInterrupt);
  EXPECT_TRUE(Becomes(kWaker + kSocket));
}

TEST_F(WorkerListenTest, OneThatNeverSleepsDoesNot) {
  Start(Polling::kBusy);
  for (int i = 0; i < 20; ++i) {
    Pause();
    EXPECT_EQ(EpollMembers(), kWaker);
  }
}

TEST_F(WorkerListenTest, OneThatHasBeenAwakeForLongDoesNotUntilItSleeps) {
  Start(Polling::kAdaptive);
  ASSERT_TRUE(Becomes(kWaker + kSocket));
  fake_.sockets[0]->Deliver(kFrame);
  EXPECT_TRUE(Becomes(kWaker));
  function_.goes_on = false;
  EXPECT_TRUE(Becomes(kWaker + kSocket));
}

}  // namespace
}  // namespace sluice
