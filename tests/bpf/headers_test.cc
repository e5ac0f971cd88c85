// SPDX-License-Identifier: Apache-2.0
//
// Compares the BPF parser with the dataplane's (dataplane/net/headers.h): a packet is malformed or unreadable to one
// exactly if it is unreadable to the other, and a rule made from a packet's Headers matches the packet.
#include "dataplane/net/headers.h"

#include <random>

#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

Headers parse(const Bytes& frame) {
  return Parse(frame.data(), static_cast<uint32_t>(frame.size()));
}

Packet v4(unsigned option_words = 0, uint16_t fragment = 0) {
  return Packet().eth().ipv4("10.0.0.1", "10.0.0.2", option_words, fragment);
}
Packet v6() {
  return Packet().eth().ipv6("2001:db8::1", "2001:db8::2");
}

const std::pair<const char*, Packet> kPackets[] = {
    {"UDP", v4().udp(1000, 53).payload(18)},
    {"TCP", v4().tcp(1000, 53, 3).payload(1)},
    {"SCTP", v4().sctp(1000, 53)},
    {"UDP-Lite", v4().proto(136).payload(8).poke16(0, 1000).poke16(2, 53)},
    {"ICMP", v4().icmp()},
    {"GRE", v4().proto(47).payload(8)},
    {"IPv4 options", v4(10).udp(1000, 53)},
    {"first fragment", v4(0, 0x2000).udp(1000, 53).payload(8).poke16(4, 4000)},
    {"later fragment", v4(0, 0x2001).proto(17).payload(9)},
    {"IPv6 UDP", v6().udp(1000, 53).payload(18)},
    {"IPv6 TCP", v6().tcp(1000, 53)},
    {"echo request", v6().icmp6(128)},
    {"IPv6 extensions", v6().extension(0).extension(60, 2).extension(43).fragment6(0).ah().tcp(1000, 53)},
    {"first fragment of IPv6", v6().fragment6(1).extension(60).udp(1000, 53)},
    {"later fragment of IPv6", v6().fragment6(9).proto(17).payload(8)},
    {"jumbogram", v6().poke16(4, 0).extension(0).udp(1000, 53)},
    {"no next header", v6()},
    {"tag", Packet().eth().vlan(0xe007).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53)},
    {"QinQ", Packet().eth().vlan(7, 0x88a8).vlan(8).ipv6("::1", "::2").tcp(1000, 53)},
    {"three tags", Packet().eth().vlan(1).vlan(2).vlan(3).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53)},
    {"priority tags", Packet().eth().vlan(0).vlan(0).vlan(7).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53)},
    {"unknown ethertype", Packet().eth().ethertype(0x88cc).payload(46)},
};

class HeadersInBpf : public Programs {};

TEST_F(HeadersInBpf, RulesOfTheHeadersFindThePacket) {
  for (const auto& [name, packet] : kPackets) {
    SCOPED_TRACE(name);
    const Bytes frame = packet.bytes();
    const Headers headers = parse(frame);
    ASSERT_NE(headers.network, Network::kUnreadable);
    Rule all = Rule().ethertype(headers.ethertype);
    Rule ports = Rule().dst_port(0, 65535);
    if (headers.has_ip()) {
      all = all.proto(headers.protocol);
    }
    if (headers.vlan_tags > 0) {
      all = all.vlan(headers.vlan);
    }
    if (headers.has_ports()) {
      const auto& ours = HeaderAt<Ports>(frame.data(), headers.l4_offset);
      all = all.src_port(ours.source.host()).dst_port(ours.destination.host());
    }
    set_rules({all.drop()});
    EXPECT_EQ("drop", verdict(frame));
    set_rules({ports.drop()});
    const char* without = headers.fragment == Fragment::kLater ? "fragment" : "dataplane";
    EXPECT_EQ(headers.has_ports() ? "drop" : without, verdict(frame));
  }
}

// Returns true if the packet has a body that only the BPF parser reads: ARP or neighbour discovery.
bool has_body(const Bytes& frame, const Headers& headers) {
  const bool icmp6 = headers.network == Network::kIpv6 && headers.protocol == SLUICE_PROTO_ICMPV6 &&
                     headers.fragment != Fragment::kLater;
  return headers.ethertype == SLUICE_ETHERTYPE_ARP || (icmp6 && frame[headers.l4_offset] >= 133);
}

TEST_F(HeadersInBpf, MalformedOrUnreadableIsUnreadable) {
  // Every packet has ports, or has none for certain, or is unreadable. Later fragments are not dropped on its behalf.
  set_rules({Rule().dst_port(0, 65535).dataplane()});
  std::mt19937 random(20261129);
  int unreadable = 0;
  int readable = 0;
  for (int round = 0; round < 10'000; ++round) {
    const auto& [name, packet] = kPackets[random() % std::size(kPackets)];
    Bytes frame = packet.bytes();
    for (uint32_t flips = random() % 4; flips > 0; --flips) {
      // The first 60 bytes behind the MACs hold the types and lengths. One flipped bit also tests their upper bits.
      frame[12 + random() % std::min<size_t>(frame.size() - 12, 60)] ^= static_cast<uint8_t>(1U << random() % 8);
    }
    if (random() % 4 == 0) {
      frame.resize(14 + random() % (frame.size() - 13));
    }
    const Headers headers = parse(frame);
    if (has_body(frame, headers)) {
      continue;
    }
    const std::string said = xdp(frame);
    const bool dropped = said == "DROP MALFORMED" || said == "DROP UNREADABLE";
    ASSERT_EQ(dropped, headers.network == Network::kUnreadable) << name << ", round " << round << ": " << said;
    (dropped ? unreadable : readable) += 1;
  }
  EXPECT_GT(unreadable, 2000);
  EXPECT_GT(readable, 2000);
}

}  // namespace
}  // namespace sluice::bpf_test
