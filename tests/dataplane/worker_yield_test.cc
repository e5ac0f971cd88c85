// A worker that has nothing to do leaves its core to others now and then.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "dataplane/functions/reflect/reflect.h"
#include "dataplane/worker/worker_pool.h"
#include "tests/dataplane/fake_kernel.h"

namespace {
std::atomic<uint64_t> yields{0};
}  // namespace

// Replaces libc's sched_yield in the whole test program, to count the calls.
extern "C" int sched_yield() {
  ++yields;
  return static_cast<int>(syscall(SYS_sched_yield));
}

namespace sluice {
namespace {

TEST(WorkerYield, OneThatNeverSleepsYields) {
  const auto stats = std::make_unique<StatsSegment>();
  functions::reflect::Reflect reflect;
  FakeLane fake;
  const std::unique_ptr<Lane> lane = fake.Open(0, stats->lanes[0]);
  WorkerPool worker_pool(Polling::kBusy, reflect, *stats);
  ASSERT_TRUE(worker_pool.Place({static_cast<uint32_t>(sched_getcpu())}, {}).ok());
  worker_pool.Take(*lane, 0);
  yields = 0;
  for (int i = 0; i < 60000 && yields < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(yields, 100U);
}

}  // namespace
}  // namespace sluice
