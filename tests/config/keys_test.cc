// Tests each loop over the table of keys with every key.
#include "control/config/keys.h"

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/config/config.h"
#include "control/config/config_diff.h"
#include "control/config/config_text.h"
#include "control/config/key_docs.h"
#include "tests/config/other_value.h"

namespace sluice {
namespace {

using testing::EndsWith;

// Returns a good configuration with one more line in the given table.
std::string With(const std::string& table, const std::string& line) {
  const auto more = [&](const char* name) { return table == name ? line + "\n" : ""; };
  std::string text =
      absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n", more("port"), "[function]\ntype = \"reflect\"\n",
                   more("function"), "[dataplane]\n", more("dataplane"), "[metrics]\n", more("metrics"),
                   "[blocklist]\n", more("blocklist"), "[allowlist]\n", more("allowlist"));
  return absl::StrCat(text, "[[rule]]\naction = \"pass\"\n", more("rule"));
}

std::string Without(std::string text, const std::string& key) {
  const size_t line = text.find(absl::StrCat("\n", key, " = "));
  EXPECT_NE(line, std::string::npos) << key;
  return line == std::string::npos ? text : text.erase(line, text.find('\n', line + 1) - line);
}

std::string ProblemOf(const std::string& text) {
  return std::string(ParseConfig(text, "f").status().message());
}

std::string FullName(const KeySpec& spec) {
  return absl::StrCat(spec.table, ".", absl::string_view(spec.table) == "port" ? "wan." : "", spec.key);
}

TEST(Keys, AreTheOnesThatTheParserKnows) {
  std::map<std::string, std::vector<std::string>> keys;
  for (const KeyDoc& doc : KeyDocs()) {
    keys[doc.table].push_back(doc.key);
  }
  for (const KeyDoc& doc : SettingDocs(*FindFunction("reflect"))) {
    keys["function"].push_back(doc.key);
  }
  for (const TableSpec& table : AllTables()) {
    const std::vector<std::string>& names = keys[table.name];
    EXPECT_THAT(ProblemOf(With(table.name, "nosuchkey = 1")),
                EndsWith(absl::StrCat(table.name, ".nosuchkey: unknown key; allowed: ", absl::StrJoin(names, ", "))));
  }
  EXPECT_EQ(keys.size(), AllTables().size());
}

TEST(Keys, AWrongValueIsAnsweredWithTheAllowedOnes) {
  for (const KeySpec& spec : AllKeys()) {
    const bool integer = std::holds_alternative<IntegerType>(spec.type);
    const char* wrong = integer ? "-1" : std::holds_alternative<CpuListType>(spec.type) ? "[-1]" : "\"no / value\"";
    std::string text = With(spec.table, absl::StrCat(spec.key, " = ", wrong));
    if (spec.required != nullptr) {
      text = Without(text, spec.key);
    }
    EXPECT_THAT(ProblemOf(text),
                testing::HasSubstr(absl::StrCat(spec.table, ".", spec.key, ": ",
                                                integer           ? "-1"
                                                : wrong[0] == '[' ? "-1"
                                                                  : "'no / value'",
                                                " is not allowed; allowed: ", AllowedText(spec.type))));
  }
}

TEST(Keys, AWrongTypeIsAProblemOfEachKey) {
  for (const KeySpec& spec : AllKeys()) {
    std::string text = With(spec.table, absl::StrCat(spec.key, " = 1979-05-27"));
    if (spec.required != nullptr) {
      text = Without(text, spec.key);
    }
    EXPECT_THAT(ProblemOf(text), testing::HasSubstr(absl::StrCat(spec.table, ".", spec.key, ": must be a")));
  }
}

TEST(Keys, OnlyRequiredOnesMustBeThere) {
  for (const KeySpec& spec : AllKeys()) {
    if (spec.required != nullptr) {
      EXPECT_THAT(ProblemOf(Without(With("", ""), spec.key)),
                  testing::HasSubstr(absl::StrCat(spec.table, ".", spec.key, ": missing; allowed: ")));
      EXPECT_EQ(DefaultText(spec), "");
    } else {
      EXPECT_EQ(DefaultText(spec), ValueText(spec, spec.member.get(TwoPortConfig(), 0))) << FullName(spec);
      EXPECT_NE(DefaultText(spec), "");
    }
  }
}

TEST(Keys, ADifferenceOfEachIsInTheDiff) {
  const Config before = TwoPortConfig();
  for (const KeySpec& spec : AllKeys()) {
    const Config after = WithOtherValue(spec, before);
    const ConfigDiff diff = Compare(before, after);
    if (&spec == &FindKey("port", "name")) {  // A port with another name is another port.
      ASSERT_EQ(diff.changes.size(), 2u);
      EXPECT_EQ(diff.changes[0].key, "port.wan");
      EXPECT_EQ(diff.changes[1].key, "port.other9");
      continue;
    }
    ASSERT_EQ(diff.changes.size(), 1u) << FullName(spec);
    EXPECT_EQ(diff.changes[0].key, FullName(spec));
    EXPECT_EQ(diff.changes[0].before, ValueText(spec, spec.member.get(before, 0)));
    EXPECT_EQ(diff.changes[0].after, ValueText(spec, spec.member.get(after, 0)));
    EXPECT_EQ(diff.changes[0].by.step(), spec.change.step());
  }
}

TEST(Keys, AValueOfEachIsWrittenAndReadBack) {
  for (const KeySpec& spec : AllKeys()) {
    const Config config = WithOtherValue(spec, TwoPortConfig());
    const absl::StatusOr<Config> again = ParseConfig(ToToml(config), "f");
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(spec.member.get(*again, 0), spec.member.get(config, 0)) << FullName(spec);
    EXPECT_TRUE(Compare(config, *again).empty());
  }
}

TEST(Keys, EveryWordIsReadAndWrittenAsItself) {
  for (const KeySpec& spec : AllKeys()) {
    if (const auto* one = std::get_if<WordType>(&spec.type); one != nullptr) {
      for (const KeyWord& word : one->words()) {
        Config config = TwoPortConfig();
        spec.member.set(config, 0, word.word);
        EXPECT_EQ(spec.member.get(config, 0), KeyValue(word.word)) << FullName(spec);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
