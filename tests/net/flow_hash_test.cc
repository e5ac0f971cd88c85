#include "dataplane/net/flow_hash.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "tests/lib/packet.h"

namespace sluice {
namespace {

uint32_t Hash(Bytes frame) {
  frame.shrink_to_fit();  // so that a sanitizer sees a read past the end
  const auto length_bytes = static_cast<uint32_t>(frame.size());
  return FlowHash(frame.data(), length_bytes, Parse(frame.data(), length_bytes));
}
uint32_t Hash(const Packet& packet) {
  return Hash(packet.bytes());
}

struct Ends {
  const char* source = "10.0.0.1";
  const char* destination = "10.0.0.2";
  uint16_t source_port = 5;
  uint16_t destination_port = 53;

  Ends Reversed() const { return {destination, source, destination_port, source_port}; }
};
constexpr Ends kV6Ends = {"2001:db8::1", "fd00::2:3", 5, 53};

Packet Udp4(const Ends& ends = {}, unsigned option_words = 0) {
  return Packet().eth().ipv4(ends.source, ends.destination, option_words).udp(ends.source_port, ends.destination_port);
}
Packet Tcp6(const Ends& ends = kV6Ends) {
  return Packet().eth().ipv6(ends.source, ends.destination).tcp(ends.source_port, ends.destination_port);
}

TEST(FlowHash, IsTheSameForAllPacketsOfAFlow) {
  const uint32_t hash = Hash(Udp4());
  EXPECT_EQ(Hash(Udp4().payload(100)), hash);
  EXPECT_EQ(Hash(Udp4().padding(10)), hash);
  EXPECT_EQ(Hash(Udp4({}, 3)), hash) << "IP options do not count";
  EXPECT_EQ(Hash(Packet().eth().ipv4("10.0.0.1", "10.0.0.2").poke(8, {1, 17, 7, 7}).udp(5, 53)), hash)
      << "TTL and checksum do not count";
  EXPECT_EQ(Hash(Packet().eth().vlan(7).ipv4("10.0.0.1", "10.0.0.2").udp(5, 53)), hash) << "tags do not count";
  EXPECT_EQ(Hash(Packet().eth().vlan(7, 0x88a8).vlan(8).ipv4("10.0.0.1", "10.0.0.2").udp(5, 53)), hash);
}

TEST(FlowHash, IsTheSameWithAndWithoutExtensionHeaders) {
  const Packet options =
      Packet().eth().ipv6(kV6Ends.source, kV6Ends.destination).extension(0).extension(60, 2).tcp(5, 53);
  EXPECT_EQ(Hash(options), Hash(Tcp6()));
  EXPECT_EQ(Hash(Packet().eth().ipv6(kV6Ends.source, kV6Ends.destination).fragment6(0).tcp(5, 53)), Hash(Tcp6()))
      << "an atomic fragment is no fragment";
}

TEST(FlowHash, IsTheSameForBothDirections) {
  EXPECT_EQ(Hash(Udp4(Ends().Reversed())), Hash(Udp4()));
  EXPECT_EQ(Hash(Tcp6(kV6Ends.Reversed())), Hash(Tcp6()));
  EXPECT_EQ(Hash(Packet().eth(kOtherMac, kPeerMac).arp("10.0.0.1", "10.0.0.2")),
            Hash(Packet().eth(kPeerMac, kOtherMac).arp("10.0.0.1", "10.0.0.2")));
  Ends other;
  std::swap(other.source, other.destination);
  EXPECT_NE(Hash(Udp4(other)), Hash(Udp4())) << "with only the addresses swapped it is another flow";
}

TEST(FlowHash, TellsFlowsApart) {
  EXPECT_NE(Hash(Udp4({.source_port = 6})), Hash(Udp4()));
  EXPECT_NE(Hash(Udp4({.destination = "10.0.0.3"})), Hash(Udp4()));
  EXPECT_NE(Hash(Tcp6({kV6Ends.source, kV6Ends.destination, 5, 54})), Hash(Tcp6()));
  EXPECT_NE(Hash(Tcp6({kV6Ends.source, "fd00::2:4", 5, 53})), Hash(Tcp6()));
  EXPECT_NE(Hash(Packet().eth().ipv4("10.0.0.1", "10.0.0.2").tcp(5, 53)), Hash(Udp4())) << "the protocol counts";
  EXPECT_NE(Hash(Packet().eth().ipv4("10.0.0.1", "10.0.0.2").sctp(6, 53)),
            Hash(Packet().eth().ipv4("10.0.0.1", "10.0.0.2").sctp(5, 53)));
}

TEST(FlowHash, LeavesPortsOfFragmentsOut) {
  const auto fragment = [](uint16_t field, uint16_t port) {
    return Hash(Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 0, field).udp(port, 53));
  };
  EXPECT_EQ(fragment(0x2000, 1), fragment(185, 2)) << "first and later fragments have one hash";
  EXPECT_NE(fragment(0x2000, 1), Hash(Udp4({.source_port = 1})));
  EXPECT_EQ(fragment(0x4000, 1), Hash(Udp4({.source_port = 1}))) << "don't-fragment is no fragment";
}

TEST(FlowHash, IsOneForAllFragmentsOfAnIpv6Packet) {
  const auto ip = [] { return Packet().eth().ipv6(kV6Ends.source, kV6Ends.destination); };
  const uint32_t first = Hash(ip().fragment6(1).extension(60).udp(5, 53));
  EXPECT_EQ(Hash(ip().fragment6(8 | 1).proto(60).payload(32)), first);
  EXPECT_EQ(Hash(ip().fragment6(64).proto(60).payload(7)), first);
}

TEST(FlowHash, FallsBackToMacsAndEthertype) {
  const Packet arp = Packet().eth().arp("10.0.0.1", "10.0.0.2");
  EXPECT_EQ(Hash(Packet().eth().arp("10.0.0.1", "10.0.0.3")), Hash(arp));
  EXPECT_EQ(Hash(Packet().eth().vlan(9).arp("10.0.0.1", "10.0.0.3")), Hash(arp)) << "tags do not count";
  EXPECT_NE(Hash(Packet().eth(kOtherMac).arp("10.0.0.1", "10.0.0.2")), Hash(arp));
  EXPECT_NE(Hash(Packet().eth().ethertype(0x88cc).payload(28)), Hash(arp));
  const Packet unreadable = Packet().eth().ipv4("10.0.0.1", "10.0.0.2").poke16(2, 0).udp(1, 2);
  EXPECT_EQ(Hash(Packet().eth().ipv4("10.0.0.9", "10.0.0.2").poke16(2, 0).udp(3, 4)), Hash(unreadable));
  EXPECT_NE(Hash(Packet().eth(kOtherMac).ipv4("10.0.0.1", "10.0.0.2").poke16(2, 0).udp(1, 2)), Hash(unreadable));
}

TEST(FlowHash, IsNeverZeroForFramesCutAnywhere) {
  for (const Packet& packet : {Udp4(), Tcp6(), Packet().eth().vlan(7).vlan(8).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2)}) {
    const Bytes whole = packet.bytes();
    for (size_t length = 0; length <= whole.size(); ++length) {
      ASSERT_NE(Hash(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))), 0U) << length;
    }
  }
}

TEST(FlowHash, SpreadsFlowsOverLanes) {
  for (const uint32_t lanes : {2U, 3U, 4U, 7U, 16U}) {
    std::map<uint32_t, int> flows;
    for (uint16_t port = 0; port < 1600; ++port) {
      ++flows[Hash(Udp4({.source_port = port})) % lanes];
    }
    ASSERT_EQ(flows.size(), lanes);
    for (const auto& [lane, count] : flows) {
      EXPECT_GT(count, 1600 / static_cast<int>(lanes) / 2) << lane << " of " << lanes;
    }
  }
}

}  // namespace
}  // namespace sluice
