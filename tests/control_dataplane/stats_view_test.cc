#include "control/dataplane/stats_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

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

TEST(StatsView, RefusesASegmentOfAnotherLayout) {
  UniqueFd small(memfd_create("small", 0));
  EXPECT_TRUE(absl::IsDataLoss(StatsView::Adopt(std::move(small)).status()));
  UniqueFd zero(memfd_create("zero", 0));
  ASSERT_EQ(ftruncate(zero.get(), sizeof(StatsSegment)), 0);
  EXPECT_TRUE(absl::IsDataLoss(StatsView::Adopt(std::move(zero)).status()));
}

}  // namespace
}  // namespace sluice
