#include "control/kernel/rss_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sluice {
namespace {

constexpr size_t kEntries = 128;  // the size of the table in QEMU's virtio-net

uint32_t Uses(const std::vector<uint32_t>& table, uint32_t queue) {
  return static_cast<uint32_t>(std::count(table.begin(), table.end(), queue));
}

TEST(SpreadTable, NamesEveryQueueAboutEquallyOften) {
  std::vector<uint32_t> table(kEntries, 0);
  for (const uint32_t count : {4U, 3U, 7U, 1U, 2U, 64U, 5U}) {
    table = SpreadTable(table, count);
    for (uint32_t queue = 0; queue < count; ++queue) {
      EXPECT_NEAR(Uses(table, queue), kEntries / count, 1 + kEntries / count / 2) << queue << " of " << count;
    }
    EXPECT_LT(*std::max_element(table.begin(), table.end()), count);
  }
}

TEST(SpreadTable, MovesFlowsOneWayOnly) {
  std::mt19937 random(2012);
  std::vector<uint32_t> table = SpreadTable(std::vector<uint32_t>(kEntries, 0), 4);
  uint32_t count = 4;
  for (int i = 0; i < 200; ++i) {
    const uint32_t next = 1 + static_cast<uint32_t>(random() % 8);
    const std::vector<uint32_t> moved = SpreadTable(table, next);
    for (size_t entry = 0; entry < kEntries; ++entry) {
      if (moved[entry] != table[entry]) {
        ASSERT_TRUE(next < count ? table[entry] >= next : moved[entry] >= count)
            << count << " to " << next << ": entry " << entry << " from " << table[entry] << " to " << moved[entry];
      }
    }
    table = moved;
    count = next;
  }
}

TEST(SpreadTable, FillsGapsToo) {
  EXPECT_EQ(Uses(SpreadTable(std::vector<uint32_t>(kEntries, 1), 2), 0), kEntries / 2);
  std::vector<uint32_t> gap;
  for (size_t i = 0; i < kEntries; ++i) {
    gap.push_back(i % 3 == 1 ? 3 : static_cast<uint32_t>(i % 3));
  }
  EXPECT_GE(Uses(SpreadTable(gap, 4), 1), kEntries / 4 - 3);
}

TEST(SpreadTable, TheSameCountChangesNothing) {
  const std::vector<uint32_t> table = SpreadTable(std::vector<uint32_t>(kEntries, 0), 4);
  EXPECT_EQ(SpreadTable(table, 4), table);
  EXPECT_EQ(SpreadTable({}, 4), std::vector<uint32_t>());
}

TEST(IsDefaultRssTable, KnowsTheKernelsOwn) {
  EXPECT_TRUE(IsDefaultRssTable({0, 1, 2, 0, 1, 2, 0, 1}, 3));
  EXPECT_FALSE(IsDefaultRssTable({0, 1, 2, 0, 1, 2, 0, 2}, 3));
  EXPECT_FALSE(IsDefaultRssTable({0, 1, 2, 0, 1, 2, 0, 1}, 4));
  EXPECT_TRUE(IsDefaultRssTable({}, 1));
}

}  // namespace
}  // namespace sluice
