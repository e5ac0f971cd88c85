#include "control/config/config_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/config/config_text.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Config Parsed(const std::string& text) {
  absl::StatusOr<Config> config = ParseConfig(text, "f");
  EXPECT_TRUE(config.ok()) << config.status() << "\n" << text;
  return config.ok() ? *config : Config();
}

constexpr const char* kTwoPorts =
    "[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n[[port]]\nname = \"lan\"\nnetdev = \"eth2\"\n";

Config With(const std::string& more) {
  return Parsed(absl::StrCat(kTwoPorts, "[function]\ntype = \"reflect\"\n", more));
}

// Makes a configuration with a rule for each letter.
Config Rules(const std::string& letters) {
  std::string text;
  for (const char letter : letters) {
    absl::StrAppend(&text, "[[rule]]\nproto = \"udp\"\ndst_port = ", static_cast<int>(letter), "\naction = \"drop\"\n");
  }
  return With(text);
}

std::vector<std::string> Words(const ConfigDiff& diff) {
  std::vector<std::string> words;
  for (const ConfigChange& change : diff.changes) {
    words.push_back(absl::StrCat(change.key, ": ", change.before, " -> ", change.after, change.by.live() ? "" : " !"));
  }
  for (const RuleChange& change : diff.rules) {
    const char* kinds[] = {"added", "removed", "moved"};
    // The rule's port is its letter: "proto=udp dst_port=97 -> drop" is rule a.
    const size_t number = change.rule.find("dst_port=") + 9;
    words.push_back(absl::StrCat(kinds[static_cast<size_t>(change.kind)], " ", change.from, " ", change.to, " ",
                                 std::string(1, static_cast<char>(std::stoi(change.rule.substr(number))))));
  }
  return words;
}

std::vector<std::string> RuleWords(const std::string& before, const std::string& after) {
  return Words(Compare(Rules(before), Rules(after)));
}

TEST(ConfigDiff, EmptyForConfigurationsWithTheSameMeaning) {
  EXPECT_TRUE(Compare(With(""), With("")).empty());
  EXPECT_TRUE(Compare(With(""), With("[dataplane]\nqueue_pairs = 1\nmode = \"auto\"\n[metrics]\n")).empty());
  const Config swapped = Parsed(
      "[[port]]\nname = \"lan\"\nnetdev = \"eth2\"\n[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n"
      "[function]\ntype = \"reflect\"\n");
  EXPECT_TRUE(Compare(With(""), swapped).empty());
}

// keys_test.cc tests this for every key of the table.
TEST(ConfigDiff, KeysByTheirNames) {
  EXPECT_THAT(
      Words(Compare(With(""), With("[dataplane]\nqueue_pairs = 2\nmode = \"copy\"\ncores = [1, 0]\nworkers = 2\n"
                                   "[metrics]\nlisten = \"[::1]:80\"\n"))),
      ElementsAre("dataplane.queue_pairs: 1 -> 2", "dataplane.mode: auto -> copy !",
                  "dataplane.cores: every CPU -> [1, 0]", "dataplane.workers: one for each queue pair -> 2",
                  "metrics.listen: 127.0.0.1:9477, if it can be had -> [::1]:80"));
  EXPECT_THAT(Words(Compare(With("[metrics]\nlisten = \"off\"\n"), With("[metrics]\nlisten = \"127.0.0.1:9477\"\n"))),
              ElementsAre("metrics.listen: off -> 127.0.0.1:9477"));
  EXPECT_THAT(Words(Compare(With(""), Parsed(absl::StrCat(kTwoPorts, "[function]\ntype = \"forward\"\n")))),
              ElementsAre("function.type: reflect -> forward !"));
}

TEST(ConfigDiff, PortsByTheirNames) {
  const Config other = Parsed(
      "[[port]]\nname = \"wan\"\nnetdev = \"eth9\"\non_dataplane_down = \"hold\"\n"
      "[[port]]\nname = \"dmz\"\nnetdev = \"eth2\"\n[function]\ntype = \"reflect\"\n");
  const ConfigDiff diff = Compare(With(""), other);
  EXPECT_THAT(Words(diff), ElementsAre("port.wan.netdev: eth1 -> eth9 !", "port.wan.on_dataplane_down: pass -> hold",
                                       "port.lan: eth2 -> none !", "port.dmz: none -> eth2 !"));
  EXPECT_THAT(diff.KeysThatNeedRestart(), ElementsAre("port.wan.netdev", "port.lan", "port.dmz"));
  EXPECT_THAT(Compare(With(""), With("[dataplane]\nqueue_pairs = 2\n")).KeysThatNeedRestart(), IsEmpty());
}

TEST(ConfigDiff, RulesThatCameWentAndMoved) {
  EXPECT_THAT(RuleWords("abc", "abc"), IsEmpty());
  EXPECT_THAT(RuleWords("", "ab"), ElementsAre("added 0 1 a", "added 0 2 b"));
  EXPECT_THAT(RuleWords("ab", ""), ElementsAre("removed 1 0 a", "removed 2 0 b"));
  EXPECT_THAT(RuleWords("abc", "axc"), ElementsAre("removed 2 0 b", "added 0 2 x"));
  EXPECT_THAT(RuleWords("abcd", "dabc"), ElementsAre("moved 4 1 d")) << "only d changes its place among the others";
  EXPECT_THAT(RuleWords("abcd", "bcda"), ElementsAre("moved 1 4 a"));
  EXPECT_THAT(RuleWords("abc", "abcx"), ElementsAre("added 0 4 x"));
  EXPECT_THAT(RuleWords("aa", "a"), ElementsAre("removed 2 0 a"));
  EXPECT_THAT(RuleWords("a", "aaa"), ElementsAre("added 0 2 a", "added 0 3 a"));
  EXPECT_THAT(RuleWords("ab", "ba").size(), 1u);
}

TEST(ConfigText, RulesReadInTheOrderOfTheirFields) {
  EXPECT_EQ(RuleText({{"action", "drop"}, {"dst_port", "53"}, {"proto", "udp"}}), "proto=udp dst_port=53 -> drop");
  EXPECT_EQ(RuleText({{"action", "pass"}}), "everything -> pass");
}

TEST(ConfigText, AWrittenConfigurationReadsAsTheSame) {
  const std::string full = absl::StrCat(kTwoPorts,
                                        "on_dataplane_down = \"hold\"\n[function]\ntype = \"forward\"\n"
                                        "[dataplane]\nqueue_pairs = 4\nmode = \"copy\"\ncores = [3, 1]\nworkers = 2\n"
                                        "poll = \"interrupt\"\n[metrics]\nlisten = \"[::1]:9000\"\n"
                                        "[[rule]]\nproto = 17\ndst = \"2001:db8::/32\"\ndst_port = \"1-2\"\n"
                                        "in_port = \"lan\"\naction = \"drop\"\n"
                                        "[[rule]]\nethertype = 0x88cc\nvlan = 7\naction = \"pass\"\n");
  for (const Config& config : {Parsed(full), With(""), With("[metrics]\nlisten = \"off\"\n"), Rules("zyx")}) {
    const Config again = Parsed(ToToml(config));
    EXPECT_TRUE(Compare(config, again).empty()) << ToToml(config);
    ASSERT_EQ(again.ports.size(), config.ports.size());
    EXPECT_EQ(again.ports[0].name, config.ports[0].name) << "the ports keep their order";
    EXPECT_EQ(ToToml(again), ToToml(config));
  }
  const absl::StatusOr<Config> example = LoadConfig(SLUICE_EXAMPLE);
  ASSERT_TRUE(example.ok());
  EXPECT_TRUE(Compare(*example, Parsed(ToToml(*example))).empty());
}

}  // namespace
}  // namespace sluice
