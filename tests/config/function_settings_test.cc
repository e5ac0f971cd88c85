// The keys of [function] that belong to a function, tested with a function that has settings of every type.
#include "control/config/function_settings.h"

#include <gmock/gmock.h>

#include <sstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr const char* kWords[] = {"fast", "exact"};
constexpr SettingSpec kSpecs[] = {
    {.name = "limit",
     .type = SettingType::kUnsigned,
     .default_text = "9",
     .help = "",
     .live = true,
     .least = 1,
     .most = 100},
    {.name = "timeout", .type = SettingType::kDuration, .default_text = "60s", .help = "", .live = true},
    {.name = "strict", .type = SettingType::kBool, .default_text = "false", .help = ""},
    {.name = "style", .type = SettingType::kWord, .default_text = "fast", .help = "", .words = kWords},
};

struct Read {
  SettingTexts settings;
  std::string problems;
};

Read ReadText(const std::string& text) {
  const toml::table table = toml::parse(text);
  Problems problems("f");
  TableReader in(table, "function", problems);
  Read read;
  read.settings = ReadSettings(in, kSpecs);
  in.RefuseOtherKeys();
  read.problems = std::string(problems.ToStatus().message());
  return read;
}

TEST(FunctionSettings, AreTheDefaultsInCanonicalText) {
  const Read read = ReadText("");
  EXPECT_EQ(read.problems, "");
  EXPECT_THAT(read.settings,
              ElementsAre(Pair("limit", "9"), Pair("strict", "false"), Pair("style", "fast"), Pair("timeout", "1m")));
}

TEST(FunctionSettings, EachTypeIsRead) {
  const Read read = ReadText("limit = 100\ntimeout = \"90s\"\nstrict = true\nstyle = \"exact\"\n");
  EXPECT_EQ(read.problems, "");
  EXPECT_THAT(read.settings, ElementsAre(Pair("limit", "100"), Pair("strict", "true"), Pair("style", "exact"),
                                         Pair("timeout", "1m30s")));
}

TEST(FunctionSettings, EachProblemWithItsLine) {
  EXPECT_EQ(ReadText("limit = 101\ntimeout = \"soon\"\n\nstyle = \"slow\"\nlimits = 1\n").problems,
            "f:1: function.limit: '101' is not allowed: 1 to 100\n"
            "f:2: function.timeout: 'soon' is not allowed: a duration of 0 or more\n"
            "f:4: function.style: 'slow' is not allowed: fast or exact\n"
            "f:5: function.limits: unknown key; allowed: limit, timeout, strict, style");
  EXPECT_EQ(ReadText("limit = -1\n").problems, "f:1: function.limit: '-1' is not allowed: 1 to 100");
  EXPECT_EQ(ReadText("limit = \"9\"\ntimeout = 60\nstrict = \"true\"\nstyle = [\"fast\"]\n").problems,
            "f:1: function.limit: must be an integer, not of type string; allowed: 1 to 100\n"
            "f:2: function.timeout: must be a string, not of type integer; allowed: a duration of 0 or more\n"
            "f:3: function.strict: must be a boolean, not of type string; allowed: false or true\n"
            "f:4: function.style: must be a string, not of type array; allowed: fast or exact");
}

TEST(FunctionSettings, ADifferenceNeedsAStepOrARestart) {
  const std::vector<ConfigChange> changes = CompareSettings(
      kSpecs, ReadText("").settings, ReadText("limit = 10\ntimeout = \"60000ms\"\nstrict = true\n").settings);
  ASSERT_EQ(changes.size(), 2u) << "60000ms and 60s are the same value";
  EXPECT_EQ(changes[0].key, "function.limit");
  EXPECT_EQ(changes[0].before, "9");
  EXPECT_EQ(changes[0].after, "10");
  EXPECT_EQ(changes[0].by.step(), ConfigStep::kFunction);
  EXPECT_EQ(changes[1].key, "function.strict");
  EXPECT_FALSE(changes[1].by.live());
}

TEST(FunctionSettings, AWrittenConfigurationReadsAsTheSame) {
  const SettingTexts settings = ReadText("limit = 3\ntimeout = \"1h\"\nstrict = true\nstyle = \"exact\"\n").settings;
  toml::table table;
  InsertSettings(kSpecs, settings, table);
  std::stringstream text;
  text << table;
  const Read again = ReadText(text.str());
  EXPECT_EQ(again.problems, "");
  EXPECT_EQ(again.settings, settings);
}

}  // namespace
}  // namespace sluice
