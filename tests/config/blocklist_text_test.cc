#include "control/rules/blocklist_text.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using testing::HasSubstr;

TEST(BlocklistTextTest, LinesCommentsAndBothFamilies) {
  const auto list = ParseBlocklist("# bad\n192.0.2.0/24 # from last week\n\n  2001:db8::1\r\n", "f");
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].prefixlen, 32u + 24);
  EXPECT_EQ((*list)[0].table, SLUICE_PREFIX_TABLE(4, 0, 0));
  EXPECT_EQ((*list)[1].prefixlen, 32u + 128);
  EXPECT_EQ((*list)[1].table, SLUICE_PREFIX_TABLE(6, 0, 0));
  EXPECT_TRUE(ParseBlocklist("", "f")->empty());
}

TEST(BlocklistTextTest, EachProblemWithItsLine) {
  const auto list = ParseBlocklist("192.0.2.0/24\n192.0.2.1/24\nexample.org\n10.0.0.0/33\n", "bad.txt");
  EXPECT_EQ(std::string(list.status().message()),
            "bad.txt:2: '192.0.2.1/24' has bits beyond the prefix; 192.0.2.0/24 is allowed\n"
            "bad.txt:3: 'example.org' is no IPv4 or IPv6 address or prefix, such as 10.0.0.0/8 or 2001:db8::/32\n"
            "bad.txt:4: '10.0.0.0/33': the prefix length must be 0..32");
}

TEST(BlocklistTextTest, ATextThatIsNoListIsQuotedInPart) {
  const std::string line(2'000'000, '\x8b');
  const std::string problems(ParseBlocklist(line, "f.gz").status().message());
  EXPECT_THAT(problems, HasSubstr("f.gz:1: '\\x8b\\x8b"));
  EXPECT_LT(problems.size(), 400u);
}

TEST(BlocklistTextTest, AThousandProblemsAreNotAThousandLines) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&text, "x\n");
  }
  const std::string problems(ParseBlocklist(text, "f").status().message());
  EXPECT_THAT(problems, HasSubstr("f: and 980 more"));
  EXPECT_EQ(std::count(problems.begin(), problems.end(), '\n'), 20);
}

}  // namespace
}  // namespace sluice
