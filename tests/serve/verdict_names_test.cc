#include "control/serve/verdict_names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice {
namespace {

TEST(VerdictNames, AreDifferentForEach) {
  std::set<std::string> names;
  for (int verdict = 0; verdict < SLUICE_VERDICT_COUNT; ++verdict) {
    names.insert(VerdictName(static_cast<sluice_verdict>(verdict)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(SLUICE_VERDICT_COUNT));
  EXPECT_FALSE(names.contains(""));
  EXPECT_STREQ(VerdictName(SLUICE_VERDICT_COUNT), "");
  EXPECT_STREQ(VerdictName(SLUICE_VERDICT_OVERLOADED), "overloaded");
}

TEST(VerdictNames, OnlyDropsInXdpDoNotLeaveXdp) {
  EXPECT_TRUE(LeavesXdp(SLUICE_VERDICT_DOWN_DROP)) << "clsact drops these packets, so they leave XDP";
  for (const sluice_verdict drop : {SLUICE_VERDICT_DROP, SLUICE_VERDICT_MALFORMED, SLUICE_VERDICT_BLOCKED,
                                    SLUICE_VERDICT_OVERLOADED, SLUICE_VERDICT_UNREADABLE, SLUICE_VERDICT_FRAGMENT}) {
    EXPECT_FALSE(LeavesXdp(drop)) << VerdictName(drop);
  }
}

}  // namespace
}  // namespace sluice
