// SPDX-License-Identifier: Apache-2.0
//
// Takes every path through the parser. A packet counts as understood if a rule on its innermost field matches it, in
// XDP as in clsact; unreadable_test.cc has the packets that are not.
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

struct Row {
  std::string name;
  Packet packet;
  std::vector<RuleConfig> rules;
  std::string verdict;
};

class Parse : public Programs {
 protected:
  void check(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      SCOPED_TRACE(row.name);
      set_rules(row.rules);
      EXPECT_EQ(row.verdict, verdict(row.packet.bytes()));
    }
  }
};

Packet v4() {
  return Packet().eth().ipv4("10.0.0.1", "10.0.0.2");
}
Packet v6() {
  return Packet().eth().ipv6("2001:db8::1", "2001:db8::2");
}
Rule port53() {
  return Rule().dst_port(53).drop();
}

TEST_F(Parse, LinkLayer) {
  const Rule vlan10 = Rule().vlan(10).drop();
  check({
      {"unknown ethertype", Packet().eth().ethertype(0x88cc).payload(50), {Rule().ethertype(0x88cc).drop()}, "drop"},
      {"unknown ethertype, header only", Packet().eth().ethertype(0x88cc), {Rule().ethertype(0x88cc).drop()}, "drop"},
      {"802.3 length instead of an ethertype",
       Packet().eth().ethertype(38).payload(38),
       {Rule().ethertype(38).drop()},
       "drop"},
      {"untagged is not vlan 0", v4().udp(1, 53), {Rule().vlan(0).drop()}, "dataplane"},
      {"priority tag is vlan 0", Packet().eth().vlan(0).payload(46), {Rule().vlan(0).drop()}, "drop"},
      {"802.1Q", Packet().eth().vlan(10).payload(46), {vlan10}, "drop"},
      {"802.1ad", Packet().eth().vlan(10, 0x88a8).payload(46), {vlan10}, "drop"},
      {"the id is that of the outermost tag but priority tags",
       Packet().eth().vlan(0).vlan(0x6000).vlan(10).payload(46),
       {vlan10},
       "drop"},
      {"a priority tag behind it is none of its", Packet().eth().vlan(10).vlan(0).payload(46), {vlan10}, "drop"},
      {"QinQ: the outer id counts", Packet().eth().vlan(10, 0x88a8).vlan(20).payload(46), {vlan10}, "drop"},
      {"QinQ: the inner id does not", Packet().eth().vlan(20, 0x88a8).vlan(10).payload(46), {vlan10}, "dataplane"},
      {"priority bits are not the id", Packet().eth().vlan(0xe00a).payload(46), {vlan10}, "drop"},
      {"IPv4 behind one tag", Packet().eth().vlan(1).ipv4("1.1.1.1", "2.2.2.2").udp(1, 53), {port53()}, "drop"},
      {"IPv4 behind two tags",
       Packet().eth().vlan(1, 0x88a8).vlan(2).ipv4("1.1.1.1", "2.2.2.2").udp(1, 53),
       {port53()},
       "drop"},
      {"IPv6 behind three tags",
       Packet().eth().vlan(1).vlan(2).vlan(3).ipv6("::1", "::2").udp(1, 53),
       {port53()},
       "drop"},
  });
}

TEST_F(Parse, Ipv4) {
  check({
      {"TCP", v4().tcp(1, 53), {Rule().proto(6).dst_port(53).drop()}, "drop"},
      {"TCP with options", v4().tcp(1, 53, 10), {port53()}, "drop"},
      {"UDP", v4().udp(1, 53).payload(20), {Rule().proto(17).dst_port(53).drop()}, "drop"},
      {"UDP, padded to the Ethernet minimum", v4().udp(1, 53).padding(18), {port53()}, "drop"},
      {"SCTP", v4().sctp(1, 53), {Rule().proto(132).dst_port(53).drop()}, "drop"},
      {"UDP-Lite", v4().proto(136).payload(8).poke16(2, 53), {port53()}, "drop"},
      {"ICMP", v4().icmp(), {Rule().proto(1).drop()}, "drop"},
      {"ICMP has no ports", v4().icmp(), {Rule().dst_port(0, 65535).drop()}, "dataplane"},
      {"GRE, which we do not look into", v4().proto(47).payload(8), {Rule().proto(47).drop()}, "drop"},
      {"ICMPv6 over IPv4 is just a number", v4().proto(58), {Rule().proto(58).drop()}, "drop"},
      {"options", Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 3).udp(1, 53), {port53()}, "drop"},
      {"ten words of options", Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 10).tcp(1, 53), {port53()}, "drop"},
      {"first fragment has ports",
       Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 0, 0x2000).udp(1, 53).payload(16).poke16(4, 4000),
       {port53()},
       "drop"},
      {"first fragment may end within TCP options",
       Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 0, 0x2000).tcp(1, 53).payload(4).poke(12, {0xf0}),
       {port53()},
       "drop"},
      {"later fragment has a protocol",
       Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 0, 0x2001).udp(1, 53),
       {Rule().proto(17).drop()},
       "drop"},
      {"later fragment may be tiny",
       Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 0, 0x0001).proto(6).payload(1),
       {Rule().proto(6).drop()},
       "drop"},
      {"don't-fragment is no fragment",
       Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 0, 0x4000).udp(1, 53),
       {port53()},
       "drop"},
  });
}

TEST_F(Parse, Ipv6) {
  Packet eight = v6(), nine = v6();
  for (int i = 0; i < 8; ++i) {
    eight.extension(60);
  }
  for (int i = 0; i < 9; ++i) {
    nine.extension(60);
  }
  check({
      {"TCP", v6().tcp(1, 53), {port53()}, "drop"},
      {"UDP", v6().udp(1, 53).payload(3), {port53()}, "drop"},
      {"UDP length 0 is a jumbogram", v6().udp(1, 53).poke16(4, 0), {port53()}, "drop"},
      {"SCTP", v6().sctp(1, 53), {port53()}, "drop"},
      {"ICMPv6 echo", v6().icmp6(), {Rule().proto(58).drop()}, "drop"},
      {"ICMP over IPv6 is just a number", v6().proto(1), {Rule().proto(1).drop()}, "drop"},
      {"no next header", v6(), {Rule().proto(59).drop()}, "drop"},
      {"ESP ends the walk", v6().proto(50).payload(8), {Rule().proto(50).drop()}, "drop"},
      {"hop-by-hop", v6().extension(0).udp(1, 53), {port53()}, "drop"},
      {"hop-by-hop, 24 bytes", v6().extension(0, 2).udp(1, 53), {port53()}, "drop"},
      {"payload length 0 before hop-by-hop", v6().poke16(4, 0).extension(0).udp(1, 53), {port53()}, "drop"},
      {"routing", v6().extension(43, 2).tcp(1, 53), {port53()}, "drop"},
      {"destination options", v6().extension(60, 1).tcp(1, 53), {port53()}, "drop"},
      {"AH counts in 4 bytes", v6().ah(4).tcp(1, 53), {port53()}, "drop"},
      {"all of them",
       v6().extension(0).extension(60).extension(43).fragment6(0).ah().extension(60).tcp(1, 53),
       {port53()},
       "drop"},
      {"eight extension headers", eight.tcp(1, 53), {port53()}, "drop"},
      {"nine: still an address", nine, {Rule().dst("2001:db8::2").drop()}, "drop"},
      {"atomic fragment", v6().fragment6(0).udp(1, 53), {port53()}, "drop"},
      {"first fragment has ports", v6().fragment6(0x0001).udp(1, 53).poke16(4, 4000), {port53()}, "drop"},
      {"later fragment has a protocol", v6().fragment6(0x0009).udp(1, 53), {Rule().proto(17).drop()}, "drop"},
  });
}

TEST_F(Parse, Arp) {
  check({
      {"ARP", Packet().eth().arp("10.0.0.1", "10.0.0.2"), {Rule().ethertype(0x0806).drop()}, "drop"},
      {"ARP addresses are not IP addresses",
       Packet().eth(kBroadcastMac).arp("10.0.0.1", "10.0.0.2"),
       {Rule().dst("10.0.0.2").drop(), Rule().src("10.0.0.1").drop()},
       "dataplane"},
      {"ARP of another kind",
       Packet().eth(kBroadcastMac).ethertype(0x0806).payload(40).poke(14, {0, 6, 8, 0, 2, 4}),
       {},
       "dataplane"},
  });
}

TEST_F(Parse, Malformed) {
  check({
      {"one tag, cut", Packet().eth().vlan(10).cut(3), {}, "malformed"},
      {"second tag, cut", Packet().eth().vlan(10).vlan(20).cut(0), {}, "malformed"},
      {"IPv4 header cut", v4().cut(19), {}, "malformed"},
      {"no IPv4 header at all", v4().cut(0), {}, "malformed"},
      {"IPv4 of version 5", v4().poke(0, {0x55}).udp(1, 2), {}, "malformed"},
      {"IHL 4", v4().poke(0, {0x44}).udp(1, 2), {}, "malformed"},
      {"IHL 4 before a protocol we do not know", v4().poke(0, {0x44}).proto(47).payload(8), {}, "malformed"},
      {"IHL 0", v4().poke(0, {0x40}).proto(47).payload(8), {}, "malformed"},
      {"IHL beyond the packet", v4().poke(0, {0x4f}).udp(1, 2), {}, "malformed"},
      {"total length below the header", v4().poke16(2, 19).udp(1, 2), {}, "malformed"},
      {"total length 0", v4().poke16(2, 0).udp(1, 2), {}, "malformed"},
      {"total length beyond the frame", v4().poke16(2, 29).udp(1, 2), {}, "malformed"},
      {"UDP header in the padding", v4().poke16(2, 27).udp(1, 2).padding(20), {}, "malformed"},
      {"UDP length 7", v4().udp(1, 2).poke16(4, 7), {}, "malformed"},
      {"UDP length 0 over IPv4", v4().udp(1, 2).poke16(4, 0), {}, "malformed"},
      {"UDP length beyond the packet", v4().udp(1, 2).poke16(4, 9).padding(8), {}, "malformed"},
      {"TCP header truncated", v4().proto(6).payload(19), {}, "malformed"},
      {"TCP data offset 4", v4().tcp(1, 2).poke(12, {0x40}), {}, "malformed"},
      {"TCP options beyond the packet", v4().tcp(1, 2).poke(12, {0x60}).padding(8), {}, "malformed"},
      {"SCTP header truncated", v4().proto(132).payload(11), {}, "malformed"},
      {"UDP-Lite header truncated", v4().proto(136).payload(7), {}, "malformed"},
      {"ICMP header truncated", v4().proto(1).payload(7), {}, "malformed"},
      {"IPv6 header cut", v6().cut(39), {}, "malformed"},
      {"IPv6 of version 4", v6().poke(0, {0x40}).udp(1, 2), {}, "malformed"},
      {"payload length beyond the frame", v6().poke16(4, 9).udp(1, 2), {}, "malformed"},
      {"payload length 0 before UDP", v6().poke16(4, 0).udp(1, 2), {}, "malformed"},
      {"extension header cut", v6().proto(60).payload(7), {}, "malformed"},
      {"extension header beyond the packet", v6().extension(60).poke(1, {1}).payload(4), {}, "malformed"},
      {"AH beyond the packet", v6().ah().poke(1, {60}), {}, "malformed"},
      {"fragment header cut", v6().proto(44).payload(7), {}, "malformed"},
      {"UDP truncated behind extensions", v6().extension(0).proto(17).payload(7), {}, "malformed"},
      {"ICMPv6 truncated", v6().proto(58).payload(7), {}, "malformed"},
      {"neighbour solicitation without its target", v6().icmp6(135).payload(15), {}, "malformed"},
      {"ARP header cut", Packet().eth().arp("10.0.0.1", "10.0.0.2").cut(7), {}, "malformed"},
      {"ARP addresses cut", Packet().eth().arp("10.0.0.1", "10.0.0.2").cut(27), {}, "malformed"},
      {"ARP address lengths beyond the frame",
       Packet().eth().arp("10.0.0.1", "10.0.0.2").poke(4, {255, 255}),
       {},
       "malformed"},
      {"no rule saves it", v4().poke(0, {0x44}).udp(1, 2), {Rule().pass()}, "malformed"},
  });
}

}  // namespace
}  // namespace sluice::bpf_test
