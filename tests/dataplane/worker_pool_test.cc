#include "dataplane/worker/worker_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "dataplane/functions/reflect/reflect.h"
#include "dataplane/process/handoff_fabric.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// Returns a core that this process may run on.
uint32_t ACore() {
  cpu_set_t cores;
  sched_getaffinity(0, sizeof(cores), &cores);
  uint32_t core = 0;
  while (!CPU_ISSET(core, &cores)) {
    ++core;
  }
  return core;
}

bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 60000; ++i) {
    if (condition()) {
      return true;
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
  return false;
}

class WorkerPoolTest : public ::testing::TestWithParam<Polling> {
 protected:
  void Make(uint32_t lanes, uint32_t workers, Polling polling) {
    worker_pool_ = std::make_unique<WorkerPool>(polling, reflect_, *stats_);
    ASSERT_TRUE(worker_pool_->Place(std::vector<uint32_t>(workers, ACore()), {}).ok());
    for (uint32_t i = 0; i < lanes; ++i) {
      fakes_.push_back(std::make_unique<FakeLane>(1, 2048, FakeSocketOptions{.ring_size = 512}));
      lanes_.push_back(fakes_.back()->Open(i, stats_->lanes[i]));
      worker_pool_->Take(*lanes_.back(), 0);
    }
  }
  void TearDown() override { worker_pool_.reset(); }

  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  functions::reflect::Reflect reflect_;
  std::vector<std::unique_ptr<FakeLane>> fakes_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<WorkerPool> worker_pool_;
};

INSTANTIATE_TEST_SUITE_P(Polling, WorkerPoolTest,
                         ::testing::Values(Polling::kAdaptive, Polling::kBusy, Polling::kInterrupt));

TEST_P(WorkerPoolTest, MovesLanesUnderLoadWithoutLossOrReordering) {
  constexpr uint32_t kLanes = 3;
  Make(kLanes, 2, GetParam());
  std::atomic<bool> stop{false};
  std::vector<uint64_t> delivered(kLanes);
  std::thread traffic([&] {
    for (uint64_t i = 0; !stop; ++i) {
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        delivered[lane] += fakes_[lane]->sockets[0]->Deliver(UdpPacket(i % 5, i)) ? 1 : 0;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  });
  const uint32_t core = ACore();
  for (uint32_t move = 0; move < 120; ++move) {
    const uint32_t workers = 1 + move % 3;
    std::vector<std::pair<Lane*, uint32_t>> moves;
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      moves.emplace_back(lanes_[lane].get(), (lane + move) % workers);
    }
    ASSERT_TRUE(worker_pool_->Place(std::vector<uint32_t>(workers, core), moves).ok());
    ASSERT_EQ(worker_pool_->size(), workers);
    std::this_thread::sleep_for(milliseconds(1));
  }
  stop = true;
  traffic.join();
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    EXPECT_TRUE(Eventually([&] { return stats_->lanes[lane].ports[0].tx_packets.Get() == delivered[lane]; }))
        << stats_->lanes[lane].ports[0].tx_packets.Get() << " of " << delivered[lane];
    const auto sent = fakes_[lane]->sockets[0]->TakeSent();
    EXPECT_EQ(sent.size(), delivered[lane]);
    ExpectOrder(sent);
  }
  EXPECT_EQ(Balance::Of(*stats_).drops, 0U);
}

TEST_P(WorkerPoolTest, HandsOverBetweenWorkersWhileLanesMove) {
  Make(3, 2, GetParam());
  HandoffFabric fabric(*worker_pool_);
  const std::vector<Lane*> all = {lanes_[0].get(), lanes_[1].get(), lanes_[2].get()};
  fabric.Connect(all, {.count = 2});
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> delivered{0};
  std::thread traffic([&] {
    for (uint64_t i = 0; !stop; ++i) {
      delivered += fakes_[2]->sockets[0]->Deliver(UdpPacket(i % 16, i)) ? 1 : 0;
      if (i % 8 == 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    }
  });
  const uint32_t core = ACore();
  for (uint32_t move = 0; move < 60; ++move) {
    ASSERT_TRUE(
        worker_pool_->Place({core, core}, {{all[0], move % 2}, {all[1], move / 2 % 2}, {all[2], move / 4 % 2}}).ok());
    std::this_thread::sleep_for(milliseconds(1));
  }
  stop = true;
  traffic.join();
  EXPECT_TRUE(Eventually([&] {
    const Balance balance = Balance::Of(*stats_);
    return balance.rx == delivered && balance.held == 0 && balance.holds();
  })) << Balance::Of(*stats_)
      << " of " << delivered;
  for (const uint32_t lane : {0U, 1U}) {
    const auto sent = fakes_[lane]->sockets[0]->TakeSent();
    EXPECT_FALSE(sent.empty());
    ExpectOrder(sent);
  }
  EXPECT_TRUE(fakes_[2]->sockets[0]->TakeSent().empty());
  fabric.Disconnect(*all[2], *all[0]);
  fabric.Disconnect(*all[2], *all[1]);
}

TEST_F(WorkerPoolTest, ASleepingDestinationIsWoken) {
  Make(2, 2, Polling::kInterrupt);
  ASSERT_TRUE(worker_pool_->Place({ACore(), ACore()}, {{lanes_[1].get(), 1}}).ok());
  HandoffFabric fabric(*worker_pool_);
  fabric.Connect({lanes_[0].get(), lanes_[1].get()}, {.count = 1});
  // Without the waker each packet would leave when the destination's sleep ends by itself, half of kBeatEveryMs later.
  const auto begin = std::chrono::steady_clock::now();
  constexpr int kPackets = 1000;
  for (uint64_t i = 1; i <= kPackets; ++i) {
    ASSERT_TRUE(fakes_[1]->sockets[0]->Deliver(UdpPacket(1, i)));
    ASSERT_TRUE(Eventually([&] { return stats_->lanes[0].ports[0].tx_packets.Get() == i; })) << i;
    fakes_[1]->sockets[0]->UpdateReadiness();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(kPackets * kBeatEveryMs / 4));
  fabric.Disconnect(*lanes_[1], *lanes_[0]);
}

TEST_F(WorkerPoolTest, IdleWorkersSleep) {
  Make(1, 2, Polling::kAdaptive);
  const auto sleeps = [&] { return stats_->workers[0].sleeps.Get() + stats_->workers[1].sleeps.Get(); };
  ASSERT_TRUE(Eventually([&] {
    const uint64_t at_rest = sleeps();
    std::this_thread::sleep_for(milliseconds(kBeatEveryMs / 4));
    return at_rest >= 2 && sleeps() == at_rest;
  }));
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t sleeps_before = sleeps();
  const uint64_t beats_before[] = {stats_->workers[0].beats.Get(), stats_->workers[1].beats.Get()};
  timespec before;
  timespec after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  std::this_thread::sleep_for(milliseconds(5 * kBeatEveryMs));
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const int64_t used_ns = (after.tv_sec - before.tv_sec) * 1'000'000'000LL + after.tv_nsec - before.tv_nsec;
  EXPECT_LT(used_ns, 20'000'000);
  const auto slept_ms = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_LE(sleeps() - sleeps_before, 2 * (slept_ms / kBeatEveryMs + 1))
      << "a sleep ends to beat, and for nothing else";
  for (int worker = 0; worker < 2; ++worker) {
    EXPECT_GT(stats_->workers[worker].beats.Get(), beats_before[worker]) << worker;
  }
}

TEST_F(WorkerPoolTest, NamesItsThreadsWhileTheyLive) {
  Make(1, 2, Polling::kAdaptive);
  ASSERT_TRUE(Eventually([&] { return stats_->workers[0].thread.Get() != 0 && stats_->workers[1].thread.Get() != 0; }));
  EXPECT_NE(stats_->workers[0].thread.Get(), stats_->workers[1].thread.Get());
  EXPECT_EQ(stats_->workers[2].thread.Get(), 0U);
  ASSERT_TRUE(worker_pool_->Place({ACore()}, {}).ok());
  EXPECT_NE(stats_->workers[0].thread.Get(), 0U);
  EXPECT_EQ(stats_->workers[1].thread.Get(), 0U);
}

TEST_F(WorkerPoolTest, AccountsForItsTime) {
  Make(1, 1, Polling::kBusy);
  const WorkerStats& stats = stats_->workers[0];
  auto accounted_ns = [&] { return stats.busy_ns.Get() + stats.idle_ns.Get(); };
  // Once it has polled the lane it never sleeps again, and every nanosecond counts as busy or idle.
  ASSERT_TRUE(fakes_[0]->sockets[0]->Deliver(UdpPacket(1, 0)));
  ASSERT_TRUE(Eventually([&] { return stats_->lanes[0].ports[0].tx_packets.Get() == 1; }));
  const uint64_t sleeps = stats.sleeps.Get();
  const uint64_t busy_before_ns = stats.busy_ns.Get();
  const uint64_t before_ns = accounted_ns();
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t i = 1; std::chrono::steady_clock::now() - begin < milliseconds(100); ++i) {
    fakes_[0]->sockets[0]->Deliver(UdpPacket(1, i));
  }
  EXPECT_TRUE(Eventually([&] { return accounted_ns() - before_ns >= 100'000'000; }));
  EXPECT_GT(stats.busy_ns.Get(), busy_before_ns);
  EXPECT_EQ(stats.sleeps.Get(), sleeps);
}

TEST_F(WorkerPoolTest, AFailedPlacementChangesNothing) {
  Make(2, 1, Polling::kInterrupt);
  const uint32_t core = ACore();
  EXPECT_FALSE(worker_pool_->Place({core, 1000}, {{lanes_[0].get(), 1}}).ok());
  EXPECT_FALSE(worker_pool_->Place({1000}, {}).ok());
  EXPECT_FALSE(worker_pool_->Place({core, core, 100000}, {}).ok());
  EXPECT_FALSE(worker_pool_->Place({core}, {{lanes_[0].get(), 1}}).ok());
  EXPECT_FALSE(worker_pool_->Place({}, {}).ok()) << "no worker would poll the lanes";
  EXPECT_FALSE(worker_pool_->Place(std::vector<uint32_t>(kMaxWorkers + 1, core), {}).ok());
  EXPECT_EQ(worker_pool_->cores(), std::vector<uint32_t>{core});
  EXPECT_EQ(worker_pool_->worker_of(*lanes_[0]), 0U);
  ASSERT_TRUE(fakes_[0]->sockets[0]->Deliver(UdpPacket(1, 1)));
  EXPECT_TRUE(Eventually([&] { return stats_->lanes[0].ports[0].tx_packets.Get() == 1; }));
}

}  // namespace
}  // namespace sluice
