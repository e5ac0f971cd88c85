// SPDX-License-Identifier: Apache-2.0
//
// Compares the verdicts of the rule tables, with SLUICE_MAX_RULES rules, with a walk over the same rules.
#include <algorithm>
#include <functional>
#include <random>

#include "control/rules/rule_tables.h"
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class ManyRules : public Programs {
 protected:
  std::mt19937 random_{20121};
  unsigned Below(unsigned bound) { return std::uniform_int_distribution<unsigned>(0, bound - 1)(random_); }
  bool Perhaps() { return Below(2) == 0; }
};

// The fields of a test packet. They take few values, so that many rules match.
struct Headers {
  std::optional<uint16_t> vlan;
  bool ipv6 = false;
  unsigned src = 0, dst = 0;  // host numbers
  bool tcp = false;
  uint16_t src_port = 0, dst_port = 0;
};

std::string AddressOf(bool ipv6, unsigned host) {
  return ipv6 ? "2001:db8:0:" + std::to_string(host / 16) + "::" + std::to_string(host % 16)
              : "10.0." + std::to_string(host / 16) + "." + std::to_string(host % 16);
}

Bytes PacketOf(const Headers& headers) {
  Packet packet;
  packet.eth();
  if (headers.vlan.has_value()) {
    packet.vlan(*headers.vlan);
  }
  const std::string src = AddressOf(headers.ipv6, headers.src), dst = AddressOf(headers.ipv6, headers.dst);
  headers.ipv6 ? packet.ipv6(src, dst) : packet.ipv4(src, dst);
  headers.tcp ? packet.tcp(headers.src_port, headers.dst_port) : packet.udp(headers.src_port, headers.dst_port);
  return packet.bytes();
}

// A rule with its meaning written a second time, for the walk.
struct Told {
  Rule rule;
  std::function<bool(const Headers&)> matches;
  std::string verdict;
};

TEST_F(ManyRules, DecideAsAWalkOverThemDoes) {
  const char* const verdicts[] = {"dataplane", "pass", "drop"};
  std::vector<Told> all;
  std::vector<RuleConfig> rules;
  for (int i = 0; i < SLUICE_MAX_RULES; ++i) {
    const bool ipv6 = Perhaps(), by_src = Perhaps(), by_dst = Perhaps(), by_vlan = Below(4) == 0;
    const bool by_ports = Perhaps(), tcp = Perhaps(), by_type = Perhaps();
    const unsigned src = Below(64), dst = Below(64), action = Below(3);
    const unsigned src_whole = Below(3), dst_whole = Below(3);  // 0: one host, 1: sixteen hosts, 2: all of the family
    const auto vlan = static_cast<uint16_t>(Below(4));
    const auto first = static_cast<uint16_t>(Below(60)), last = static_cast<uint16_t>(first + Below(5));
    Told told;
    const auto prefix = [ipv6](unsigned host, unsigned whole) {
      const unsigned bits[2][3] = {{32, 24, 0}, {128, 64, 0}};
      const std::string address =
          whole == 2 ? (ipv6 ? "::" : "0.0.0.0") : AddressOf(ipv6, whole == 1 ? host / 16 * 16 : host);
      return address + "/" + std::to_string(bits[ipv6 ? 1 : 0][whole]);
    };
    by_src ? (void)told.rule.src(prefix(src, src_whole)) : (void)0;
    by_dst ? (void)told.rule.dst(prefix(dst, dst_whole)) : (void)0;
    by_vlan ? (void)told.rule.vlan(vlan) : (void)0;
    by_type ? (void)told.rule.ethertype(ipv6 ? 0x86dd : 0x0800) : (void)0;
    by_ports ? (void)told.rule.proto(tcp ? 6 : 17).dst_port(first, last) : (void)0;
    told.rule.action(action);
    const auto within = [](unsigned host, unsigned wanted, unsigned whole) {
      return whole == 2 || (whole == 1 ? host / 16 == wanted / 16 : host == wanted);
    };
    told.matches = [=](const Headers& h) {
      return (!by_src || (h.ipv6 == ipv6 && within(h.src, src, src_whole))) &&
             (!by_dst || (h.ipv6 == ipv6 && within(h.dst, dst, dst_whole))) && (!by_vlan || h.vlan == vlan) &&
             (!by_type || h.ipv6 == ipv6) && (!by_ports || (h.tcp == tcp && first <= h.dst_port && h.dst_port <= last));
    };
    told.verdict = verdicts[action];
    // Skip rules that match nearly everything, or the first few would decide every packet.
    if (by_src + by_dst + by_ports + by_vlan < 2 || (src_whole == 2 && dst_whole == 2)) {
      --i;
      continue;
    }
    rules.push_back(told.rule);
    all.push_back(std::move(told));
  }
  set_rules(rules);

  std::vector<size_t> deciders;
  for (int i = 0; i < 4000; ++i) {
    Headers headers;
    if (Perhaps()) {
      headers.vlan = static_cast<uint16_t>(Below(5));
    }
    headers.ipv6 = Perhaps();
    headers.src = Below(70);
    headers.dst = Below(70);
    headers.tcp = Perhaps();
    headers.src_port = static_cast<uint16_t>(Below(65536));
    headers.dst_port = static_cast<uint16_t>(Perhaps() ? Below(70) : Below(65536));
    std::string want = "dataplane";
    for (size_t r = 0; r < all.size(); ++r) {
      if (all[r].matches(headers)) {
        want = all[r].verdict;
        deciders.push_back(r);
        break;
      }
    }
    ASSERT_EQ(want, verdict(PacketOf(headers))) << "packet " << i;
  }
  EXPECT_GT(deciders.size(), 1000u) << "enough packets must match a rule";
  EXPECT_GT(*std::max_element(deciders.begin(), deciders.end()), 64u)
      << "a rule beyond the first 64-bit word must decide a packet";
}

TEST_F(ManyRules, TheLastIsFound) {
  std::vector<RuleConfig> rules;
  for (int i = 0; i < SLUICE_MAX_RULES; ++i) {
    rules.push_back(Rule().proto(17).src("10.1.2.3").dst_port(static_cast<uint16_t>(1000 + i)).drop());
  }
  set_rules(rules);
  const auto to = [this](unsigned port) {
    return verdict(Packet().eth().ipv4("10.1.2.3", "192.168.7.9").udp(4000, static_cast<uint16_t>(port)).bytes());
  };
  EXPECT_EQ("dataplane", to(999));
  EXPECT_EQ("drop", to(1000));
  EXPECT_EQ("drop", to(1000 + SLUICE_MAX_RULES - 1));
  EXPECT_EQ("dataplane", to(1000 + SLUICE_MAX_RULES));
  EXPECT_EQ(2u, rule_hits(0, SLUICE_MAX_RULES - 1).packets) << "once in XDP, once in clsact";
}

// Nested and overlapping port ranges, and a prefix and VLAN per rule, give thousands of different sets.
TEST_F(ManyRules, ThousandsOfSetsFit) {
  std::vector<RuleConfig> rules;
  for (unsigned i = 0; i < SLUICE_MAX_RULES; ++i) {
    const std::string host = std::to_string(i / 256) + "." + std::to_string(i % 256);
    rules.push_back(Rule()
                        .vlan(static_cast<uint16_t>(i))
                        .proto(i % 2 ? 6 : 17)
                        .src("10.0." + host)
                        .dst("10.1." + host)
                        .src_port(static_cast<uint16_t>(i), static_cast<uint16_t>(65535 - i))
                        .dst_port(static_cast<uint16_t>(20 * i), static_cast<uint16_t>(20 * i + 10000))
                        .drop());
  }
  uint32_t next_id = 1;
  const absl::StatusOr<RuleTables> tables = MakeRuleTables(MakeActive(rules, {}, next_id));
  ASSERT_TRUE(tables.ok()) << tables.status();
  EXPECT_LE(tables->sets.size(), static_cast<size_t>(SLUICE_MAX_RULE_SETS));
  EXPECT_GT(tables->sets.size(), 3000u);
  set_rules(rules);
  const Bytes packet = Packet().eth().vlan(777).ipv4("10.0.3.9", "10.1.3.9").tcp(30000, 20 * 777 + 10000).bytes();
  EXPECT_EQ("drop", verdict(packet));
}

}  // namespace
}  // namespace sluice::bpf_test
