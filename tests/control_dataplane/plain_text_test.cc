#include "control/dataplane/plain_text.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(PlainText, HasNoControlCharacters) {
  EXPECT_EQ(PlainText("no lane 3", 100), "no lane 3");
  EXPECT_EQ(PlainText("a\x1b[2Jb\nc\x7f", 100), "a?[2Jb?c?");
  EXPECT_EQ(PlainText("\xc2\x9b"
                      "31m \xc3\xa4",
                      100),
            "?31m \xc3\xa4")
      << "C1, but no letter";
}

TEST(PlainText, IsCutBetweenCharacters) {
  EXPECT_EQ(PlainText("abcdef", 3), "abc");
  EXPECT_EQ(PlainText("a\xc3\xa4z", 2), "a");
  EXPECT_EQ(PlainText("\xe2\x82\xac", 2), "");
  EXPECT_EQ(PlainText("abc", 0), "");
}

}  // namespace
}  // namespace sluice
