#include "control/cli/arguments.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

TEST(ArgumentsTest, Counts) {
  EXPECT_EQ(*ParseCount("0"), 0u);  // the agent's to refuse
  EXPECT_EQ(*ParseCount("4"), 4u);
  EXPECT_EQ(*ParseCount("4294967295"), 4294967295u);
  for (const char* text : {"", "-1", "+1", "4x", " 4", "4 ", "0x4", "4.0", "four"}) {
    EXPECT_EQ(std::string(ParseCount(text).status().message()),
              "'" + std::string(text) + "' is not a positive whole number");
  }
  EXPECT_EQ(std::string(ParseCount("4294967296").status().message()), "4294967296 is too large");
}

TEST(ArgumentsTest, Intervals) {
  const absl::Duration min = absl::Milliseconds(1);
  EXPECT_EQ(*ParseInterval("5s", min), absl::Seconds(5));
  EXPECT_EQ(*ParseInterval("500ms", min), absl::Milliseconds(500));
  EXPECT_EQ(*ParseInterval("1m30s", min), absl::Seconds(90));
  EXPECT_EQ(*ParseInterval("24h", min), absl::Hours(24));
  for (const char* text : {"", "5", "s", "5 s", "five"}) {
    EXPECT_EQ(std::string(ParseInterval(text, min).status().message()),
              "'" + std::string(text) + "' is not a duration such as 500ms, 5s or 1m30s");
  }
  for (const char* text : {"0", "-5s", "inf", "25h", "1us"}) {
    EXPECT_EQ(std::string(ParseInterval(text, min).status().message()),
              "'" + std::string(text) + "' is out of range: from 1ms to 24h");
  }
}

}  // namespace
}  // namespace sluice::cli
