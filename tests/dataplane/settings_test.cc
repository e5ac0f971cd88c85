#include "dataplane/function/settings.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr const char* kWords[] = {"fast", "exact"};
constexpr SettingSpec kSpecs[] = {
    {.name = "entries", .type = SettingType::kUnsigned, .default_text = "64", .help = "", .least = 8, .most = 4096},
    {.name = "idle", .type = SettingType::kDuration, .default_text = "5m", .help = "", .least = 1'000'000'000},
    {.name = "log", .type = SettingType::kBool, .default_text = "false", .help = ""},
    {.name = "how", .type = SettingType::kWord, .default_text = "exact", .help = "", .words = kWords},
};

TEST(Settings, AreTheDefaultsUnlessGiven) {
  const absl::StatusOr<Settings> none = Settings::Read(kSpecs, {});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->Unsigned("entries"), 64U);
  EXPECT_EQ(none->Duration("idle"), absl::Minutes(5));
  EXPECT_FALSE(none->Bool("log"));
  EXPECT_EQ(none->Word("how"), 1U);

  const absl::StatusOr<Settings> all =
      Settings::Read(kSpecs, {{"entries", "8"}, {"idle", "90s"}, {"log", "true"}, {"how", "fast"}});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->Unsigned("entries"), 8U);
  EXPECT_EQ(all->Duration("idle"), absl::Seconds(90));
  EXPECT_TRUE(all->Bool("log"));
  EXPECT_EQ(all->Word("how"), 0U);
}

TEST(Settings, EqualValuesHaveEqualTexts) {
  EXPECT_EQ(*CheckSetting(kSpecs[0], "0064"), "64");
  EXPECT_EQ(*CheckSetting(kSpecs[1], "90s"), *CheckSetting(kSpecs[1], "1m30s"));
  EXPECT_EQ(Settings::Read(kSpecs, {})->texts(),
            (SettingTexts{{"entries", "64"}, {"idle", "5m"}, {"log", "false"}, {"how", "exact"}}));
}

struct Bad {
  int spec;
  const char* text;
  const char* allowed;
};

TEST(Settings, ABadValueIsAnErrorThatSaysWhatIsAllowed) {
  const Bad cases[] = {
      {0, "7", "8 to 4096"},    {0, "4097", "8 to 4096"},    {0, "-1", "8 to 4096"},
      {0, "", "8 to 4096"},     {0, "8x", "8 to 4096"},      {0, "18446744073709551616", "8 to 4096"},
      {1, "5", "1s or more"},   {1, "999ms", "1s or more"},  {1, "inf", "1s or more"},
      {1, "-2s", "1s or more"}, {2, "yes", "false or true"}, {3, "Fast", "fast or exact"},
  };
  for (const Bad& bad : cases) {
    const absl::StatusOr<std::string> checked = CheckSetting(kSpecs[bad.spec], bad.text);
    ASSERT_EQ(checked.status().code(), absl::StatusCode::kInvalidArgument) << bad.text;
    EXPECT_NE(checked.status().message().find(bad.allowed), absl::string_view::npos) << checked.status();
    EXPECT_FALSE(Settings::Read(kSpecs, {{kSpecs[bad.spec].name, bad.text}}).ok());
  }
}

TEST(Settings, AnUnknownNameIsAnErrorThatListsTheKnownOnes) {
  const absl::Status status = Settings::Read(kSpecs, {{"entrys", "64"}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("entries, idle, log, how"), absl::string_view::npos) << status;
  EXPECT_NE(Settings::Read({}, {{"x", "1"}}).status().message().find("none"), absl::string_view::npos);
}

}  // namespace
}  // namespace sluice
