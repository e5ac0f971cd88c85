#include "control/dataplane/stats_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(StatsView, SumsTheLawOverLanesAndPorts) {
  absl::StatusOr<StatsView> view = StatsView::Make();
  ASSERT_TRUE(view.ok()) << view.status();
  void* mapped = mmap(nullptr, sizeof(StatsSegment), PROT_READ | PROT_WRITE, MAP_SHARED, view->fd(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  auto* segment = static_cast<StatsSegment*>(mapped);
  segment->lanes[0].ports[0].rx_packets.Add(10 + 6);
  segment->lanes[kBridgeLane].ports[0].passed.Add(4);
  segment->lanes[0].to_kernel_held.Set(2);
  segment->lanes[kBridgeLane].ports[1].rx_packets.Add(5);
  segment->lanes[0].ports[1].tx_packets.Add(9);
  segment->lanes[1].ports[0].drops[static_cast<uint32_t>(DropReason::kTxRingFull)].Add(2);
  segment->lanes[0].ports[1].held.Set(3);
  segment->lanes[kBridgeLane].handoff_held.Set(1);
  const BalanceSums sums = view->Balance();
  EXPECT_EQ(sums.received, 15U + 6U);
  EXPECT_EQ(sums.passed, 4U);
  EXPECT_EQ(sums.transmitted, 9U);
  EXPECT_EQ(sums.dropped, 2U);
  EXPECT_EQ(sums.held, 4U + 2U);
  EXPECT_EQ(sums.unaccounted(), 0);
  segment->lanes[0].ports[0].rx_packets.Add(1);
  EXPECT_EQ(view->Balance().unaccounted(), 1);
  munmap(mapped, sizeof(StatsSegment));
}

TEST(StatsView, CountersBeyondTheSegmentAreZero) {
  absl::StatusOr<StatsView> view = StatsView::Make();
  ASSERT_TRUE(view.ok()) << view.status();
  void* mapped = mmap(nullptr, sizeof(StatsSegment), PROT_READ | PROT_WRITE, MAP_SHARED, view->fd(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  memset(static_cast<char*>(mapped) + offsetof(StatsSegment, lanes), 0x11,
         sizeof(StatsSegment) - offsetof(StatsSegment, lanes));
  constexpr uint64_t kFilled = 0x1111111111111111;
  constexpr uint32_t kReasons = kDropReasons + kMaxFunctionDropReasons;
  EXPECT_EQ(view->lane(kMaxLanes - 1).free_frames.Get(), kFilled);
  EXPECT_EQ(view->port(kMaxLanes - 1, kMaxPorts - 1).rx_packets.Get(), kFilled);
  EXPECT_EQ(view->drops(kMaxLanes - 1, kMaxPorts - 1, kReasons - 1), kFilled);
  EXPECT_EQ(view->worker(kMaxWorkers - 1).busy_ns.Get(), kFilled);
  EXPECT_NE(view->function_counter(kMaxFunctionCounters - 1), 0U);
  for (const uint32_t beyond : {0U, 1U, 1000U, UINT32_MAX / 2}) {
    EXPECT_EQ(view->lane(kMaxLanes + beyond).free_frames.Get(), 0U);
    EXPECT_EQ(view->port(kMaxLanes + beyond, 0).rx_packets.Get(), 0U);
    EXPECT_EQ(view->port(0, kMaxPorts + beyond).rx_packets.Get(), 0U);
    EXPECT_EQ(view->drops(0, 0, kReasons + beyond), 0U);
    EXPECT_EQ(view->drops(0, kMaxPorts + beyond, 0), 0U);
    EXPECT_EQ(view->worker(kMaxWorkers + beyond).busy_ns.Get(), 0U);
    EXPECT_EQ(view->function_counter(kMaxFunctionCounters + beyond), 0U);
  }
  munmap(mapped, sizeof(StatsSegment));
}

TEST(StatsView, RefusesASegmentOfAnotherLayout) {
  UniqueFd small(memfd_create("small", 0));
  EXPECT_TRUE(absl::IsDataLoss(StatsView::Adopt(std::move(small)).status()));
  UniqueFd zero(memfd_create("zero", 0));
  ASSERT_EQ(ftruncate(zero.get(), sizeof(StatsSegment)), 0);
  EXPECT_TRUE(absl::IsDataLoss(StatsView::Adopt(std::move(zero)).status()));
}

}  // namespace
}  // namespace sluice
