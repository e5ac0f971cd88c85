#include "control/config/toml_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "control/config/config.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Dots(size_t count) {
  std::string text = "a";
  for (size_t i = 0; i < count; ++i) {
    text += ".a";
  }
  return text;
}

uint32_t LineOf(const std::string& text) {
  const std::optional<ShapeProblem> problem = FindShapeProblem(text);
  return problem.has_value() ? problem->line : 0;
}

TEST(TomlShape, LetsOrdinaryTextsPass) {
  EXPECT_EQ(LineOf(""), 0U);
  EXPECT_EQ(LineOf("[[port]]\nname = \"wan\"\n[dataplane]\ncores = [1, 2]\n"), 0U);
  EXPECT_EQ(LineOf(Dots(kMostDotsOfLine) + " = 1\n" + Dots(kMostDotsOfLine) + " = 2"), 0U) << "each line for itself";
}

TEST(TomlShape, RefusesKeysThatAreTooDeep) {
  const std::string deep = Dots(kMostDotsOfLine + 1);
  EXPECT_EQ(LineOf(deep + " = 1"), 1U);
  EXPECT_EQ(LineOf("a = 1\n\n[" + deep + "]"), 3U);
  EXPECT_EQ(LineOf("a = {" + deep + " = 1}"), 1U);
  EXPECT_EQ(LineOf(Dots(100'000)), 1U);
}

TEST(TomlShape, RefusesNestingThatIsTooDeep) {
  EXPECT_EQ(LineOf("a = " + std::string(kDeepestNesting, '[') + std::string(kDeepestNesting, ']')), 0U);
  EXPECT_EQ(LineOf("a = \n" + std::string(kDeepestNesting + 1, '[')), 2U);
  std::string tables = "a = ";
  for (uint32_t i = 0; i <= kDeepestNesting; ++i) {
    tables += "{b = \n";
  }
  EXPECT_EQ(LineOf(tables), kDeepestNesting + 1);
}

TEST(TomlShape, DotsOfStringsAndCommentsAreNone) {
  const std::string dots(1000, '.');
  for (const std::string& text : {"a = \"" + dots + "\"", "a = '" + dots + "'", "a = \"\"\"\n" + dots + "\n\"\"\"",
                                  "a = '''" + dots + "'''", "# " + dots, "a = \"\\\"" + dots + "\"",
                                  "a = 'it\\' # " + dots, "a = \"\"\"x\"\"\"\"\" # " + dots, "a = \"#" + dots + "\""}) {
    EXPECT_EQ(LineOf(text), 0U) << text.substr(0, 20);
  }
}

// A string that ends earlier or later than the library thinks would hide a key.
TEST(TomlShape, NoStringHidesAKey) {
  const std::string deep = Dots(kMostDotsOfLine + 1);
  for (const std::string& text :
       {"a = {b = \"\", " + deep + " = 1}", "a = {b = ''''x'''', " + deep + " = 1}",
        "a = {b = \"\"\"\"\"x\"\"\"\"\", " + deep + " = 1}", "a = {b = \"\\\\\", " + deep + " = 1}",
        "a = {b = '\\', " + deep + " = 1}", "a = {b = \"\"\"\\\\\"\"\", " + deep + " = 1}"}) {
    EXPECT_EQ(LineOf(text), 1U) << text;
  }
}

TEST(TomlShape, AConfigurationOfThatShapeIsRefusedWithItsLine) {
  const absl::Status refused = ParseConfig("x = 1\n" + Dots(100'000) + " = 1", "sluice.toml").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), StartsWith("sluice.toml:2: too deep"));
  EXPECT_FALSE(ParseRules(Dots(100'000) + " = 1", "rules.toml", {}).ok());
}

TEST(TomlShape, ATextOfARequestHasTheBoundOfAFile) {
  const std::string text(kMaxConfigBytes + 1, '\n');
  EXPECT_THAT(std::string(ParseConfig(text, "sluice.toml").status().message()), HasSubstr("larger than"));
  EXPECT_THAT(std::string(ParseRules(text, "rules.toml", {}).status().message()), HasSubstr("larger than"));
}

TEST(TomlShape, ProblemsWithoutNumberAreSaidInAHundredLines) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) {
    absl::StrAppend(&text, "k", i, "=1\n");
  }
  const std::string said(ParseConfig(text, "sluice.toml").status().message());
  EXPECT_LE(std::count(said.begin(), said.end(), '\n'), 101);
  EXPECT_THAT(said, HasSubstr("unknown key"));

  std::string rules;
  for (int i = 0; i < 20'000; ++i) {
    rules += "[[rule]]\naction='x'\n";
  }
  const std::string of_rules(ParseRules(rules, "rules.toml", {}).status().message());
  EXPECT_LE(std::count(of_rules.begin(), of_rules.end(), '\n'), 101);
  EXPECT_THAT(of_rules, HasSubstr("more problems"));
}

}  // namespace
}  // namespace sluice
