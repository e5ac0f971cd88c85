// SPDX-License-Identifier: Apache-2.0
//
// Rules in the BPF programs: each field, ranges and prefixes, first match, hits, and the flip of banks.
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class Rules : public Programs {
 protected:
  std::string udp_to(uint16_t port) {
    return verdict(Packet().eth().ipv4("10.1.2.3", "192.168.7.9").udp(4000, port).bytes());
  }
  std::string from(const std::string& src, const std::string& dst) {
    Packet packet;
    packet.eth();
    src.find(':') == std::string::npos ? packet.ipv4(src, dst) : packet.ipv6(src, dst);
    return verdict(packet.udp(1, 2).bytes());
  }
};

TEST_F(Rules, NoneLeavesTheDefault) {
  EXPECT_EQ("dataplane", udp_to(80));
}

TEST_F(Rules, WithoutAnyFieldMatchesEverything) {
  set_rules({Rule().pass()});
  EXPECT_EQ("pass", udp_to(80));
  EXPECT_EQ("pass", verdict(Packet().eth().payload(46).bytes()));
}

TEST_F(Rules, AllThreeActions) {
  set_rules({Rule().dst_port(1).dataplane(), Rule().dst_port(2).pass(), Rule().dst_port(3).drop()});
  EXPECT_EQ("dataplane", udp_to(1));
  EXPECT_EQ("pass", udp_to(2));
  EXPECT_EQ("drop", udp_to(3));
}

TEST_F(Rules, AnUnknownActionPasses) {
  set_rules({Rule().action(77)});
  EXPECT_EQ("pass", udp_to(1));
}

TEST_F(Rules, FirstMatchWins) {
  set_rules({Rule().dst_port(80).pass(), Rule().proto(17).drop(), Rule().dataplane()});
  EXPECT_EQ("pass", udp_to(80));
  EXPECT_EQ("drop", udp_to(81));
  EXPECT_EQ("dataplane", verdict(Packet().eth().payload(46).bytes()));
}

TEST_F(Rules, AllFlaggedFieldsMustMatch) {
  const Packet packet = Packet().eth().vlan(5).ipv4("10.1.2.3", "192.168.7.9").tcp(1000, 22);
  const auto full = [] {
    return Rule()
        .ethertype(0x0800)
        .vlan(5)
        .proto(6)
        .src("10.1.2.3")
        .dst("192.168.7.9")
        .src_port(1000)
        .dst_port(22)
        .drop();
  };
  const std::vector<std::pair<std::string, Rule>> wrong = {
      {"ethertype", full().ethertype(0x86dd)}, {"vlan", full().vlan(6)},           {"proto", full().proto(17)},
      {"src", full().src("10.1.2.4")},         {"dst", full().dst("192.168.7.8")}, {"src port", full().src_port(1001)},
      {"dst port", full().dst_port(23)}};
  set_rules({full()});
  EXPECT_EQ("drop", verdict(packet.bytes()));
  for (const auto& [field, rule] : wrong) {
    SCOPED_TRACE(field);
    set_rules({rule});
    EXPECT_EQ("dataplane", verdict(packet.bytes()));
  }
}

TEST_F(Rules, PortRangesAreInclusive) {
  set_rules({Rule().dst_port(100, 200).drop()});
  EXPECT_EQ("dataplane", udp_to(99));
  EXPECT_EQ("drop", udp_to(100));
  EXPECT_EQ("drop", udp_to(200));
  EXPECT_EQ("dataplane", udp_to(201));
  set_rules({Rule().src_port(3999, 4000).drop()});
  EXPECT_EQ("drop", udp_to(1));
  set_rules({Rule().src_port(4001, 65535).drop()});
  EXPECT_EQ("dataplane", udp_to(1));
}

TEST_F(Rules, Ipv4Prefixes) {
  set_rules({Rule().src("10.0.0.0/8").dst("192.168.0.0/21").drop()});
  EXPECT_EQ("drop", from("10.255.0.1", "192.168.7.255"));
  EXPECT_EQ("dataplane", from("10.255.0.1", "192.168.8.0"));
  EXPECT_EQ("dataplane", from("11.0.0.1", "192.168.7.255"));
  set_rules({Rule().dst("0.0.0.0/0").drop()});
  EXPECT_EQ("drop", from("1.2.3.4", "5.6.7.8"));
  EXPECT_EQ("dataplane", from("::1", "::2")) << "any IPv4 is not IPv6";
}

TEST_F(Rules, Ipv6PrefixesReachEveryWord) {
  for (unsigned bits = 0; bits <= 128; ++bits) {
    SCOPED_TRACE(bits);
    Bytes inside(16, 0), outside(16, 0);
    if (bits < 128) {
      inside[bits / 8] ^= 0x80 >> (bits % 8);
    }
    if (bits > 0) {
      outside[(bits - 1) / 8] ^= 0x80 >> ((bits - 1) % 8);
    }
    set_rules({Rule().dst("::/" + std::to_string(bits)).drop()});
    char text[INET6_ADDRSTRLEN];
    EXPECT_EQ("drop", from("::1", inet_ntop(AF_INET6, inside.data(), text, sizeof(text))));
    if (bits == 0) {
      continue;  // no address is outside the prefix
    }
    EXPECT_EQ("dataplane", from("::1", inet_ntop(AF_INET6, outside.data(), text, sizeof(text))));
  }
  set_rules({Rule().src("::/0").drop()});
  EXPECT_EQ("dataplane", from("1.2.3.4", "5.6.7.8")) << "any IPv6 is not IPv4";
}

TEST_F(Rules, ABankThatDoesNotExistHasNoRules) {
  set_rules({Rule().drop()});
  config_.rule_bank = 2;
  apply();
  EXPECT_EQ("dataplane", udp_to(80));
}

TEST_F(Rules, FlippingTheBankSwapsTheSet) {
  set_rules({Rule().drop()}, 1);
  set_rules({Rule().pass()}, 0);
  EXPECT_EQ("pass", udp_to(80));
  config_.rule_bank = 1;
  apply();
  EXPECT_EQ("drop", udp_to(80));
}

// XDP passes it and clsact sees it again: one hit (bpf/count.h).
TEST_F(Rules, APassedPacketHitsItsRuleOnceOverBothHooks) {
  set_rules({Rule().dst_port(1).drop(), Rule().dst_port(80).pass()}, 1);
  const Bytes packet = Packet().eth().ipv4("10.1.2.3", "192.168.7.9").udp(4000, 80).bytes();
  EXPECT_EQ("PASS -", xdp(packet));
  EXPECT_EQ(0u, rule_hits(1, 1).packets);
  EXPECT_EQ("OK PASS", tc(packet));
  EXPECT_EQ(1u, rule_hits(1, 1).packets);
  EXPECT_EQ(packet.size(), rule_hits(1, 1).bytes);
  EXPECT_EQ(0u, rule_hits(1, 0).packets);
}

TEST_F(Rules, ADropHitsItsRuleInXdp) {
  set_rules({Rule().dst_port(80).drop()});
  const Bytes packet = Packet().eth().ipv4("10.1.2.3", "192.168.7.9").udp(4000, 80).bytes();
  EXPECT_EQ("DROP DROP", xdp(packet));
  EXPECT_EQ(1u, rule_hits(0, 0).packets);
  EXPECT_EQ(packet.size(), rule_hits(0, 0).bytes);
}

TEST_F(Rules, EveryPort) {
  set_rules({Rule().dst_port(1024, 49151).drop(), Rule().dst_port(22).pass()});
  Bytes packet = Packet().eth().ipv4("10.1.2.3", "192.168.7.9").udp(4000, 80).bytes();
  for (unsigned port = 0; port <= 65535; ++port) {
    Packet::put16(packet, 36, port);
    const char* want = port == 22 ? "PASS -" : port >= 1024 && port <= 49151 ? "DROP DROP" : "PASS NO_SOCKET";
    ASSERT_EQ(want, xdp(packet)) << port;
  }
}

TEST_F(Rules, EveryEthertype) {
  set_rules({Rule().ethertype(0x88cc).drop()});
  Bytes packet = Packet().eth().payload(46).bytes();  // the payload is no valid header of any protocol
  for (unsigned type = 0; type <= 65535; ++type) {
    Packet::put16(packet, 12, type);
    const bool parsed = type == 0x0800 || type == 0x86dd || type == 0x0806;
    const char* want = parsed ? "DROP MALFORMED" : type == 0x88cc ? "DROP DROP" : "PASS NO_SOCKET";
    ASSERT_EQ(want, xdp(packet)) << type;
  }
}

TEST_F(Rules, EveryProtocol) {
  for (unsigned number = 0; number <= 255; ++number) {
    SCOPED_TRACE(number);
    set_rules({Rule().proto(number).drop()});
    // Valid for each protocol that the parser reads: TCP's data offset of 20 bytes, UDP's length of 40 bytes.
    Bytes packet =
        Packet().eth().ipv4("1.1.1.1", "2.2.2.2").proto(number).payload(40).poke(4, {0, 40}).poke(12, {0x50}).bytes();
    EXPECT_EQ("drop", verdict(packet));
  }
}

}  // namespace
}  // namespace sluice::bpf_test
