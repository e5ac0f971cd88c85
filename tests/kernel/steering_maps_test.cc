#include "control/kernel/steering_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <optional>
#include <vector>

#include "control/kernel/bpf_programs.h"
#include "control/kernel/xdp_attachment.h"
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
    ASSERT_OK(XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_, XdpWish::kNative));
    absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
    ASSERT_OK(maps);
    maps_.emplace(std::move(*maps));
  }

  // The bank in force, as the program walks it.
  std::vector<sluice_rule> RulesInForce() {
    const absl::StatusOr<sluice_config> config = maps_->GetConfig();
    EXPECT_OK(config);
    return Bank(config->rule_bank, config->rule_count);
  }
  std::vector<sluice_rule> Bank(uint32_t bank, uint32_t count) {
    const absl::StatusOr<UniqueFd> map = OpenPinnedMap(pin_dir_, SLUICE_MAP_RULES);
    EXPECT_OK(map);
    std::vector<sluice_rule> rules(count);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t slot = bank * SLUICE_MAX_RULES + i;
      EXPECT_EQ(bpf_map_lookup_elem(map->get(), &slot, &rules[i]), 0);
    }
    return rules;
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

  std::optional<SteeringMaps> maps_;
};

sluice_rule RuleForPort(uint16_t port) {
  sluice_rule rule{};
  rule.match = SLUICE_MATCH_DST_PORT;
  rule.action = SLUICE_ACTION_DROP;
  rule.dst_port_first = port;
  rule.dst_port_last = port;
  return rule;
}

std::vector<sluice_rule> RulesForPorts(uint16_t first, size_t count) {
  std::vector<sluice_rule> rules;
  for (size_t i = 0; i < count; ++i) {
    rules.push_back(RuleForPort(static_cast<uint16_t>(first + i)));
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
  uint16_t port = 1000;
  for (const size_t count : {3, 0, 64, 1, 5}) {
    ASSERT_OK(maps_->SetRules(RulesForPorts(port, count)));
    const absl::StatusOr<sluice_config> now = maps_->GetConfig();
    ASSERT_OK(now);
    EXPECT_NE(now->rule_bank, bank);
    bank = now->rule_bank;
    EXPECT_EQ(now->rule_count, count);
    EXPECT_EQ(now->bridge_ifindex, 7u);
    const std::vector<sluice_rule> rules = RulesInForce();
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(rules[i].dst_port_first, port + i);
    }
    port = static_cast<uint16_t>(port + 100);
  }
}

TEST_F(SteeringMapsTest, BehindTheRulesAreOnesThatMatchNothing) {
  ASSERT_OK(maps_->SetRules(RulesForPorts(1000, 64)));
  ASSERT_OK(maps_->SetRules(RulesForPorts(2000, 2)));
  const std::vector<sluice_rule> whole = Bank(maps_->GetConfig()->rule_bank, SLUICE_MAX_RULES);
  for (size_t i = 2; i < whole.size(); ++i) {
    EXPECT_EQ(whole[i].match, static_cast<uint32_t>(SLUICE_MATCH_VLAN)) << i;
    EXPECT_GT(whole[i].vlan, 4095) << i;
  }
}

TEST_F(SteeringMapsTest, RuleHitsStartAtZeroInTheNewBank) {
  const absl::StatusOr<UniqueFd> hits = OpenPinnedMap(pin_dir_, SLUICE_MAP_RULE_HITS);
  ASSERT_OK(hits);
  std::vector<sluice_rule_hits> value(64, sluice_rule_hits{5, 5});  // more CPUs than any test machine has
  const uint32_t slot = SLUICE_MAX_RULES + 1;                       // bank 1, rule 1
  ASSERT_EQ(bpf_map_update_elem(hits->get(), &slot, value.data(), BPF_ANY), 0);
  ASSERT_OK(maps_->SetRules(RulesForPorts(1000, 2)));
  ASSERT_EQ(maps_->GetConfig()->rule_bank, 1u);
  ASSERT_EQ(bpf_map_lookup_elem(hits->get(), &slot, value.data()), 0);
  EXPECT_EQ(value[0].packets, 0u);
}

TEST_F(SteeringMapsTest, TooManyRulesChangeNothing) {
  ASSERT_OK(maps_->SetRules(RulesForPorts(1000, 2)));
  const uint32_t bank = maps_->GetConfig()->rule_bank;
  const absl::Status status = maps_->SetRules(RulesForPorts(1000, SLUICE_MAX_RULES + 1));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("65 rules"), absl::string_view::npos) << status;
  EXPECT_EQ(maps_->GetConfig()->rule_bank, bank);
}

TEST_F(SteeringMapsTest, LocalAddressesBecomeExactlyTheSet) {
  ASSERT_OK(maps_->SetLocals({Address(1), Address(2), Address(3), Address(2)}));
  EXPECT_EQ(LocalCount(), 3u);
  ASSERT_OK(maps_->SetLocals({Address(3), Address(4)}));
  EXPECT_EQ(LocalCount(), 2u);
  ASSERT_OK(maps_->SetLocals({}));
  EXPECT_EQ(LocalCount(), 0u);
}

TEST_F(SteeringMapsTest, FullLocalsCanBeReplacedWhole) {
  std::vector<sluice_address> first, second;
  for (uint32_t i = 0; i < SLUICE_MAX_LOCAL_ADDRESSES; ++i) {
    first.push_back(Address(i + 1));
    second.push_back(Address(i + 1000));
  }
  ASSERT_OK(maps_->SetLocals(first));
  ASSERT_OK(maps_->SetLocals(second));
  EXPECT_EQ(LocalCount(), static_cast<size_t>(SLUICE_MAX_LOCAL_ADDRESSES));
  second.push_back(Address(5000));
  EXPECT_EQ(maps_->SetLocals(second).code(), absl::StatusCode::kResourceExhausted);
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
  EXPECT_NE(maps.status().message().find("/sys/fs/bpf/nowhere/sluice_xsks"), absl::string_view::npos) << maps.status();
}

}  // namespace
}  // namespace sluice
