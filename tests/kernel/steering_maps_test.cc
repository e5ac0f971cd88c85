#include "control/rules/steering_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <optional>
#include <vector>

#include "control/kernel/bpf_programs.h"
#include "control/kernel/xdp_attachment.h"
#include "control/rules/rule_maps.h"
#include "dataplane/base/rcu.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

class SteeringMapsTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    MakePort("port0", "wire0", 1);
    ASSERT_OK(XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_, ModeSetting::kCopy));
    absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
    ASSERT_OK(maps);
    maps_.emplace(std::move(*maps));
  }

  // Returns the action of each rule in the bank in force.
  std::vector<uint32_t> ActionsInForce() {
    const absl::StatusOr<sluice_config> config = maps_->GetConfig();
    EXPECT_OK(config);
    const absl::StatusOr<UniqueFd> banks = OpenPinnedMap(pin_dir_, SLUICE_MAP_RULE_BANKS);
    const absl::StatusOr<UniqueFd> rules = OpenPinnedMap(pin_dir_, SLUICE_MAP_RULES);
    EXPECT_OK(banks);
    EXPECT_OK(rules);
    sluice_bank bank{};
    EXPECT_EQ(bpf_map_lookup_elem(banks->get(), &config->rule_bank, &bank), 0);
    std::vector<uint32_t> actions;
    for (uint32_t i = 0; i < bank.rules; ++i) {
      const uint32_t slot = config->rule_bank * SLUICE_MAX_RULES + i;
      sluice_rule rule{};
      EXPECT_EQ(bpf_map_lookup_elem(rules->get(), &slot, &rule), 0);
      actions.push_back(rule.action);
    }
    return actions;
  }
  size_t PrefixCount() {
    const absl::StatusOr<UniqueFd> map = OpenPinnedMap(pin_dir_, SLUICE_MAP_RULE_PREFIXES);
    EXPECT_OK(map);
    size_t count = 0;
    sluice_prefix key{};
    for (int more = bpf_map_get_next_key(map->get(), nullptr, &key); more == 0;
         more = bpf_map_get_next_key(map->get(), &key, &key)) {
      ++count;
    }
    return count;
  }
  // Returns enum sluice_local, or 0 if the map does not have it.
  int LocalKind(const sluice_address& address) {
    const absl::StatusOr<UniqueFd> map = OpenPinnedMap(pin_dir_, SLUICE_MAP_LOCALS);
    EXPECT_OK(map);
    uint8_t kind = 0;
    return bpf_map_lookup_elem(map->get(), &address, &kind) == 0 ? kind : 0;
  }
  size_t LocalCount() {
    const absl::StatusOr<UniqueFd> map = OpenPinnedMap(pin_dir_, SLUICE_MAP_LOCALS);
    EXPECT_OK(map);
    size_t count = 0;
    sluice_address key{};
    for (int more = bpf_map_get_next_key(map->get(), nullptr, &key); more == 0;
         more = bpf_map_get_next_key(map->get(), &key, &key)) {
      ++count;
    }
    return count;
  }

  absl::Status SetRules(absl::Span<const ActiveRule> rules) {
    const absl::StatusOr<RcuWaiter> rcu = RcuWaiter::Make();
    absl::Status s = rcu.ok() ? rcu->Wait() : rcu.status();
    s.Update(maps_->FillIdleRules(rules));
    return s.ok() ? maps_->FlipRules() : s;
  }

  std::optional<SteeringMaps> maps_;
};

// Makes rules whose hit counters have the indices from `first_hits` on.
std::vector<ActiveRule> Rules(size_t count, uint32_t action, uint32_t first_hits = 0) {
  std::vector<ActiveRule> rules;
  for (uint32_t i = 0; i < count; ++i) {
    ActiveRule rule;
    rule.hits = first_hits + i;
    rule.config.match = SLUICE_MATCH_DST;
    rule.config.action = action;
    rule.config.dst = {4, 32, {0, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)}};
    rules.push_back(rule);
  }
  return rules;
}

sluice_address Address(uint32_t number) {
  sluice_address address{};
  address.family = 4;
  address.addr_be[0] = number;
  return address;
}

TEST_F(SteeringMapsTest, ConfigIsReadBackAsWritten) {
  sluice_config config{};
  config.flags = SLUICE_CONFIG_ACTIVE;
  config.bridge_mode = SLUICE_BRIDGE_REDIRECT;
  config.bridge_ifindex = 7;
  config.mac[5] = 9;
  ASSERT_OK(maps_->SetConfig(config));
  const absl::StatusOr<sluice_config> read = maps_->GetConfig();
  ASSERT_OK(read);
  EXPECT_EQ(std::memcmp(&*read, &config, sizeof(config)), 0);
}

TEST_F(SteeringMapsTest, RulesChangeBankAndKeepTheRestOfTheConfig) {
  sluice_config config{};
  config.bridge_ifindex = 7;
  ASSERT_OK(maps_->SetConfig(config));
  uint32_t bank = 0;
  uint32_t action = SLUICE_ACTION_PASS;
  for (const size_t count : {3, 0, SLUICE_MAX_RULES, 1, 5}) {
    ASSERT_OK(SetRules(Rules(count, action)));
    const absl::StatusOr<sluice_config> now = maps_->GetConfig();
    ASSERT_OK(now);
    EXPECT_NE(now->rule_bank, bank);
    bank = now->rule_bank;
    EXPECT_EQ(now->bridge_ifindex, 7u);
    EXPECT_EQ(ActionsInForce(), std::vector<uint32_t>(count, action));
    action = action == SLUICE_ACTION_PASS ? SLUICE_ACTION_DROP : SLUICE_ACTION_PASS;
  }
  EXPECT_EQ(PrefixCount(), 6u) << "prefixes of the rules in both banks, and none of earlier rules";
}

TEST_F(SteeringMapsTest, AFlipIsTakenBackByAnother) {
  ASSERT_OK(SetRules(Rules(2, SLUICE_ACTION_DROP)));
  ASSERT_OK(SetRules(Rules(3, SLUICE_ACTION_PASS, 2)));
  ASSERT_OK(maps_->FlipRules());
  EXPECT_EQ(ActionsInForce(), std::vector<uint32_t>(2, SLUICE_ACTION_DROP));
}

TEST_F(SteeringMapsTest, AFreshRuleCountsFromZeroAndAnotherGoesOn) {
  const absl::StatusOr<UniqueFd> hits = OpenPinnedMap(pin_dir_, SLUICE_MAP_RULE_HITS);
  ASSERT_OK(hits);
  const std::vector<sluice_rule_hits> value(64, sluice_rule_hits{5, 6});  // more CPUs than any test machine has
  const uint32_t cpus = static_cast<uint32_t>(libbpf_num_possible_cpus());
  for (const uint32_t index : {0U, SLUICE_RULE_HITS - 1U}) {
    ASSERT_EQ(bpf_map_update_elem(hits->get(), &index, value.data(), BPF_ANY), 0);
  }
  std::vector<ActiveRule> rules = Rules(2, SLUICE_ACTION_DROP);
  rules[1].hits = SLUICE_RULE_HITS - 1;
  rules[1].fresh = false;
  ASSERT_OK(SetRules(rules));
  EXPECT_EQ(maps_->ReadHits(0)->packets, 0u);
  EXPECT_EQ(maps_->ReadHits(SLUICE_RULE_HITS - 1)->packets, 5u * cpus);
  EXPECT_EQ(maps_->ReadHits(SLUICE_RULE_HITS - 1)->bytes, 6u * cpus);
  EXPECT_FALSE(maps_->ReadHits(SLUICE_RULE_HITS).ok());
}

TEST_F(SteeringMapsTest, TooManyRulesChangeNothing) {
  ASSERT_OK(SetRules(Rules(2, SLUICE_ACTION_DROP)));
  const uint32_t bank = maps_->GetConfig()->rule_bank;
  const size_t many = SLUICE_MAX_RULES + 1;
  const absl::Status status = SetRules(Rules(many, SLUICE_ACTION_PASS, 2));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("1025 rules"), absl::string_view::npos) << status;
  EXPECT_EQ(maps_->GetConfig()->rule_bank, bank);
  EXPECT_EQ(ActionsInForce(), std::vector<uint32_t>(2, SLUICE_ACTION_DROP));
}

TEST_F(SteeringMapsTest, LocalAddressesBecomeExactlyTheSet) {
  ASSERT_OK(maps_->SetLocals({{Address(1), Address(2), Address(3), Address(2)}, {}}));
  EXPECT_EQ(LocalCount(), 3u);
  ASSERT_OK(maps_->SetLocals({{Address(3), Address(4)}, {Address(5)}}));
  EXPECT_EQ(LocalCount(), 3u);
  EXPECT_EQ(LocalKind(Address(4)), SLUICE_LOCAL_ADDRESS);
  EXPECT_EQ(LocalKind(Address(5)), SLUICE_LOCAL_GROUP);
  EXPECT_EQ(LocalKind(Address(1)), 0);
  ASSERT_OK(maps_->SetLocals({}));
  EXPECT_EQ(LocalCount(), 0u);
}

TEST_F(SteeringMapsTest, FullLocalsCanBeReplacedWhole) {
  std::vector<sluice_address> first, second;
  for (uint32_t i = 0; i < SLUICE_MAX_LOCAL_ADDRESSES; ++i) {
    first.push_back(Address(i + 1));
    second.push_back(Address(i + 1000));
  }
  ASSERT_OK(maps_->SetLocals({first, {}}));
  ASSERT_OK(maps_->SetLocals({second, {}}));
  EXPECT_EQ(LocalCount(), static_cast<size_t>(SLUICE_MAX_LOCAL_ADDRESSES));
  const sluice_address more = Address(SLUICE_MAX_LOCAL_ADDRESSES + 1000);
  EXPECT_EQ(maps_->SetLocals({second, {more}}).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(SteeringMapsTest, CountersAreSummedOverCpus) {
  const absl::StatusOr<UniqueFd> map = OpenPinnedMap(pin_dir_, SLUICE_MAP_COUNTERS);
  ASSERT_OK(map);
  std::vector<sluice_counters> per_cpu(64);
  per_cpu[0].packets[SLUICE_VERDICT_PASS] = 3;
  per_cpu[1].packets[SLUICE_VERDICT_PASS] = 4;
  per_cpu[0].bytes[SLUICE_VERDICT_DROP] = 100;
  const uint32_t queue = 5;
  ASSERT_EQ(bpf_map_update_elem(map->get(), &queue, per_cpu.data(), BPF_ANY), 0);
  const absl::StatusOr<sluice_counters> sum = maps_->ReadCounters(queue);
  ASSERT_OK(sum);
  EXPECT_EQ(sum->packets[SLUICE_VERDICT_PASS], libbpf_num_possible_cpus() > 1 ? 7u : 3u);
  EXPECT_EQ(sum->bytes[SLUICE_VERDICT_DROP], 100u);
  EXPECT_FALSE(maps_->ReadCounters(SLUICE_MAX_QUEUES).ok());
}

TEST_F(SteeringMapsTest, RemovingAnAbsentSocketIsNoError) {
  EXPECT_OK(maps_->RemoveSocket(3));
}

TEST_F(SteeringMapsTest, MissingPinNamesTheMap) {
  const absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open("/sys/fs/bpf/nowhere");
  EXPECT_EQ(maps.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(maps.status().message().find("/sys/fs/bpf/nowhere/sluice_"), absl::string_view::npos) << maps.status();
}

}  // namespace
}  // namespace sluice
