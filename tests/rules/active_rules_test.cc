#include "control/rules/active_rules.h"

#include <gmock/gmock.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> kPorts = {"wan", "lan"};

RuleConfig Port(int port, const char* action = "drop") {
  const auto rule = MakeRule({{"proto", "tcp"}, {"dst_port", absl::StrCat(port)}, {"action", action}}, kPorts);
  EXPECT_TRUE(rule.ok()) << rule.status();
  return *rule;
}

std::vector<uint32_t> Ids(const std::vector<ActiveRule>& rules) {
  std::vector<uint32_t> ids;
  for (const ActiveRule& rule : rules) {
    ids.push_back(rule.id);
  }
  return ids;
}

class ActiveRulesTest : public testing::Test {
 protected:
  // Makes the rules active, as Steering does.
  void Put(std::vector<RuleConfig> wanted) {
    now_ = MakeActive(std::move(wanted), now_, next_id_);
    std::set<uint32_t> counters;
    for (ActiveRule& rule : now_) {
      EXPECT_LT(rule.hits, static_cast<uint32_t>(SLUICE_RULE_HITS));
      EXPECT_TRUE(counters.insert(rule.hits).second) << "two rules have the same counter";
      rule.fresh = false;
    }
  }
  std::vector<ActiveRule> now_;
  uint32_t next_id_ = 1;
};

TEST_F(ActiveRulesTest, KeepIdAndCounterOverChangesOfOthers) {
  Put({Port(1), Port(2), Port(3)});
  EXPECT_THAT(Ids(now_), ElementsAre(1, 2, 3));
  const uint32_t counter = now_[2].hits;
  Put({Port(3), Port(4), Port(1)});
  EXPECT_THAT(Ids(now_), ElementsAre(3, 4, 1));
  EXPECT_EQ(now_[0].hits, counter);
}

TEST_F(ActiveRulesTest, AnIdIsNeverGivenAgain) {
  Put({Port(1)});
  Put({});
  Put({Port(1)});
  EXPECT_THAT(Ids(now_), ElementsAre(2));
}

TEST_F(ActiveRulesTest, NewRulesTakeNoCounterOfRulesInForce) {
  Put({Port(1), Port(2)});
  const std::set<uint32_t> old = {now_[0].hits, now_[1].hits};
  Put({Port(3), Port(4)});
  EXPECT_EQ(old.count(now_[0].hits) + old.count(now_[1].hits), 0u);
}

TEST_F(ActiveRulesTest, AllCanBeReplacedAtOnce) {
  for (int round = 0; round < 3; ++round) {
    std::vector<RuleConfig> all;
    for (int i = 0; i < SLUICE_MAX_RULES; ++i) {
      all.push_back(Port(round * SLUICE_MAX_RULES + i));
    }
    Put(all);
  }
  EXPECT_EQ(now_.size(), static_cast<size_t>(SLUICE_MAX_RULES));
}

TEST_F(ActiveRulesTest, TwoThatSayTheSameStayTwo) {
  Put({Port(1), Port(1)});
  EXPECT_THAT(Ids(now_), ElementsAre(1, 2));
  Put({Port(1), Port(1)});
  EXPECT_THAT(Ids(now_), ElementsAre(1, 2));
}

TEST_F(ActiveRulesTest, AnotherActionIsAnotherRule) {
  Put({Port(1, "drop")});
  Put({Port(1, "pass")});
  EXPECT_THAT(Ids(now_), ElementsAre(2));
}

TEST_F(ActiveRulesTest, OneMoreAtTheEndOrBeforeAnother) {
  Put({Port(1), Port(2)});
  Put(*WithRule(now_, Port(3), 0));
  Put(*WithRule(now_, Port(4), 2));
  EXPECT_THAT(Ids(now_), ElementsAre(1, 4, 2, 3));
  const auto none = WithRule(now_, Port(5), 9);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("no rule has id 9"));
}

TEST_F(ActiveRulesTest, NotMoreThanThereCanBe) {
  Put(std::vector<RuleConfig>(SLUICE_MAX_RULES, Port(1)));
  EXPECT_EQ(WithRule(now_, Port(2), 0).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ActiveRulesTest, WithoutSomeOrNone) {
  Put({Port(1), Port(2), Port(3)});
  EXPECT_THAT(std::string(WithoutRules(now_, {2, 7, 8}).status().message()), HasSubstr("no rule has id 7, 8"));
  Put(*WithoutRules(now_, {3, 1}));
  EXPECT_THAT(Ids(now_), ElementsAre(2));
}

TEST(MakeRuleTest, SaysEverythingThatIsWrong) {
  const auto rule = MakeRule({{"proto", "tpc"}, {"in_port", "dmz"}}, kPorts);
  ASSERT_FALSE(rule.ok());
  EXPECT_THAT(std::string(rule.status().message()), HasSubstr("action: missing; allowed: dataplane, pass, both, drop"));
  EXPECT_THAT(std::string(rule.status().message()), HasSubstr("proto: 'tpc' is not allowed"));
  EXPECT_THAT(std::string(rule.status().message()), HasSubstr("in_port: 'dmz' is no port; allowed: wan, lan"));
}

}  // namespace
}  // namespace sluice
