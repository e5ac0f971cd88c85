// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "bpf/sluice_bridge.skel.h"
#include "bpf/sluice_bridge_rx.skel.h"
#include "bpf/sluice_steer.skel.h"
#include "bpf/sluice_to_kernel.skel.h"
#include "control/rules/rule_maps.h"
#include "control/rules/source_list.h"
#include "control/rules/source_list_text.h"
#include "tests/bpf/network.h"

namespace sluice::bpf_test {
namespace {

const char* const kVerdictNames[SLUICE_VERDICT_COUNT] = {
    "DATAPLANE", "PASS",    "DROP",      "NO_SOCKET",  "MALFORMED",  "BRIDGED",  "DOWN_PASS",
    "DOWN_DROP", "BLOCKED", "OFFLOADED", "OVERLOADED", "UNREADABLE", "FRAGMENT", "BOTH"};

struct Loaded {
  sluice_steer* steer = nullptr;
  sluice_bridge* bridge = nullptr;
  sluice_bridge_rx* bridge_rx = nullptr;
  sluice_to_kernel* to_kernel = nullptr;
  std::string error;
};

void without_pins(bpf_object* object) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) bpf_map__set_pin_path(map, nullptr);
}

// Loads the programs. Called once per process, since the verifier takes a while.
Loaded load() {
  Loaded all;
  libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
  const auto failed = [&all](const char* what) {
    all.error = std::string("cannot load ") + what + ": " + strerror(errno);
    return all;
  };
  all.steer = sluice_steer::open();
  if (!all.steer) {
    return failed("sluice_steer");
  }
  without_pins(all.steer->obj);
  if (sluice_steer::load(all.steer)) {
    return failed("sluice_steer");
  }

  all.bridge = sluice_bridge::open();
  if (!all.bridge) {
    return failed("sluice_bridge");
  }
  without_pins(all.bridge->obj);
  for (const char* name :
       {SLUICE_MAP_CONFIG, SLUICE_MAP_RULE_BANKS, SLUICE_MAP_RULES, SLUICE_MAP_RULE_SETS, SLUICE_MAP_RULE_VALUES,
        SLUICE_MAP_RULE_PREFIXES, SLUICE_MAP_RULE_HITS, SLUICE_MAP_BLOCKLIST, SLUICE_MAP_LOCALS, SLUICE_MAP_COUNTERS}) {
    bpf_map__reuse_fd(bpf_object__find_map_by_name(all.bridge->obj, name),
                      bpf_object__find_map_fd_by_name(all.steer->obj, name));
  }
  if (sluice_bridge::load(all.bridge)) {
    return failed("sluice_bridge");
  }

  all.bridge_rx = sluice_bridge_rx::open();
  if (!all.bridge_rx) {
    return failed("sluice_bridge_rx");
  }
  without_pins(all.bridge_rx->obj);
  if (sluice_bridge_rx::load(all.bridge_rx)) {
    return failed("sluice_bridge_rx");
  }

  all.to_kernel = sluice_to_kernel::open();
  if (!all.to_kernel) {
    return failed("sluice_to_kernel");
  }
  without_pins(all.to_kernel->obj);
  bpf_map__reuse_fd(all.to_kernel->maps.sluice_config,
                    bpf_object__find_map_fd_by_name(all.steer->obj, SLUICE_MAP_CONFIG));
  if (sluice_to_kernel::load(all.to_kernel)) {
    return failed("sluice_to_kernel");
  }
  return all;
}

Loaded& loaded() {
  static Loaded all = load();
  return all;
}

template <typename Value>
std::vector<Value> per_cpu(const bpf_map* map, uint32_t key) {
  std::vector<Value> values(libbpf_num_possible_cpus());
  bpf_map__lookup_elem(map, &key, sizeof(key), values.data(), values.size() * sizeof(Value), 0);
  return values;
}

template <typename Value>
void zero_all(const bpf_map* map) {
  const std::vector<Value> zeros(libbpf_num_possible_cpus(), Value{});
  for (uint32_t key = 0; key < bpf_map__max_entries(map); ++key) {
    bpf_map__update_elem(map, &key, sizeof(key), zeros.data(), zeros.size() * sizeof(Value), 0);
  }
}

void add(sluice_counters& sum, const sluice_counters& more) {
  for (int i = 0; i < SLUICE_VERDICT_COUNT; ++i) {
    sum.packets[i] += more.packets[i];
    sum.bytes[i] += more.bytes[i];
  }
}

std::string name_of(const std::map<int, std::string>& names, uint32_t value) {
  const auto found = names.find(static_cast<int>(value));
  return found == names.end() ? "UNDEFINED(" + std::to_string(value) + ")" : found->second;
}

std::string xdp_action(uint32_t value) {
  return name_of({{XDP_PASS, "PASS"}, {XDP_DROP, "DROP"}, {XDP_TX, "TX"}, {XDP_REDIRECT, "REDIRECT"}}, value);
}

Prefix prefix_of(const std::string& text) {
  Prefix prefix;
  EXPECT_EQ(ParsePrefix(text, prefix), "");
  return prefix;
}

}  // namespace

Rule& Rule::ethertype(uint16_t type) {
  rule_.match |= SLUICE_MATCH_ETHERTYPE;
  rule_.ethertype = type;
  return *this;
}
Rule& Rule::vlan(uint16_t id) {
  rule_.match |= SLUICE_MATCH_VLAN;
  rule_.vlan = id;
  return *this;
}
Rule& Rule::proto(uint8_t number) {
  rule_.match |= SLUICE_MATCH_PROTO;
  rule_.proto = number;
  return *this;
}
Rule& Rule::src(const std::string& prefix) {
  rule_.match |= SLUICE_MATCH_SRC;
  rule_.src = prefix_of(prefix);
  return *this;
}
Rule& Rule::dst(const std::string& prefix) {
  rule_.match |= SLUICE_MATCH_DST;
  rule_.dst = prefix_of(prefix);
  return *this;
}
Rule& Rule::src_port(uint16_t first, std::optional<uint16_t> last) {
  rule_.match |= SLUICE_MATCH_SRC_PORT;
  rule_.src_port_first = first;
  rule_.src_port_last = last.value_or(first);
  return *this;
}
Rule& Rule::dst_port(uint16_t first, std::optional<uint16_t> last) {
  rule_.match |= SLUICE_MATCH_DST_PORT;
  rule_.dst_port_first = first;
  rule_.dst_port_last = last.value_or(first);
  return *this;
}

Rule& Rule::fragment(uint8_t first, std::optional<uint8_t> last) {
  rule_.match |= SLUICE_MATCH_FRAGMENT;
  rule_.fragment_first = first;
  rule_.fragment_last = last.value_or(first);
  return *this;
}

void Programs::SetUp() {
  if (!loaded().error.empty()) {
    GTEST_SKIP() << loaded().error << " (root and BPF are needed)";
  }
  config_ = {};
  config_.flags = SLUICE_CONFIG_ACTIVE;
  std::memcpy(config_.mac, kPortMac.data(), sizeof(config_.mac));
  apply();
  clear_counters();
  for (uint32_t bank = 0; bank < SLUICE_RULE_BANKS; ++bank) {
    const sluice_bank none = {};
    bpf_map__update_elem(steer()->maps.sluice_banks, &bank, sizeof(bank), &none, sizeof(none), 0);
  }
  block({});
  sluice_address key;
  const bpf_map* locals = steer()->maps.sluice_locals;
  while (bpf_map__get_next_key(locals, nullptr, &key, sizeof(key)) == 0) {
    bpf_map__delete_elem(locals, &key, sizeof(key), 0);
  }
}

void Programs::SetUpDevices(const std::string& command) {
  Programs::SetUp();
  if (IsSkipped()) {
    return;
  }
  if (const auto problem = enter_fresh_namespaces()) {
    GTEST_SKIP() << *problem;
  }
  if (!shell(command)) {
    GTEST_SKIP() << "cannot make the test's devices (iproute2 and ethtool are needed)";
  }
}

void Programs::apply() {
  const uint32_t zero = 0;
  ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_config, &zero, sizeof(zero), &config_, sizeof(config_), 0));
}

void Programs::set_rules(const std::vector<RuleConfig>& rules, uint32_t bank) {
  const auto& maps = steer()->maps;
  const auto fd = [](const bpf_map* map) { return UniqueFd(dup(bpf_map__fd(map))); };
  RuleMaps rule_maps({fd(maps.sluice_banks), fd(maps.sluice_rules), fd(maps.sluice_rulesets), fd(maps.sluice_values),
                      fd(maps.sluice_prefixes), fd(maps.sluice_rulehits)});
  std::vector<ActiveRule> active;
  for (uint32_t i = 0; i < rules.size(); ++i) {
    active.push_back({.config = rules[i], .hits = bank * SLUICE_MAX_RULES + i});
  }
  const absl::StatusOr<RuleTables> tables = MakeRuleTables(active);
  ASSERT_TRUE(tables.ok()) << tables.status();
  const absl::Status filled = rule_maps.Fill(bank, *tables);
  ASSERT_TRUE(filled.ok()) << filled;
  config_.rule_bank = bank;
  apply();
}

void Programs::put_list(uint32_t list, const std::vector<std::string>& texts) {
  if (texts.empty()) {
    bpf_map__delete_elem(steer()->maps.sluice_blocked, &list, sizeof(list), 0);
    return;
  }
  const absl::StatusOr<SourcePrefixes> sources = ParseSources(texts);
  ASSERT_TRUE(sources.ok()) << sources.status();
  std::vector<sluice_prefix> keys;
  for (const Prefix& prefix : sources->prefixes) {
    keys.push_back(TrieKey(prefix, 0, 0));
  }
  const absl::StatusOr<SourceList> made = SourceList::Make(keys);
  ASSERT_TRUE(made.ok()) << made.status();
  const int trie = made->fd();
  ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_blocked, &list, sizeof(list), &trie, sizeof(trie), 0));
}

void Programs::add_local(const std::string& text, sluice_local kind) {
  sluice_address key = {};
  key.family = text.find(':') == std::string::npos ? 4 : 6;
  const Bytes bytes = AddressBytes(key.family == 4 ? AF_INET : AF_INET6, text);
  std::memcpy(key.addr_be, bytes.data(), bytes.size());
  const uint8_t value = kind;
  ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_locals, &key, sizeof(key), &value, sizeof(value), 0));
}

std::string Programs::xdp(const Bytes& packet, uint32_t ifindex, uint32_t queue) {
  xdp_md context = {};
  context.data_end = packet.size();
  context.ingress_ifindex = ifindex;
  context.rx_queue_index = queue;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_size_in = static_cast<__u32>(packet.size()),
              .ctx_in = &context, .ctx_size_in = sizeof(context));
  const sluice_counters before = all_counters();
  const int error = bpf_prog_test_run_opts(bpf_program__fd(steer()->progs.sluice_steer), &options);
  if (error) {
    return std::string("test_run: ") + strerror(-error);
  }
  return xdp_action(options.retval) + " " + counted_since(before);
}

std::string Programs::tc(const Bytes& packet, TcContext tc_context) {
  __sk_buff context = {};
  context.gso_segs = tc_context.gso_segs;
  context.gso_size = tc_context.gso_size;
  std::copy(tc_context.token.begin(), tc_context.token.end(), context.cb);
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_size_in = static_cast<__u32>(packet.size()),
              .ctx_in = &context, .ctx_size_in = sizeof(context));
  const sluice_counters before = all_counters();
  const int error = bpf_prog_test_run_opts(bpf_program__fd(bridge()->progs.sluice_bridge), &options);
  if (error) {
    return std::string("test_run: ") + strerror(-error);
  }
  return name_of({{TC_ACT_OK, "OK"}, {TC_ACT_SHOT, "SHOT"}, {TC_ACT_REDIRECT, "REDIRECT"}}, options.retval) + " " +
         counted_since(before);
}

namespace {
// bpf_prog_test_run_skb refuses a frame that ends within its IP header. Live.ClsactDropsFramesThatEndWithinTheIpHeader
// sends such frames over a veth pair instead.
bool refused_by_test_run(const Bytes& packet) {
  const int ethertype = packet.at(12) << 8 | packet.at(13);
  return (ethertype == 0x0800 && packet.size() < 14 + 20) || (ethertype == 0x86dd && packet.size() < 14 + 40);
}
}  // namespace

std::string Programs::verdict(const Bytes& packet) {
  static const std::map<std::string, std::string> kXdp = {
      {"PASS NO_SOCKET", "dataplane"}, {"PASS -", "pass"},          {"DROP DROP", "drop"},
      {"DROP MALFORMED", "malformed"}, {"DROP BLOCKED", "blocked"}, {"DROP UNREADABLE", "unreadable"},
      {"DROP FRAGMENT", "fragment"}};
  static const std::map<std::string, std::string> kTc = {
      {"OK DOWN_PASS", "dataplane"},   {"OK PASS", "pass"},         {"SHOT DROP", "drop"},
      {"SHOT MALFORMED", "malformed"}, {"SHOT BLOCKED", "blocked"}, {"SHOT UNREADABLE", "unreadable"},
      {"SHOT FRAGMENT", "fragment"}};
  const std::string from_xdp = xdp(packet);
  const auto one = kXdp.find(from_xdp);
  if (one != kXdp.end() && refused_by_test_run(packet)) {
    return one->second;
  }
  const std::string from_tc = tc(packet);
  if (from_xdp == "PASS -" && from_tc == "OK DOWN_PASS") {
    return "both";  // XDP leaves it to clsact, which here has no bridge
  }
  const auto other = kTc.find(from_tc);
  if (one != kXdp.end() && other != kTc.end() && one->second == other->second) {
    return one->second;
  }
  return "XDP says " + from_xdp + ", clsact says " + from_tc;
}

std::string Programs::bridge_rx(const Bytes& packet, uint32_t ifindex) {
  xdp_md context = {};
  context.data_end = packet.size();
  context.ingress_ifindex = ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_size_in = static_cast<__u32>(packet.size()),
              .ctx_in = &context, .ctx_size_in = sizeof(context));
  const int fd = bpf_program__fd(bridge_receiver()->progs.sluice_bridge_rx);
  const int error = bpf_prog_test_run_opts(fd, &options);
  if (error) {
    return std::string("test_run: ") + strerror(-error);
  }
  return xdp_action(options.retval);
}

std::string Programs::to_kernel(const Bytes& packet) {
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_size_in = static_cast<__u32>(packet.size()));
  const int error = bpf_prog_test_run_opts(bpf_program__fd(near_end()->progs.sluice_to_kernel), &options);
  if (error) {
    return std::string("test_run: ") + strerror(-error);
  }
  return name_of({{TC_ACT_OK, "OK"}, {TC_ACT_SHOT, "SHOT"}, {TC_ACT_REDIRECT, "REDIRECT"}}, options.retval);
}

sluice_to_kernel_counters Programs::to_kernel_counters() const {
  sluice_to_kernel_counters sum = {};
  for (const auto& one : per_cpu<sluice_to_kernel_counters>(near_end()->maps.sluice_tokernel, 0)) {
    sum.packets += one.packets;
    sum.bytes += one.bytes;
    sum.strays += one.strays;
  }
  return sum;
}

sluice_counters Programs::counters(uint32_t queue) const {
  sluice_counters sum = {};
  for (const auto& one : per_cpu<sluice_counters>(steer()->maps.sluice_counters, queue)) {
    add(sum, one);
  }
  return sum;
}

sluice_counters Programs::all_counters() const {
  // One system call for all queues, since the sweeps read the counters before and after each packet.
  std::vector<sluice_counters> values(SLUICE_MAX_QUEUES * libbpf_num_possible_cpus());
  uint32_t keys[SLUICE_MAX_QUEUES], position = 0, count = SLUICE_MAX_QUEUES;
  const int fd = bpf_map__fd(steer()->maps.sluice_counters);
  if (bpf_map_lookup_batch(fd, nullptr, &position, keys, values.data(), &count, nullptr) && errno != ENOENT) {
    ADD_FAILURE() << "cannot read the counters: " << strerror(errno);
  }
  sluice_counters sum = {};
  for (const auto& one : values) {
    add(sum, one);
  }
  return sum;
}

sluice_rule_hits Programs::rule_hits(uint32_t bank, uint32_t rule) const {
  sluice_rule_hits sum = {};
  const uint32_t slot = bank * SLUICE_MAX_RULES + rule;
  for (const auto& one : per_cpu<sluice_rule_hits>(steer()->maps.sluice_rulehits, slot)) {
    sum.packets += one.packets;
    sum.bytes += one.bytes;
  }
  return sum;
}

void Programs::clear_counters() {
  zero_all<sluice_counters>(steer()->maps.sluice_counters);
  zero_all<sluice_rule_hits>(steer()->maps.sluice_rulehits);
}

std::string Programs::counted_since(const sluice_counters& before) const {
  const sluice_counters now = all_counters();
  std::string names;
  for (int i = 0; i < SLUICE_VERDICT_COUNT; ++i) {
    const uint64_t moved = now.packets[i] - before.packets[i];
    if (!moved) {
      continue;
    }
    names += (names.empty() ? "" : "+") + std::string(kVerdictNames[i]);
    if (moved > 1) {
      names += "*" + std::to_string(moved);
    }
  }
  return names.empty() ? "-" : names;
}

sluice_steer* Programs::steer() const {
  return loaded().steer;
}
sluice_bridge* Programs::bridge() const {
  return loaded().bridge;
}
sluice_bridge_rx* Programs::bridge_receiver() const {
  return loaded().bridge_rx;
}
sluice_to_kernel* Programs::near_end() const {
  return loaded().to_kernel;
}

}  // namespace sluice::bpf_test
