#include "dataplane/net/flow_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

uint32_t Hash(const std::string& packet) {
  return FlowHash(reinterpret_cast<const uint8_t*>(packet.data()), static_cast<uint32_t>(packet.size()));
}

std::string Ipv6Packet(uint16_t port) {
  std::string packet(80, '\0');
  packet[12] = '\x86';
  packet[13] = '\xdd';
  packet[20] = 6;
  packet[37] = 1;
  packet[53] = 2;
  memcpy(&packet[54], &port, sizeof(port));
  return packet;
}

std::string Tagged(std::string packet, int tags) {
  for (int i = 0; i < tags; ++i) {
    packet.insert(12, std::string("\x81\x00\x00\x07", 4));
  }
  return packet;
}

TEST(FlowHash, IsTheSameForAllPacketsOfAFlow) {
  for (const int tags : {0, 1, 2}) {
    EXPECT_EQ(Hash(Tagged(UdpPacket(5, 1), tags)), Hash(Tagged(UdpPacket(5, 99), tags)));
    EXPECT_EQ(Hash(Tagged(UdpPacket(5, 1), tags)), Hash(UdpPacket(5, 1))) << "tags do not count";
  }
  std::string other_ttl = UdpPacket(5, 1);
  other_ttl[22] = 63;
  other_ttl[25] = 9;  // header checksum
  EXPECT_EQ(Hash(other_ttl), Hash(UdpPacket(5, 1)));
}

TEST(FlowHash, IsTheSameForBothDirections) {
  const auto swapped = [](std::string packet, size_t first, size_t second, size_t bytes) {
    std::swap_ranges(packet.begin() + static_cast<ptrdiff_t>(first),
                     packet.begin() + static_cast<ptrdiff_t>(first + bytes),
                     packet.begin() + static_cast<ptrdiff_t>(second));
    return packet;
  };
  const std::string there = UdpPacket(5, 1);
  const std::string back = swapped(swapped(there, 26, 30, 4), 34, 36, 2);
  EXPECT_EQ(Hash(back), Hash(there));
  EXPECT_NE(Hash(swapped(there, 26, 30, 4)), Hash(there)) << "addresses without their ports are another flow";
  EXPECT_EQ(Hash(swapped(swapped(Ipv6Packet(5), 22, 38, 16), 54, 56, 2)), Hash(Ipv6Packet(5)));
  std::string arp = there;
  arp[13] = 6;
  EXPECT_EQ(Hash(swapped(arp, 0, 6, 6)), Hash(arp));
}

TEST(FlowHash, TellsFlowsApart) {
  EXPECT_NE(Hash(UdpPacket(5, 1)), Hash(UdpPacket(6, 1)));
  EXPECT_NE(Hash(Ipv6Packet(5)), Hash(Ipv6Packet(6)));
  std::string tcp = UdpPacket(5, 1);
  tcp[23] = 6;
  EXPECT_NE(Hash(tcp), Hash(UdpPacket(5, 1)));
}

TEST(FlowHash, LeavesPortsOfFragmentsOut) {
  auto fragment = [](uint32_t flow, uint8_t high, uint8_t low) {
    std::string packet = UdpPacket(flow, 1);
    packet[20] = static_cast<char>(high);
    packet[21] = static_cast<char>(low);
    return Hash(packet);
  };
  EXPECT_EQ(fragment(1, 0x20, 0), fragment(2, 0, 185)) << "first and later fragment";
  EXPECT_EQ(fragment(1, 0x40, 0), Hash(UdpPacket(1, 1))) << "don't-fragment is no fragment";
}

TEST(FlowHash, FallsBackToMacsAndStandsAnyLength) {
  std::string arp = UdpPacket(1, 1);
  arp[13] = 6;
  std::string other = arp;
  other[40] = 7;
  EXPECT_EQ(Hash(arp), Hash(other));
  other[11] = 9;
  EXPECT_NE(Hash(arp), Hash(other));
  for (const std::string& packet : {UdpPacket(1, 1), Ipv6Packet(1), Tagged(UdpPacket(1, 1), 2)}) {
    for (size_t length = 0; length <= packet.size(); ++length) {
      const std::string cut(packet.data(), length);  // its own allocation, so that a sanitizer sees every overrun
      Hash(cut);
    }
  }
}

TEST(FlowHash, SpreadsFlowsOverLanes) {
  for (const uint32_t lanes : {2U, 3U, 4U, 7U, 16U}) {
    std::map<uint32_t, int> flows;
    for (uint32_t flow = 0; flow < 1600; ++flow) {
      ++flows[Hash(UdpPacket(flow, 1)) % lanes];
    }
    ASSERT_EQ(flows.size(), lanes);
    for (const auto& [lane, count] : flows) {
      EXPECT_GT(count, 1600 / static_cast<int>(lanes) / 2) << lane << " of " << lanes;
    }
  }
}

}  // namespace
}  // namespace sluice
