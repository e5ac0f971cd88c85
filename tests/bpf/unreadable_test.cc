// SPDX-License-Identifier: Apache-2.0
//
// Packets with fields that the parser cannot read: dropped where a rule or a list asks for such a field, and only there
// (bpf/classify.h).
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

constexpr uint32_t kBehindTags = SLUICE_MATCH_ALL & ~uint32_t{SLUICE_MATCH_VLAN};
constexpr uint32_t kBehindExtensions = SLUICE_MATCH_PROTO | SLUICE_MATCH_PORTS | SLUICE_MATCH_FRAGMENT;

struct Row {
  std::string name;
  Packet packet;
  uint32_t unread;  // enum sluice_match: the fields that cannot be read
};

// A rule for each field, which no packet here matches.
const std::pair<uint32_t, Rule> kRules[] = {{SLUICE_MATCH_ETHERTYPE, Rule().ethertype(0x88b6)},
                                            {SLUICE_MATCH_VLAN, Rule().vlan(4000)},
                                            {SLUICE_MATCH_PROTO, Rule().proto(254)},
                                            {SLUICE_MATCH_SRC, Rule().src("203.0.113.7")},
                                            {SLUICE_MATCH_DST, Rule().dst("203.0.113.7")},
                                            {SLUICE_MATCH_SRC_PORT, Rule().src_port(65000)},
                                            {SLUICE_MATCH_DST_PORT, Rule().dst_port(65000)},
                                            {SLUICE_MATCH_FRAGMENT, Rule().fragment(3)}};

Packet tagged(const std::vector<uint16_t>& ids, uint16_t tpid = 0x8100) {
  Packet packet;
  packet.eth();
  for (const uint16_t id : ids) {
    packet.vlan(id, tpid);
  }
  return packet.ipv4("10.0.0.1", "10.0.0.2").udp(1000, 7777).payload(10);
}
Packet v4(uint16_t fragment = 0) {
  return Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 0, fragment);
}
Packet v6() {
  return Packet().eth().ipv6("2001:db8::1", "2001:db8::2");
}
// Options of IPv4, whose header the builder fills with no-operations.
Packet with_options(const Bytes& options) {
  return Packet()
      .eth()
      .ipv4("10.0.0.1", "10.0.0.2", static_cast<unsigned>(options.size() + 3) / 4)
      .poke(20, options)
      .udp(1000, 7777);
}
// A routing header with that many segments left.
Packet routed(uint8_t segments_left, uint8_t type) {
  return v6().extension(43, 2).poke(2, {type, segments_left}).udp(1000, 7777);
}

class Unreadable : public Programs {
 protected:
  // `dropped`: the verdict where a rule of that action asks for an unread field.
  void check(const Row& row, const char* dropped, bool dropped_by_any_action) {
    for (const uint32_t action :
         {SLUICE_ACTION_DATAPLANE, SLUICE_ACTION_PASS, SLUICE_ACTION_BOTH, SLUICE_ACTION_DROP}) {
      for (auto [field, rule] : kRules) {
        SCOPED_TRACE(row.name + ", field " + std::to_string(field) + ", action " + std::to_string(action));
        const bool drops = dropped_by_any_action || action == SLUICE_ACTION_DROP;
        set_rules({rule.action(action)});
        EXPECT_EQ((row.unread & field) != 0 && drops ? dropped : "dataplane", verdict(row.packet.bytes()));
      }
    }
    set_rules({});
    EXPECT_EQ("dataplane", verdict(row.packet.bytes())) << row.name << ", no rule";
    set_rules({Rule().pass()});
    EXPECT_EQ("pass", verdict(row.packet.bytes())) << row.name << ", a rule that asks for nothing";
    set_rules({});
    block({"203.0.113.7"});
    EXPECT_EQ((row.unread & SLUICE_MATCH_SRC) != 0 ? "unreadable" : "dataplane", verdict(row.packet.bytes()))
        << row.name << ", a blocklist";
    block({});
  }
};

TEST_F(Unreadable, IsDroppedWhereARuleOrTheListAsksForIt) {
  Packet deep = v6().extensions(3, 60);
  const Row rows[] = {
      {"three tags are read", tagged({1, 2, 3}), 0},
      {"four tags", tagged({1, 2, 3, 4}), kBehindTags},
      {"four service tags", tagged({1, 2, 3, 4}, 0x88a8), kBehindTags},
      {"four priority tags", tagged({0, 0, 0, 0}), SLUICE_MATCH_ALL},
      {"eight priority tags", tagged({0, 0, 0, 0, 0, 0, 0, 0}, 0x88a8), SLUICE_MATCH_ALL},
      {"priority tags around an id", tagged({0, 7, 0, 0}), kBehindTags},
      {"eight extension headers are read", v6().extensions(8, 60).udp(1000, 7777), 0},
      {"nine destination options", v6().extensions(9, 60).udp(1000, 7777), kBehindExtensions},
      {"twelve destination options", v6().extensions(12, 60).udp(1000, 7777), kBehindExtensions},
      {"nine hop-by-hop options", v6().extensions(9, 0).tcp(1000, 7777), kBehindExtensions},
      {"nine options, then another protocol", v6().extensions(9, 60).proto(89).payload(8), kBehindExtensions},
      {"nine headers, one of fragments", v6().extensions(8, 60).fragment6(1).udp(1, 7777).poke16(4, 99),
       SLUICE_MATCH_PROTO | SLUICE_MATCH_PORTS | SLUICE_MATCH_FRAGMENT},
      {"too many behind the fragment header", v6().fragment6(1).extensions(8, 60).udp(1, 7777).poke16(4, 99),
       SLUICE_MATCH_PROTO | SLUICE_MATCH_PORTS},
      {"ports out of reach", deep.extension(60, 70).udp(1000, 7777).payload(9), SLUICE_MATCH_PORTS},
      {"an extension header out of reach", v6().extension(60, 70).extension(60).udp(1000, 7777), kBehindExtensions},
      {"GRE out of reach is read", v6().extension(60, 70).proto(47).payload(8), 0},
      {"a first fragment that ends before the ports", v4(0x2000).proto(17).payload(7), SLUICE_MATCH_PORTS},
      {"a first fragment that ends within TCP", v4(0x2000).proto(6).payload(16), SLUICE_MATCH_PORTS},
      {"a first fragment that ends within SCTP", v4(0x2000).proto(132).payload(8), SLUICE_MATCH_PORTS},
      {"a first fragment without a transport header", v4(0x2000).proto(17), SLUICE_MATCH_PORTS},
      {"a first fragment that ends within ICMP", v4(0x2000).proto(1).payload(4), 0},
      {"a first IPv6 fragment that ends before the ports", v6().fragment6(1).proto(17).payload(7), SLUICE_MATCH_PORTS},
      {"a first IPv6 fragment that ends within the chain", v6().fragment6(1).extension(60).poke(1, {1}),
       SLUICE_MATCH_PROTO | SLUICE_MATCH_PORTS},
      {"a first IPv6 fragment without the next header", v6().fragment6(1).proto(60),
       SLUICE_MATCH_PROTO | SLUICE_MATCH_PORTS},
      {"a loose source route", with_options({131, 7, 4, 203, 0, 113, 7}), SLUICE_MATCH_DST},
      {"a strict source route", with_options({137, 7, 4, 203, 0, 113, 7}), SLUICE_MATCH_DST},
      {"a source route behind others", with_options({1, 1, 148, 4, 0, 0, 7, 3, 4, 131, 7, 4, 203, 0, 113, 7}),
       SLUICE_MATCH_DST},
      {"options that go round in circles", with_options({7, 0, 0, 0}), SLUICE_MATCH_DST},
      {"other options", with_options({148, 4, 0, 0, 7, 3, 4, 0}), 0},
      {"a source route behind the end of options", with_options({0, 131, 7, 4}), 0},
      {"a routing header on its last segment", routed(0, 0), 0},
      {"a routing header of type 0", routed(1, 0), SLUICE_MATCH_DST},
      {"a segment routing header", routed(2, 4), SLUICE_MATCH_DST},
      {"MPLS is another protocol", Packet().eth().ethertype(0x8847).payload(46), 0},
      {"an old service tag is another protocol", Packet().eth().vlan(7, 0x9100).payload(46), 0},
      {"IPv4 in IPv6 is another protocol", v6().proto(4).payload(40), 0},
      {"ESP is another protocol", v6().proto(50).payload(40), 0},
      {"no next header", v6(), 0},
  };
  for (const Row& row : rows) {
    check(row, "unreadable", true);
  }
}

TEST_F(Unreadable, LaterFragmentsAreDroppedWhereARuleThatDropsAsksForThePorts) {
  const Row rows[] = {
      {"IPv4 UDP", v4(0x2001).proto(17).payload(16), SLUICE_MATCH_PORTS},
      {"the last of IPv4 TCP", v4(0x0005).proto(6).payload(1), SLUICE_MATCH_PORTS},
      {"IPv4 ICMP", v4(0x2001).icmp(), 0},
      {"IPv6 UDP", v6().fragment6(0x0009).proto(17).payload(16), SLUICE_MATCH_PORTS},
      {"the last of IPv6 SCTP", v6().extension(0).fragment6(0x0010).proto(132).payload(3), SLUICE_MATCH_PORTS},
      {"IPv6 ESP", v6().fragment6(0x0009).proto(50).payload(16), 0},
      {"IPv6, within an extension header", v6().fragment6(0x0009).extension(60).payload(16),
       SLUICE_MATCH_PROTO | SLUICE_MATCH_PORTS},
      {"RFC 3128's second fragment of TCP", v4(0x0001).proto(6).payload(16), SLUICE_MATCH_PORTS},
  };
  for (const Row& row : rows) {
    check(row, "fragment", false);
  }
}

// A rule that asks for readable fields decides, in its place among the others.
TEST_F(Unreadable, AnEarlierRuleDecides) {
  const Bytes options = v6().extensions(9, 60).udp(1000, 7777).bytes();
  set_rules({Rule().src("2001:db8::/32").pass(), Rule().proto(17).dst_port(7777).drop()});
  EXPECT_EQ("pass", verdict(options));
  set_rules({Rule().proto(17).dst_port(7777).drop(), Rule().src("2001:db8::/32").pass()});
  EXPECT_EQ("unreadable", verdict(options));
  set_rules({Rule().src("2001:db9::/32").proto(17).drop(), Rule().src("2001:db8::/32").pass()});
  EXPECT_EQ("pass", verdict(options)) << "the first rule cannot match: it is for another source";

  const Bytes later = v4(0x2001).proto(17).payload(16).bytes();
  set_rules({Rule().fragment(SLUICE_FRAGMENT_LATER).proto(17).pass(), Rule().proto(17).dst_port(53).drop()});
  EXPECT_EQ("pass", verdict(later));
  EXPECT_EQ(1u, rule_hits(0, 0).packets);
  set_rules({Rule().proto(6).dst_port(53).drop()});
  EXPECT_EQ("dataplane", verdict(later)) << "a rule for another protocol";
  set_rules({Rule().proto(17).dst_port(53).pass(), Rule().proto(17).src_port(9).drop(), Rule().dataplane()});
  EXPECT_EQ("fragment", verdict(later)) << "a rule that does not drop is no reason, the next one is";
  set_rules({Rule().proto(17).dst_port(53).pass(), Rule().proto(17).drop()});
  EXPECT_EQ("drop", verdict(later)) << "the second rule does not ask for ports";
}

TEST_F(Unreadable, ARuleAsksForAKindOfFragment) {
  const Bytes whole = v4().udp(1000, 53).bytes();
  const Bytes atomic = v6().fragment6(0).udp(1000, 53).bytes();
  const Bytes first = v4(0x2000).udp(1000, 53).payload(16).poke16(4, 4000).bytes();
  const Bytes first6 = v6().fragment6(1).udp(1000, 53).poke16(4, 4000).bytes();
  const Bytes later = v4(0x0002).proto(17).payload(16).bytes();
  const Bytes later6 = v6().fragment6(0x0010).proto(17).payload(16).bytes();
  struct Kind {
    uint8_t first, last;
    std::string whole, first_one, later;
  };
  const Kind kinds[] = {{0, 0, "drop", "dataplane", "dataplane"},
                        {1, 2, "dataplane", "drop", "drop"},
                        {1, 1, "dataplane", "drop", "dataplane"},
                        {2, 2, "dataplane", "dataplane", "drop"},
                        {0, 1, "drop", "drop", "dataplane"}};
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(std::to_string(kind.first) + ".." + std::to_string(kind.last));
    set_rules({Rule().fragment(kind.first, kind.last).drop()});
    EXPECT_EQ(kind.whole, verdict(whole));
    EXPECT_EQ(kind.whole, verdict(atomic));
    EXPECT_EQ(kind.first_one, verdict(first));
    EXPECT_EQ(kind.first_one, verdict(first6));
    EXPECT_EQ(kind.later, verdict(later));
    EXPECT_EQ(kind.later, verdict(later6));
    EXPECT_EQ("dataplane", verdict(Packet().eth(kBroadcastMac).arp("10.0.0.1", "10.0.0.2").bytes()))
        << "ARP has no fragments";
  }
}

}  // namespace
}  // namespace sluice::bpf_test
