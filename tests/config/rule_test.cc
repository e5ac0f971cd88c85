#include "control/rules/rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

const std::vector<std::string> kPorts = {"wan", "lan"};

RuleConfig Compiled(const RuleFields& fields) {
  RuleConfig rule;
  const std::vector<RuleProblem> problems = CompileRule(fields, kPorts, rule);
  for (const RuleProblem& problem : problems) {
    ADD_FAILURE() << problem.field << ": " << problem.text;
  }
  return rule;
}

struct BadRule {
  const char* name;
  RuleFields fields;
  const char* field;
  std::string text;
};

void PrintTo(const BadRule& bad, std::ostream* out) {
  *out << bad.name;
}

class BadRuleTest : public testing::TestWithParam<BadRule> {};

TEST_P(BadRuleTest, OneProblem) {
  RuleConfig rule;
  const std::vector<RuleProblem> problems = CompileRule(GetParam().fields, kPorts, rule);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].field, GetParam().field);
  EXPECT_EQ(problems[0].text, GetParam().text);
}

const BadRule kBadRules[] = {
    {"NoAction", {}, "action", "missing; allowed: dataplane, pass, both, drop"},
    {"Action", {{"action", "accept"}}, "action", "'accept' is not allowed; allowed: dataplane, pass, both, drop"},
    {"Unknown",
     {{"action", "pass"}, {"port", "1"}},
     "port",
     "unknown key; allowed: proto, src, dst, src_port, dst_port, fragment, vlan, ethertype, in_port, action"},
    {"ProtoName",
     {{"action", "pass"}, {"proto", "TCP"}},
     "proto",
     "'TCP' is not allowed; allowed: tcp, udp, icmp, icmpv6, sctp, or a number 0..255"},
    {"ProtoLarge",
     {{"action", "pass"}, {"proto", "256"}},
     "proto",
     "'256' is not allowed; allowed: tcp, udp, icmp, icmpv6, sctp, or a number 0..255"},
    {"ProtoNegative",
     {{"action", "pass"}, {"proto", "-1"}},
     "proto",
     "'-1' is not allowed; allowed: tcp, udp, icmp, icmpv6, sctp, or a number 0..255"},
    {"Address",
     {{"action", "pass"}, {"src", "10.0.0"}},
     "src",
     "'10.0.0' is no IPv4 or IPv6 address or prefix, such as 10.0.0.0/8 or 2001:db8::/32"},
    {"AddressWithANul",
     {{"action", "pass"}, {"src", std::string("10.0.0.1\0x", 10)}},
     "src",
     "'10.0.0.1\\x00x' is no IPv4 or IPv6 address or prefix, such as 10.0.0.0/8 or 2001:db8::/32"},
    {"PrefixLength4",
     {{"action", "pass"}, {"dst", "10.0.0.0/33"}},
     "dst",
     "'10.0.0.0/33': the prefix length must be 0..32"},
    {"PrefixLength6", {{"action", "pass"}, {"dst", "::/129"}}, "dst", "'::/129': the prefix length must be 0..128"},
    {"PrefixLengthEmpty", {{"action", "pass"}, {"dst", "::/"}}, "dst", "'::/': the prefix length must be 0..128"},
    {"StrayBits4",
     {{"action", "pass"}, {"src", "192.0.2.129/25"}},
     "src",
     "'192.0.2.129/25' has bits beyond the prefix; 192.0.2.128/25 is allowed"},
    {"StrayBits6",
     {{"action", "pass"}, {"src", "2001:db8::1/64"}},
     "src",
     "'2001:db8::1/64' has bits beyond the prefix; 2001:db8::/64 is allowed"},
    {"TwoFamilies",
     {{"action", "pass"}, {"src", "10.0.0.0/8"}, {"dst", "::1"}},
     "dst",
     "an IPv6 prefix beside an IPv4 one in src; both must be of one family"},
    {"PortWithoutProto",
     {{"action", "pass"}, {"dst_port", "80"}},
     "dst_port",
     "only packets of a protocol with ports have one; proto must be tcp, udp or sctp"},
    {"PortOfIcmp",
     {{"action", "pass"}, {"proto", "icmp"}, {"src_port", "80"}},
     "src_port",
     "only packets of a protocol with ports have one; proto must be tcp, udp or sctp"},
    {"PortLarge",
     {{"action", "pass"}, {"proto", "tcp"}, {"dst_port", "65536"}},
     "dst_port",
     "'65536' is not allowed; allowed: a number 0..65535 or FIRST-LAST"},
    {"PortRangeBackwards",
     {{"action", "pass"}, {"proto", "tcp"}, {"dst_port", "90-80"}},
     "dst_port",
     "'90-80' is not allowed; allowed: a number 0..65535 or FIRST-LAST"},
    {"PortRangeOpen",
     {{"action", "pass"}, {"proto", "tcp"}, {"dst_port", "80-"}},
     "dst_port",
     "'80-' is not allowed; allowed: a number 0..65535 or FIRST-LAST"},
    {"PortSpaces",
     {{"action", "pass"}, {"proto", "tcp"}, {"dst_port", " 80"}},
     "dst_port",
     "' 80' is not allowed; allowed: a number 0..65535 or FIRST-LAST"},
    {"Vlan", {{"action", "pass"}, {"vlan", "4095"}}, "vlan", "'4095' is not allowed; allowed: a number 0..4094"},
    {"EthertypeLength",
     {{"action", "pass"}, {"ethertype", "0x05ff"}},
     "ethertype",
     "'0x05ff' is not allowed; allowed: ipv4, ipv6, arp, or a number 0x0600..0xffff"},
    {"EthertypeLarge",
     {{"action", "pass"}, {"ethertype", "0x10000"}},
     "ethertype",
     "'0x10000' is not allowed; allowed: ipv4, ipv6, arp, or a number 0x0600..0xffff"},
    {"EthertypeVlan",
     {{"action", "pass"}, {"ethertype", "0x8100"}},
     "ethertype",
     "'0x8100' is a VLAN tag's; the ethertype behind all tags is compared: use vlan"},
    {"ArpWithProto",
     {{"action", "pass"}, {"ethertype", "arp"}, {"proto", "udp"}},
     "ethertype",
     "'arp' packets have no proto, src, dst or fragment; with those it must be ipv4 or ipv6"},
    {"ArpFragment",
     {{"action", "pass"}, {"ethertype", "arp"}, {"fragment", "no"}},
     "ethertype",
     "'arp' packets have no proto, src, dst or fragment; with those it must be ipv4 or ipv6"},
    {"Fragment",
     {{"action", "pass"}, {"fragment", "2"}},
     "fragment",
     "'2' is not allowed; allowed: no, yes, first, later, not_later"},
    {"PortOfALaterFragment",
     {{"action", "pass"}, {"proto", "udp"}, {"dst_port", "53"}, {"fragment", "later"}},
     "dst_port",
     "later fragments have no ports; leave this field out, or fragment"},
    {"EthertypeOfTheOtherFamily",
     {{"action", "pass"}, {"ethertype", "ipv6"}, {"src", "10.0.0.1"}},
     "ethertype",
     "the addresses are IPv4, so it must be ipv4 or left out"},
    {"IcmpOverIpv6",
     {{"action", "pass"}, {"proto", "icmp"}, {"dst", "::1"}},
     "proto",
     "icmp is IPv4's, the addresses are IPv6; use icmpv6"},
    {"Icmpv6OverIpv4",
     {{"action", "pass"}, {"proto", "icmpv6"}, {"dst", "10.0.0.1"}},
     "proto",
     "icmpv6 is IPv6's, the addresses are IPv4; use icmp"},
    {"Icmpv6WithEthertypeIpv4",
     {{"action", "pass"}, {"proto", "58"}, {"ethertype", "ipv4"}},
     "ethertype",
     "proto is the other family's; with 58 it must be ipv6 or left out"},
    {"InPort", {{"action", "pass"}, {"in_port", "dmz"}}, "in_port", "'dmz' is no port; allowed: wan, lan"},
};
INSTANTIATE_TEST_SUITE_P(Rules, BadRuleTest, testing::ValuesIn(kBadRules),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(RuleTest, EveryProblemIsListed) {
  RuleConfig rule;
  EXPECT_EQ(CompileRule({{"proto", "x"}, {"vlan", "x"}, {"src", "x"}, {"dst_port", "x"}}, kPorts, rule).size(), 5u);
}

TEST(RuleTest, NoFieldMatchesEverything) {
  const RuleConfig rule = Compiled({{"action", "drop"}});
  EXPECT_EQ(rule.match, 0u);
  EXPECT_EQ(rule.action, static_cast<uint32_t>(SLUICE_ACTION_DROP));
}

TEST(RuleTest, Actions) {
  EXPECT_EQ(Compiled({{"action", "dataplane"}}).action, static_cast<uint32_t>(SLUICE_ACTION_DATAPLANE));
  EXPECT_EQ(Compiled({{"action", "pass"}}).action, static_cast<uint32_t>(SLUICE_ACTION_PASS));
  EXPECT_EQ(Compiled({{"action", "both"}}).action, static_cast<uint32_t>(SLUICE_ACTION_BOTH));
}

TEST(RuleTest, Protocols) {
  const std::pair<const char*, int> protocols[] = {{"tcp", IPPROTO_TCP},   {"udp", IPPROTO_UDP},
                                                   {"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6},
                                                   {"sctp", IPPROTO_SCTP}, {"0", 0},
                                                   {"47", IPPROTO_GRE},    {"255", 255}};
  for (const auto& [text, proto] : protocols) {
    const RuleConfig rule = Compiled({{"action", "pass"}, {"proto", text}});
    EXPECT_EQ(rule.match, static_cast<uint32_t>(SLUICE_MATCH_PROTO));
    EXPECT_EQ(rule.proto, proto) << text;
  }
}

TEST(RuleTest, Ipv4Prefixes) {
  const RuleConfig rule = Compiled({{"action", "pass"}, {"src", "10.0.0.0/9"}, {"dst", "192.0.2.1"}});
  EXPECT_EQ(rule.match, static_cast<uint32_t>(SLUICE_MATCH_SRC | SLUICE_MATCH_DST));
  EXPECT_EQ(rule.src, (Prefix{4, 9, {10}}));
  EXPECT_EQ(rule.dst, (Prefix{4, 32, {192, 0, 2, 1}}));
}

TEST(RuleTest, AnyAddressOfAFamily) {
  EXPECT_EQ(Compiled({{"action", "pass"}, {"src", "0.0.0.0/0"}}).src, (Prefix{4, 0, {}}));
  EXPECT_EQ(Compiled({{"action", "pass"}, {"dst", "::/0"}}).dst, (Prefix{6, 0, {}}));
}

TEST(RuleTest, Ipv6Prefix) {
  const RuleConfig rule = Compiled({{"action", "pass"}, {"dst", "2001:db8:8000::/33"}});
  EXPECT_EQ(rule.match, static_cast<uint32_t>(SLUICE_MATCH_DST));
  EXPECT_EQ(rule.dst, (Prefix{6, 33, {0x20, 0x01, 0x0d, 0xb8, 0x80}}));
}

TEST(RuleTest, Ports) {
  const RuleConfig rule = Compiled({{"action", "pass"}, {"proto", "132"}, {"src_port", "0-65535"}, {"dst_port", "80"}});
  EXPECT_EQ(rule.match, static_cast<uint32_t>(SLUICE_MATCH_PROTO | SLUICE_MATCH_SRC_PORT | SLUICE_MATCH_DST_PORT));
  EXPECT_EQ(rule.src_port_first, 0);
  EXPECT_EQ(rule.src_port_last, 65535);
  EXPECT_EQ(rule.dst_port_first, 80);
  EXPECT_EQ(rule.dst_port_last, 80);
}

TEST(RuleTest, VlanAndEthertype) {
  const RuleConfig rule = Compiled({{"action", "pass"}, {"vlan", "0"}, {"ethertype", "arp"}});
  EXPECT_EQ(rule.match, static_cast<uint32_t>(SLUICE_MATCH_VLAN | SLUICE_MATCH_ETHERTYPE));
  EXPECT_EQ(rule.vlan, 0);
  EXPECT_EQ(rule.ethertype, 0x0806);
  EXPECT_EQ(Compiled({{"action", "pass"}, {"ethertype", "35020"}}).ethertype, 0x88cc);
  EXPECT_EQ(Compiled({{"action", "pass"}, {"ethertype", "0x88CC"}}).ethertype, 0x88cc);
  EXPECT_EQ(Compiled({{"action", "pass"}, {"vlan", "4094"}}).vlan, 4094);
}

TEST(RuleTest, FragmentsAreARangeOfKinds) {
  const std::pair<const char*, std::pair<int, int>> words[] = {
      {"no", {0, 0}}, {"yes", {1, 2}}, {"first", {1, 1}}, {"later", {2, 2}}, {"not_later", {0, 1}}};
  for (const auto& [word, range] : words) {
    const RuleConfig rule = Compiled({{"action", "pass"}, {"fragment", word}});
    EXPECT_EQ(rule.match, static_cast<uint32_t>(SLUICE_MATCH_FRAGMENT)) << word;
    EXPECT_EQ(rule.fragment_first, range.first) << word;
    EXPECT_EQ(rule.fragment_last, range.second) << word;
  }
}

TEST(RuleTest, InPortIsNoMatchButKeepsOtherPortsFromTheRule) {
  const RuleConfig rule = Compiled({{"action", "pass"}, {"in_port", "lan"}});
  EXPECT_EQ(rule.match, 0u);
  EXPECT_EQ(rule.in_port, "lan");
}

TEST(RuleTest, KeepsTheFieldsAsWritten) {
  const RuleFields fields = {{"action", "pass"}, {"proto", "17"}};
  EXPECT_EQ(Compiled(fields).fields, fields);
}

TEST(MatchText, IsInTheOrderOfTheFieldsAndLeavesTheActionOut) {
  EXPECT_EQ(
      MatchText({{"in_port", "wan"}, {"fragment", "no"}, {"dst_port", "1-2"}, {"proto", "udp"}, {"action", "drop"}}),
      "proto=udp dst_port=1-2 fragment=no in_port=wan");
  EXPECT_EQ(MatchText({{"action", "pass"}}), "everything");
}

}  // namespace
}  // namespace sluice
