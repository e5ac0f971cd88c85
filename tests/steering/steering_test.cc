#include "control/steering/steering.h"

#include <optional>
#include <string>
#include <vector>

#include "tests/lanes/lanes_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

RuleConfig Rule(const std::string& port, const std::string& in_port = "") {
  RuleFields fields = {{"proto", "udp"}, {"dst_port", port}, {"action", "drop"}};
  if (!in_port.empty()) {
    fields["in_port"] = in_port;
  }
  return *MakeRule(fields, std::vector<std::string>{"port0", "port1", "gone"});
}

class SteeringTest : public LanesTest {
 protected:
  SteeringTest() { Make(); }

  // Makes the objects of a new agent on the same state.
  void Make() {
    const auto wait = [this] {
      log_.emplace_back("grace period");
      return rcu_error_;
    };
    offload_.emplace(OffloadSetting::kAuto, ports_, *lanes_, *placement_, *transmit_, dataplane_, wait);
    steering_.emplace(ports_, *offload_, state_, wait, [this] { return addresses_; });
  }
  std::vector<std::string> Ports(const std::vector<RuleConfig>& rules) const {
    std::vector<std::string> ports;
    for (const RuleConfig& rule : rules) {
      ports.push_back(rule.fields.at("dst_port"));
    }
    return ports;
  }
  std::vector<uint32_t> Ids() const {
    std::vector<uint32_t> ids;
    for (const ActiveRule& rule : steering_->active_rules()) {
      ids.push_back(rule.id);
    }
    return ids;
  }

  absl::Status rcu_error_;
  absl::StatusOr<std::vector<sluice_address>> addresses_ = std::vector<sluice_address>(2);
  std::optional<Offload> offload_;
  std::optional<Steering> steering_;
};

TEST_F(SteeringTest, FillsTheIdleBankOfAllPortsThenFlips) {
  ASSERT_TRUE(steering_->Start({Rule("1"), Rule("2")}).ok());
  EXPECT_THAT(log_,
              ElementsAre("grace period", "eth0: fill 2", "eth1: fill 2", "eth0: flip", "eth1: flip",
                          "eth0: allowlist off", "eth1: allowlist off", "eth0: blocklist off", "eth1: blocklist off"));
  EXPECT_THAT(Ids(), ElementsAre(1, 2));
  EXPECT_TRUE(fakes_[0]->rules.front().fresh) << "its counter starts at zero";
  EXPECT_FALSE(steering_->active_rules().front().fresh);
}

TEST_F(SteeringTest, AFlipThatFailsIsTakenBackOnAllPorts) {
  ASSERT_TRUE(steering_->Start({Rule("1")}).ok());
  fakes_[1]->refused = {"flip"};
  EXPECT_EQ(steering_->ReplaceRules({Rule("2"), Rule("3")}).message(), "eth1 refuses flip");
  EXPECT_THAT(Ports(steering_->rules()), ElementsAre("1"));
  EXPECT_EQ(fakes_[0]->rules.size(), 1U);
  EXPECT_EQ(state_.state().rules_size(), 1);
}

TEST_F(SteeringTest, RulesArePutBackWhenDecisionsCannotBeWithdrawn) {
  StartLanes(2);
  offload_->Follow();
  ASSERT_TRUE(offload_->on()) << offload_->why_not();
  ASSERT_TRUE(steering_->Start({Rule("1")}).ok());
  connection_.refused["epoch 5 with 0 fds"] = absl::InternalError("no");
  EXPECT_EQ(steering_->ChangeRules({Rule("2"), Rule("3")}).message(), "no");
  EXPECT_THAT(Ports(steering_->rules()), ElementsAre("1"));
  for (const FakePort* port : fakes_) {
    EXPECT_EQ(port->rules.size(), 1U) << "what is in force is what is listed";
  }
}

TEST_F(SteeringTest, WithoutAGracePeriodNoBankIsFilled) {
  ASSERT_TRUE(steering_->Start({Rule("1")}).ok());
  log_.clear();
  rcu_error_ = absl::InternalError("no grace period");
  EXPECT_EQ(steering_->ChangeRules({}), rcu_error_) << "a packet may still be looked up in the idle bank";
  EXPECT_THAT(Logged("fill"), IsEmpty());
}

TEST_F(SteeringTest, ARuleKeepsItsIdOverChangesOfOthers) {
  ASSERT_TRUE(steering_->Start({Rule("1"), Rule("2")}).ok());
  ASSERT_TRUE(steering_->ChangeRules({Rule("3"), Rule("2")}).ok());
  EXPECT_THAT(Ids(), ElementsAre(3, 2));
  EXPECT_EQ(state_.state().next_rule_id(), 4U);
}

TEST_F(SteeringTest, RulesThatSluicectlChangedGoOnAfterACrash) {
  ASSERT_TRUE(steering_->Start({Rule("1")}).ok());
  ASSERT_TRUE(steering_->ChangeRules({Rule("2"), Rule("1")}).ok());
  Make();
  ASSERT_TRUE(steering_->Start({Rule("1")}).ok());
  EXPECT_THAT(Ports(steering_->rules()), ElementsAre("2", "1"));
  EXPECT_THAT(Ids(), ElementsAre(2, 1));
  EXPECT_FALSE(fakes_[0]->rules.front().fresh) << "its counter goes on";
}

TEST_F(SteeringTest, AfterACrashOtherRulesInTheFileWin) {
  ASSERT_TRUE(steering_->Start({Rule("1")}).ok());
  ASSERT_TRUE(steering_->ChangeRules({Rule("2")}).ok());
  Make();
  ASSERT_TRUE(steering_->Start({Rule("1"), Rule("4")}).ok());
  EXPECT_THAT(Ports(steering_->rules()), ElementsAre("1", "4"));
  EXPECT_THAT(Ids(), ElementsAre(3, 4)) << "no id is given twice";
}

TEST_F(SteeringTest, RulesOfAnApplyCountAsTheFiles) {
  ASSERT_TRUE(steering_->Start({Rule("1")}).ok());
  ASSERT_TRUE(steering_->ReplaceRules({Rule("2")}).ok());
  Make();
  ASSERT_TRUE(steering_->Start({Rule("2")}).ok());
  EXPECT_THAT(Ids(), ElementsAre(2));
}

TEST_F(SteeringTest, RulesOfPortsThatAreGoneAreDropped) {
  ASSERT_TRUE(steering_->Start({Rule("1"), Rule("2", "gone"), Rule("3", "port1")}).ok());
  Make();
  ASSERT_TRUE(steering_->Start({Rule("1"), Rule("2", "gone"), Rule("3", "port1")}).ok());
  EXPECT_THAT(Ports(steering_->rules()), ElementsAre("1", "3"));
}

TEST_F(SteeringTest, ChangesWithdrawOffloadedFlows) {
  StartLanes(2);
  offload_->Follow();
  ASSERT_TRUE(offload_->on());
  log_.clear();
  ASSERT_TRUE(steering_->ChangeRules({}).ok());
  EXPECT_THAT(Logged("epoch"), ElementsAre("eth0: offload 0 of 10,11 in epoch 2", "eth1: offload 1 of 10,11 in epoch 2",
                                           "dataplane: epoch 2 with 0 fds"));
  log_.clear();
  steering_->FollowAddresses();
  EXPECT_THAT(Logged("epoch"), testing::SizeIs(3));
}

TEST_F(SteeringTest, PortsHearOfAddressesThatChange) {
  steering_->FollowAddresses();
  EXPECT_THAT(log_, ElementsAre("eth0: locals 2", "eth1: locals 2"));
  log_.clear();
  steering_->FollowAddresses();
  EXPECT_THAT(log_, IsEmpty());
  addresses_->resize(3);
  fakes_[0]->refused = {"locals 3"};
  steering_->FollowAddresses();
  steering_->FollowAddresses();
  EXPECT_THAT(Logged("eth0"), ElementsAre("eth0: locals 3", "eth0: locals 3")) << "a port that refuses is tried again";
  addresses_ = absl::InternalError("no netlink");
  log_.clear();
  steering_->FollowAddresses();
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(SteeringTest, EachPortHearsOfTheGroupsThatWereJoinedOnIt) {
  steering_->FollowAddresses();
  log_.clear();
  fakes_[1]->groups->resize(1);
  steering_->FollowAddresses();
  EXPECT_THAT(log_, ElementsAre("eth0: locals 2", "eth1: locals 2 and groups 1"));
  log_.clear();
  steering_->FollowAddresses();
  EXPECT_THAT(log_, IsEmpty());
  fakes_[1]->groups = absl::InternalError("no list");
  addresses_->resize(3);
  steering_->FollowAddresses();
  EXPECT_THAT(log_, IsEmpty()) << "groups that cannot be read are not groups that were left";
}

TEST_F(SteeringTest, WithoutABlocklistThereIsNothingToUnblock) {
  EXPECT_EQ(*steering_->RemoveFromList(ListKind::kBlock, {sluice_prefix{}}), 0U);
  EXPECT_TRUE(steering_->ReplaceList(ListKind::kBlock, {}).ok());
  EXPECT_FALSE(steering_->list(ListKind::kBlock).has_value());
  fakes_[1]->refused = {"blocklist off"};
  EXPECT_FALSE(steering_->ReplaceList(ListKind::kBlock, {}).ok());
}

}  // namespace
}  // namespace sluice
