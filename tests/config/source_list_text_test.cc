#include "control/rules/source_list_text.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string TextsOf(const absl::StatusOr<SourcePrefixes>& list) {
  EXPECT_TRUE(list.ok()) << list.status();
  return list.ok() ? absl::StrJoin(list->prefixes, " ",
                                   [](std::string* out, const Prefix& prefix) { out->append(PrefixText(prefix)); })
                   : "";
}

std::string Read(absl::string_view text) {
  return TextsOf(ParseSourceList(text, "f"));
}

std::string ProblemOf(absl::string_view text) {
  return std::string(ParseSourceList(text, "f").status().message());
}

TEST(SourceListTextTest, LinesCommentsAndBothFamilies) {
  EXPECT_EQ(Read("# bad\n192.0.2.0/24 # from last week\n\n  2001:db8::1\r\n"), "192.0.2.0/24 2001:db8::1/128");
  EXPECT_EQ(Read(""), "");
  EXPECT_EQ(ParseSourceList("# none\n; none\n\r\n", "f")->entries, 0u);
}

TEST(SourceListTextTest, ShapesOfTheField) {
  EXPECT_EQ(Read("\xef\xbb\xbf; Spamhaus DROP List\n1.10.16.0/20 ; SBL256894\n1.19.0.0/16 ; SBL434604\n"),
            "1.10.16.0/20 1.19.0.0/16");
  EXPECT_EQ(Read("{\"cidr\":\"1.10.16.0/20\",\"sblid\":\"SBL256894\",\"rir\":\"apnic\"}\n"
                 "{\"type\":\"metadata\",\"timestamp\":1717171717,\"size\":92}\n"),
            "1.10.16.0/20");
  EXPECT_EQ(Read("192.0.2.1"), "192.0.2.1/32") << "no end of line";
  EXPECT_EQ(Read("192.0.2.0/24\n192.0.2.0/24\n192.0.0.0/16\n"), "192.0.2.0/24 192.0.2.0/24 192.0.0.0/16");
}

TEST(SourceListTextTest, RangesBecomeTheFewestPrefixes) {
  EXPECT_EQ(Read("1.2.3.4-1.2.3.9"), "1.2.3.4/30 1.2.3.8/31");
  EXPECT_EQ(Read("1.2.3.4 - 1.2.3.4 ; one"), "1.2.3.4/32");
  EXPECT_EQ(Read("1.2.3.1-1.2.3.6"), "1.2.3.1/32 1.2.3.2/31 1.2.3.4/31 1.2.3.6/32");
  EXPECT_EQ(Read("0.0.0.0-255.255.255.255"), "0.0.0.0/0");
  EXPECT_EQ(Read("255.255.255.254-255.255.255.255"), "255.255.255.254/31");
  EXPECT_EQ(Read("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "::/0");
  EXPECT_EQ(Read("2001:db8::-2001:db8::ffff"), "2001:db8::/112");
  EXPECT_EQ(ParseSourceList("0.0.0.1-255.255.255.254", "f")->prefixes.size(), 62u);
  EXPECT_EQ(ParseSourceList("0.0.0.1-255.255.255.254", "f")->entries, 1u);
  EXPECT_EQ(Read("::ffff:1.2.3.4-::ffff:1.2.3.5"), "1.2.3.4/31");
  for (const char* bad : {"1.2.3.9-1.2.3.4", "1.2.3.4-::1", "1.2.3.4-", "-1.2.3.4", "1.2.3.0/24-1.2.4.0/24",
                          "1.2.3.4-1.2.3.5-1.2.3.6", "1.2.3.4-9"}) {
    EXPECT_THAT(ProblemOf(bad), HasSubstr("f:1: '")) << bad;
  }
}

TEST(SourceListTextTest, PlainMeaningsArePutRightAndCounted) {
  const auto list = ParseSourceList("10.0.0.1/8\n192.0.2.1/24\n::ffff:192.0.2.7\n::ffff:198.51.100.0/120\n", "f");
  EXPECT_EQ(TextsOf(list), "10.0.0.0/8 192.0.2.0/24 192.0.2.7/32 198.51.100.0/24");
  EXPECT_THAT(list->warnings,
              ElementsAre("2 entries had bits beyond the prefix, taken: 10.0.0.1/8 as 10.0.0.0/8, 192.0.2.1/24 as "
                          "192.0.2.0/24",
                          "2 entries had IPv4 written as IPv6, taken: ::ffff:192.0.2.7 as 192.0.2.7/32, "
                          "::ffff:198.51.100.0/120 as 198.51.100.0/24"));
  EXPECT_THAT(ParseSourceList("192.0.2.0/24", "f")->warnings, IsEmpty());
  std::string many;
  for (int i = 0; i < 250; ++i) {
    absl::StrAppend(&many, "10.0.", i, ".1/24\n");
  }
  EXPECT_THAT(ParseSourceList(many, "f")->warnings.front(), HasSubstr("250 entries had bits"));
  EXPECT_EQ(TextsOf(ParseSources({"::ffff:10.0.0.1/104"})), "10.0.0.0/8");
}

TEST(SourceListTextTest, EachProblemWithItsLine) {
  EXPECT_EQ(ProblemOf("192.0.2.0/24\nexample.org\n10.0.0.0/33\n"),
            "f:2: 'example.org' is no IPv4 or IPv6 address or prefix, such as 10.0.0.0/8 or 2001:db8::/32\n"
            "f:3: '10.0.0.0/33': the prefix length must be 0..32");
  for (const char* bad : {"010.0.0.1", "10.0.0.0/08", "10.0.0", "10.0.0.0/", "1.2.3.4 5.6.7.8", "{\"cidr\":", "{1}",
                          "{\"cidr\":5}", "10.0.0.0/-1", "fe80::1%eth0"}) {
    EXPECT_THAT(ProblemOf(bad), HasSubstr("f:1: ")) << bad;
  }
}

TEST(SourceListTextTest, TextsThatAreNoListsAreRefused) {
  EXPECT_THAT(ProblemOf(absl::string_view("\xff\xfe\x31\0", 4)), HasSubstr("UTF-16"));
  EXPECT_THAT(ProblemOf(absl::string_view("1\0.\0", 4)), HasSubstr("f:1: '1\\x00"));
  EXPECT_THAT(ProblemOf(absl::string_view("10.0.0.1\0", 9)), HasSubstr("f:1: "));
  EXPECT_THAT(ProblemOf("\x1f\x8b\x08"), HasSubstr("gzip"));
  const std::string problem = ProblemOf(std::string(2'000'000, '\x8b'));
  EXPECT_THAT(problem, HasSubstr("f:1: a line of 2000000 bytes"));
  EXPECT_LT(problem.size(), 400u);
}

TEST(SourceListTextTest, AThousandProblemsAreNotAThousandLines) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&text, "x\n");
  }
  const std::string problems = ProblemOf(text);
  EXPECT_THAT(problems, HasSubstr("f: and 980 more"));
  EXPECT_EQ(std::count(problems.begin(), problems.end(), '\n'), 20);
}

TEST(SourceListTextTest, RangesDoNotMakeMoreThanAListHolds) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) {  // 252 prefixes each
    absl::StrAppend(&text, "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe\n");
  }
  EXPECT_THAT(ProblemOf(text), HasSubstr("more than 4194304 prefixes"));
}

}  // namespace
}  // namespace sluice
