// The configuration that a port's programs read, through each change of it: the whole element is compared, since every
// change must leave the rest as it was.
#include "control/port/port_steering.h"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "control/kernel/bpf_programs.h"
#include "control/kernel/lane_sockets.h"
#include "control/kernel/xdp_attachment.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

// For comparisons and their messages. The struct is of the global namespace, so these are, too.
static bool operator==(const sluice_config& a, const sluice_config& b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}
static void PrintTo(const sluice_config& config, std::ostream* out) {
  *out << "flags " << config.flags << ", bridge mode " << config.bridge_mode << " on " << config.bridge_ifindex
       << ", bank " << config.rule_bank << ", epoch " << config.flow_epoch << ", buckets " << config.flow_buckets
       << ", port " << config.port << ", ifindex " << testing::PrintToString(config.ifindex) << ", own "
       << config.own_ifindex << ", bridge socket " << config.bridge_socket << ", MAC "
       << testing::PrintToString(config.mac) << ", token " << testing::PrintToString(config.token);
}

namespace sluice {
namespace {

class PortSteeringTest : public NetnsTest {
 protected:
  static constexpr uint32_t kBridge = 11;
  static constexpr uint32_t kOwn = 12;
  static constexpr uint32_t kBuckets = 1024;
  static constexpr SteeringFacts kFacts{
      .mac = {2, 0, 0, 0, 0, 9}, .own_mac_only = true, .bridge_ifindex = kBridge, .own_ifindex = kOwn};

  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    MakePort("port0", "wire0", 1);
    ASSERT_OK(XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_, ModeSetting::kCopy, kBuckets));
    Open(kFacts);
  }

  void Open(const SteeringFacts& facts) {
    absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
    ASSERT_OK(maps);
    steering_.emplace("wan", "port0", facts, *std::move(maps));
  }

  sluice_config Config() const {
    const absl::StatusOr<sluice_config> config = steering_->maps().GetConfig();
    EXPECT_OK(config);
    return config.value_or(sluice_config());
  }

  uint32_t RulesInForce() const {
    const absl::StatusOr<UniqueFd> banks = OpenPinnedMap(pin_dir_, SLUICE_MAP_RULE_BANKS);
    EXPECT_OK(banks);
    const uint32_t in_force = Config().rule_bank;
    sluice_bank bank{};
    EXPECT_EQ(bpf_map_lookup_elem(banks->get(), &in_force, &bank), 0);
    return bank.rules;
  }

  // A socket that stands for the bridge lane's.
  static UniqueFd Socket() { return UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

  std::optional<PortSteering> steering_;
};

TEST_F(PortSteeringTest, AllIsZeroBeforeAnAgentSteers) {
  EXPECT_EQ(Config(), sluice_config());
}

TEST_F(PortSteeringTest, SteeringWritesTheFacts) {
  ASSERT_OK(steering_->Activate());
  sluice_config expected{};
  expected.flags = SLUICE_CONFIG_ACTIVE | SLUICE_CONFIG_OWN_MAC_ONLY;
  expected.bridge_mode = SLUICE_BRIDGE_REDIRECT;
  expected.bridge_ifindex = kBridge;
  expected.own_ifindex = kOwn;
  std::copy(kFacts.mac.begin(), kFacts.mac.end(), expected.mac);
  EXPECT_EQ(Config(), expected);

  SteeringFacts others = kFacts;
  others.own_mac_only = false;
  others.xdp_is_skb = true;
  others.tags_beside_frames = true;
  Open(others);
  ASSERT_OK(steering_->Resteer());
  expected.flags = SLUICE_CONFIG_ACTIVE | SLUICE_CONFIG_GENERIC_XDP | SLUICE_CONFIG_VETH;
  EXPECT_EQ(Config(), expected);
}

TEST_F(PortSteeringTest, OffloadGoesOnAndOffBesideTheRest) {
  ASSERT_OK(steering_->Activate());
  sluice_config expected = Config();
  ASSERT_OK(steering_->StartOffload(1, {7, kOwn}, 5));
  expected.flags |= SLUICE_CONFIG_OFFLOAD;
  expected.flow_epoch = 5;
  expected.flow_buckets = kBuckets;
  expected.port = 1;
  expected.ifindex[0] = 7;
  expected.ifindex[1] = kOwn;
  const sluice_config on = Config();
  EXPECT_NE(std::count(std::begin(on.flow_secret), std::end(on.flow_secret), 0U), SLUICE_FLOW_SECRET_WORDS);
  std::copy(std::begin(on.flow_secret), std::end(on.flow_secret), expected.flow_secret);
  EXPECT_EQ(on, expected);
  EXPECT_TRUE(steering_->GetOffloadState()->on);

  ASSERT_OK(steering_->StopOffload(6));
  expected.flags &= ~static_cast<uint32_t>(SLUICE_CONFIG_OFFLOAD);
  expected.flow_epoch = 6;
  EXPECT_EQ(Config(), expected);
  EXPECT_FALSE(steering_->GetOffloadState()->on);
  EXPECT_EQ(steering_->GetOffloadState()->epoch, 6U);
}

TEST_F(PortSteeringTest, TheTokenIsDrawnOnceAndOutlivesTheBridgesSocket) {
  ASSERT_OK(steering_->Activate());
  sluice_config expected = Config();
  const UniqueFd first = Socket(), second = Socket();
  ASSERT_OK(steering_->SetBridgeSocket(first.get()));
  const sluice_config with_first = Config();
  EXPECT_NE(std::memcmp(with_first.token, expected.token, sizeof(expected.token)), 0) << "a token of zeros is none";
  std::copy(std::begin(with_first.token), std::end(with_first.token), expected.token);
  expected.bridge_socket = *SocketCookie(first.get());
  EXPECT_EQ(with_first, expected);

  ASSERT_OK(steering_->SetBridgeSocket(second.get()));
  expected.bridge_socket = *SocketCookie(second.get());
  EXPECT_EQ(Config(), expected);
}

TEST_F(PortSteeringTest, ADownPolicyChangesTheBridgeAloneAndASuccessorSteersAgain) {
  const UniqueFd bridge = Socket();
  ASSERT_OK(steering_->Activate());
  ASSERT_OK(steering_->SetBridgeSocket(bridge.get()));
  ASSERT_OK(steering_->StartOffload(0, {kOwn}, 5));
  const sluice_config before = Config();
  ASSERT_OK(steering_->ApplyDownPolicy(OnDataplaneDown::kHold, 1));
  EXPECT_EQ(Config(), before);
  for (const auto& [policy, mode] :
       {std::pair(OnDataplaneDown::kPass, SLUICE_BRIDGE_PASS), std::pair(OnDataplaneDown::kDrop, SLUICE_BRIDGE_DROP)}) {
    ASSERT_OK(steering_->ApplyDownPolicy(policy, 1));
    sluice_config expected = before;
    expected.bridge_mode = mode;
    EXPECT_EQ(Config(), expected);
  }
  ASSERT_OK(steering_->Resteer());
  sluice_config expected = before;
  expected.flags &= ~static_cast<uint32_t>(SLUICE_CONFIG_OFFLOAD);
  EXPECT_EQ(Config(), expected) << "all but offload, which waits for the next dataplane's tables";
}

TEST_F(PortSteeringTest, RulesOfOtherPortsStayOutAndAFlipChangesTheBankAlone) {
  ASSERT_OK(steering_->Activate());
  const sluice_config before = Config();
  std::vector<ActiveRule> rules(3);
  for (size_t i = 0; i < rules.size(); ++i) {
    const char* in_ports[] = {"", "wan", "lan"};
    rules[i].config = *MakeRule({{"action", "drop"}}, std::vector<std::string>{"wan", "lan"});
    rules[i].config.in_port = in_ports[i];
    rules[i].hits = static_cast<uint32_t>(i);
  }
  ASSERT_OK(steering_->FillIdleRules(rules));
  EXPECT_EQ(Config(), before) << "the idle bank is not in force";
  ASSERT_OK(steering_->FlipRules());
  sluice_config expected = before;
  expected.rule_bank = 1 - before.rule_bank;
  EXPECT_EQ(Config(), expected);
  EXPECT_EQ(RulesInForce(), 2U);
}

TEST_F(PortSteeringTest, StoppingLeavesTheEpochAlone) {
  const UniqueFd bridge = Socket();
  ASSERT_OK(steering_->Activate());
  ASSERT_OK(steering_->SetBridgeSocket(bridge.get()));
  ASSERT_OK(steering_->StartOffload(0, {kOwn}, 5));
  ASSERT_OK(steering_->Stop());
  sluice_config expected{};
  expected.flow_epoch = 5;
  EXPECT_EQ(Config(), expected);
}

}  // namespace
}  // namespace sluice
