// A worker has its lanes' sockets in its epoll set only while it sleeps now and then.
#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "dataplane/functions/reflect/reflect.h"
#include "dataplane/worker/worker_pool.h"
#include "tests/dataplane/epoll_members.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

constexpr int kWaker = 1;
constexpr int kSocket = 1;
const std::string kFrame(64, 'x');

class WorkerListenTest : public ::testing::Test {
 protected:
  void Start(Polling polling) {
    worker_pool_ = std::make_unique<WorkerPool>(polling, reflect_, *stats_);
    // The worker gets this thread's core; the scheduler moves this thread to another one while the worker is awake.
    ASSERT_TRUE(worker_pool_->Place({static_cast<uint32_t>(sched_getcpu())}, {}).ok());
    worker_pool_->Take(*lane_, 0);
  }
  void TearDown() override { worker_pool_.reset(); }

  // Repeats `meanwhile` until the kernel's list has this many members. Returns false after a minute without.
  static bool Becomes(int members, const std::function<void()>& meanwhile) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (EpollMembers() != members) {
      if (std::chrono::steady_clock::now() >= end) {
        return false;
      }
      meanwhile();
    }
    return true;
  }
  static void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  functions::reflect::Reflect reflect_;
  FakeLane fake_;
  std::unique_ptr<Lane> lane_ = fake_.Open(0, stats_->lanes[0]);
  std::unique_ptr<WorkerPool> worker_pool_;
};

TEST_F(WorkerListenTest, OneThatSleepsListens) {
  Start(Polling::kInterrupt);
  EXPECT_TRUE(Becomes(kWaker + kSocket, Pause));
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
  ASSERT_TRUE(Becomes(kWaker + kSocket, Pause));
  const auto flood = [this] {
    for (int i = 0; i < 20'000; ++i) {
      fake_.sockets[0]->Deliver(kFrame);
    }
    fake_.sockets[0]->TakeSent();
  };
  EXPECT_TRUE(Becomes(kWaker, flood));
  EXPECT_TRUE(Becomes(kWaker + kSocket, Pause));
}

}  // namespace
}  // namespace sluice
