#include "dataplane/process/crash_accounting.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

TEST(CrashAccounting, OwesNothingAfterACleanEnd) {
  auto stats = std::make_unique<StatsSegment>();
  stats->lanes[3].ports[0].rx_packets.Set(13);
  stats->lanes[3].ports[1].tx_packets.Set(8);
  stats->lanes[kBridgeLane].ports[0].passed.Set(3);
  stats->lanes[3].ports[0].drops[2].Set(2);
  const CrashAccounting::Drops drops = CrashAccounting(*stats).Settle();
  EXPECT_EQ(drops.by_lane, decltype(drops.by_lane){});
  EXPECT_EQ(drops.unexplained, 0);
}

TEST(CrashAccounting, DropsFramesThatAreNoLongerHeld) {
  auto stats = std::make_unique<StatsSegment>();
  stats->lanes[0].ports[0].rx_packets.Set(100);
  stats->lanes[0].ports[0].tx_packets.Set(60);
  stats->lanes[0].ports[0].held.Set(999);  // the dead process's gauges do not count
  stats->lanes[0].handoff_held.Set(999);
  CrashAccounting crash_accounting(*stats);
  crash_accounting.Adopt(0, 30);
  crash_accounting.Adopt(0, 0);  // the lane was removed and added again: its first number counts
  EXPECT_EQ(crash_accounting.Settle().by_lane[0], 10U);
  EXPECT_EQ(crash_accounting.Settle().by_lane[0], 0U) << "the drops are counted once";
}

TEST(CrashAccounting, SeesThroughHandOffs) {
  auto stats = std::make_unique<StatsSegment>();
  // The bridge lane handed 50 frames to lane 0, which sent 45 of them. The crash lost 5, in either lane.
  stats->lanes[kBridgeLane].ports[0].rx_packets.Set(50);
  stats->lanes[0].ports[0].tx_packets.Set(45);
  const CrashAccounting::Drops drops = CrashAccounting(*stats).Settle();
  EXPECT_EQ(drops.by_lane[kBridgeLane], 5U);
  EXPECT_EQ(drops.by_lane[0], 0U);
}

TEST(CrashAccounting, DoesNotInventNegativeDrops) {
  auto stats = std::make_unique<StatsSegment>();
  stats->lanes[0].ports[0].tx_packets.Set(3);
  const CrashAccounting::Drops drops = CrashAccounting(*stats).Settle();
  EXPECT_EQ(drops.by_lane, decltype(drops.by_lane){});
  EXPECT_EQ(drops.unexplained, -3);
}

}  // namespace
}  // namespace sluice
