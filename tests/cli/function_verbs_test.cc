// Tests the command line of functions that nobody has: arguments of every type, and two functions that share names.
#include "control/cli/function_verbs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kOrders[] = {"bytes", "packets"};
constexpr const char* kOtherOrders[] = {"age", "bytes"};

constexpr SettingSpec kListArguments[] = {
    {.name = "order", .type = SettingType::kWord, .default_text = "bytes", .help = "By this.", .words = kOrders},
    {.name = "all", .type = SettingType::kBool, .default_text = "false", .help = "All of them."},
    {.name = "top", .type = SettingType::kUnsigned, .default_text = "0", .help = "So many.", .most = 10},
    {.name = "idle", .type = SettingType::kDuration, .default_text = "1s", .help = "For so long."},
};
constexpr SettingSpec kOtherListArguments[] = {
    {.name = "order", .type = SettingType::kWord, .default_text = "age", .help = "By that.", .words = kOtherOrders},
    {.name = "top", .type = SettingType::kUnsigned, .default_text = "20", .help = "So many.", .least = 20, .most = 30},
    {.name = "idle", .type = SettingType::kUnsigned, .default_text = "0", .help = "Packets."},
};
constexpr CommandSpec kCommands[] = {
    {.name = "list", .help = "Lists.", .example = "", .access = Access::kRead, .arguments = kListArguments}};
constexpr CommandSpec kOtherCommands[] = {
    {.name = "list", .help = "Lists.", .example = "", .access = Access::kRead, .arguments = kOtherListArguments},
    {.name = "clear", .help = "Forgets.", .example = "", .access = Access::kChange}};

constexpr FunctionDescriptor Function(const char* name, std::span<const CommandSpec> commands) {
  return {.name = name,
          .summary = "",
          .least_ports = 1,
          .most_ports = 1,
          .admission = Admission::kOwnMac,
          .commands = commands};
}
constexpr FunctionDescriptor kOne = Function("one", kCommands);
constexpr FunctionDescriptor kOther = Function("other", kOtherCommands);

class FunctionVerbsTest : public testing::Test {
 protected:
  // Makes the command line of these functions.
  void Make(const std::vector<const FunctionDescriptor*>& functions) {
    verbs_ = AddFunctionVerbs(app_, functions, typed_);
  }
  // Returns the error, or "" where the words are taken.
  std::string Parse(const std::string& words) {
    try {
      app_.parse(words);
      return "";
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
  }
  std::string HelpOf(const std::string& command) { return verbs_.at(command)->help(); }

  CLI::App app_;
  std::map<std::string, SettingTexts> typed_;
  std::map<std::string, CLI::App*> verbs_;
};

TEST_F(FunctionVerbsTest, HelpNamesTheValuesOfEachType) {
  Make({&kOne});
  EXPECT_THAT(HelpOf("list"), HasSubstr("--order TEXT:{bytes,packets}"));
  EXPECT_THAT(HelpOf("list"), HasSubstr("--all TEXT:{false,true}"));
  EXPECT_THAT(HelpOf("list"), HasSubstr("--top N"));
  EXPECT_THAT(HelpOf("list"), HasSubstr("--idle DURATION"));
}

TEST_F(FunctionVerbsTest, ValuesAreChecked) {
  Make({&kOne});
  EXPECT_EQ(Parse("list --order packets --all true --top 10 --idle 5s"), "");
  EXPECT_THAT(typed_, testing::ElementsAre(testing::Pair(
                          "list", SettingTexts{{"order", "packets"}, {"all", "true"}, {"top", "10"}, {"idle", "5s"}})));
  EXPECT_THAT(Parse("list --order age"), HasSubstr("age not in {bytes,packets}"));
  EXPECT_THAT(Parse("list --all yes"), HasSubstr("yes not in {false,true}"));
  EXPECT_THAT(Parse("list --top 20"), HasSubstr("'20' is not allowed: 0 to 10"));
  EXPECT_THAT(Parse("list --idle 5"), HasSubstr("'5' is not allowed: a duration"));
}

TEST_F(FunctionVerbsTest, FunctionsThatShareNamesTakeTheValuesOfEach) {
  Make({&kOne, &kOther});
  EXPECT_THAT(verbs_, testing::ElementsAre(testing::Key("clear"), testing::Key("list")));
  EXPECT_THAT(HelpOf("list"), HasSubstr("--order TEXT:{bytes,packets,age}"));
  EXPECT_THAT(HelpOf("list"), HasSubstr("--idle VALUE"));
  EXPECT_THAT(HelpOf("clear"), Not(HasSubstr("--order")));
  for (const char* words : {"list --top 10", "list --top 20", "list --idle 5s", "list --idle 5", "list --order age",
                            "list --order packets", "clear"}) {
    EXPECT_EQ(Parse(words), "") << words;
  }
  EXPECT_THAT(Parse("list --top 15"), HasSubstr("'15' is not allowed: 0 to 10; '15' is not allowed: 20 to 30"));
  EXPECT_THAT(Parse("list --order name"), HasSubstr("name not in {bytes,packets,age}"));
}

}  // namespace
}  // namespace sluice::cli
