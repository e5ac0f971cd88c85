// Compares the product's checksums with the packet builder's, which adds two bytes at a time (tests/lib/packet.h).
#include "dataplane/net/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/lib/packet.h"

namespace sluice {
namespace {

Bytes RandomBytes(std::mt19937& random, size_t size) {
  Bytes bytes(size);
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random());
  }
  return bytes;
}

TEST(Checksum, SumEqualsTheSlowOne) {
  std::mt19937 random(1);
  for (size_t size = 0; size < 200; ++size) {
    for (int round = 0; round < 20; ++round) {
      const Bytes bytes = RandomBytes(random, size);
      ASSERT_EQ(Fold(Sum(bytes.data(), bytes.size())).host(), OnesSum(bytes)) << size;
    }
  }
}

TEST(Checksum, SumCarriesEverything) {
  for (const size_t size : {1, 2, 3, 7, 8, 9, 15, 16, 64, 1500, 9000}) {
    const Bytes ones(size, 0xff);
    EXPECT_EQ(Fold(Sum(ones.data(), size)).host(), OnesSum(ones)) << size;
    const Bytes zeros(size, 0);
    EXPECT_EQ(Fold(Sum(zeros.data(), size)), be16(0)) << size;
  }
}

TEST(Checksum, SumsOfPartsAddUp) {
  std::mt19937 random(2);
  const Bytes bytes = RandomBytes(random, 101);
  for (size_t cut = 0; cut <= bytes.size(); cut += 2) {
    const uint64_t first = Sum(bytes.data(), cut);
    EXPECT_EQ(Fold(Sum(bytes.data() + cut, bytes.size() - cut, first)).host(), OnesSum(bytes)) << cut;
  }
}

TEST(Checksum, FoldCarriesAtEveryWidth) {
  EXPECT_EQ(Fold(0).wire(), 0);
  EXPECT_EQ(Fold(0xffff).wire(), 0xffff);
  EXPECT_EQ(Fold(0x10000).wire(), 1);
  EXPECT_EQ(Fold(0xffffffff).wire(), 0xffff);
  EXPECT_EQ(Fold(0x100000000).wire(), 1);
  EXPECT_EQ(Fold(0xffffffff00000001).wire(), 1) << "1 + 0xffff is 1, since 0xffff is the other zero";
  EXPECT_EQ(Fold(0xffffffffffffffff).wire(), 0xffff);
  EXPECT_EQ(Plus(0xffffffffffffffff, 1), 1U);
  EXPECT_EQ(Plus(0xffffffffffffffff, 0xffffffffffffffff), 0xffffffffffffffffU);
}

Packet PacketOf(bool ipv6, bool tcp) {
  Packet packet = Packet().eth();
  packet = ipv6 ? packet.ipv6("2001:db8::1", "fd00:1234:5678:9abc:def0:1122:3344:5566")
                : packet.ipv4("192.0.2.1", "198.51.100.77");
  return tcp ? packet.tcp(1000, 80) : packet.udp(1000, 53);
}

TEST(Checksum, PseudoHeadersOfBothFamilies) {
  for (const bool ipv6 : {false, true}) {
    for (const bool tcp : {false, true}) {
      for (const size_t payload : {0, 1, 255, 256, 1000, 60'000}) {
        const Bytes partial = PacketOf(ipv6, tcp).payload(payload).partial_checksums().bytes();
        const Headers headers = Parse(partial.data(), static_cast<uint32_t>(partial.size()));
        const be16 field = HeaderAt<be16>(partial.data(), headers.l4_offset + (tcp ? 16 : 6));
        const uint64_t sum =
            ipv6 ? PseudoHeader(HeaderAt<Ipv6Header>(partial.data(), 14), headers.protocol, headers.l4_bytes)
                 : PseudoHeader(HeaderAt<Ipv4Header>(partial.data(), 14), headers.protocol, headers.l4_bytes);
        EXPECT_EQ(Fold(sum), field) << ipv6 << tcp << payload;
      }
    }
  }
}

TEST(Checksum, IsRightForAWholePacketAndWrongForADamagedOne) {
  for (const bool ipv6 : {false, true}) {
    Bytes packet = PacketOf(ipv6, true).payload(77).checksums().bytes();
    const Headers headers = Parse(packet.data(), static_cast<uint32_t>(packet.size()));
    const auto check = [&] {
      const uint64_t pseudo =
          ipv6 ? PseudoHeader(HeaderAt<Ipv6Header>(packet.data(), 14), headers.protocol, headers.l4_bytes)
               : PseudoHeader(HeaderAt<Ipv4Header>(packet.data(), 14), headers.protocol, headers.l4_bytes);
      return Fold(Sum(packet.data() + headers.l4_offset, headers.l4_bytes, pseudo));
    };
    EXPECT_EQ(check(), kChecksumIsRight);
    packet.back() ^= 1;
    EXPECT_NE(check(), kChecksumIsRight);
  }
  const Bytes packet = PacketOf(false, false).checksums().bytes();
  EXPECT_EQ(Fold(Sum(packet.data() + 14, 20)), kChecksumIsRight);
}

TEST(Checksum, ZeroesTheFieldToComputeIt) {
  Bytes packet = PacketOf(false, false).checksums().bytes();
  auto& ip = HeaderAt<Ipv4Header>(packet.data(), 14);
  const be16 before = ip.checksum;
  ip.checksum = be16(0);
  EXPECT_EQ(Checksum(Sum(&ip, sizeof(ip))), before);
}

// RFC 1624 section 4: HC = 0xdd2f, m = 0x5555 becomes m' = 0x3285, HC' is 0x0000.
TEST(Checksum, UpdatesAsTheRfcsExample) {
  EXPECT_EQ(Update16(be16(0xdd2f), be16(0x5555), be16(0x3285)), be16(0));
}

// Maps 0xffff to 0: both mean the sum 0, and receivers accept both.
uint32_t Value(be16 checksum) {
  return checksum.host() % 0xffff;
}

TEST(Checksum, UpdatedIsThatOfTheChangedBytes) {
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = RandomBytes(random, 40);
    if (round % 4 == 0) {
      std::fill(bytes.begin(), bytes.begin() + 20, round % 8 == 0 ? 0xff : 0);
    }
    const be16 before = Checksum(Sum(bytes.data(), bytes.size()));
    const size_t at = random() % 19 * 2;
    const auto from16 = HeaderAt<be16>(bytes.data(), static_cast<uint32_t>(at));
    const auto from32 = HeaderAt<be32>(bytes.data(), static_cast<uint32_t>(at));
    const be16 to16(static_cast<uint16_t>(round % 3 == 0 ? 0xffff : random()));
    const be32 to32(round % 3 == 0 ? 0 : static_cast<uint32_t>(random()));
    Bytes with16 = bytes;
    HeaderAt<be16>(with16.data(), static_cast<uint32_t>(at)) = to16;
    Bytes with32 = bytes;
    HeaderAt<be32>(with32.data(), static_cast<uint32_t>(at)) = to32;
    ASSERT_EQ(Value(Update16(before, from16, to16)), Value(Checksum(Sum(with16.data(), with16.size()))));
    ASSERT_EQ(Value(Update32(before, from32, to32)), Value(Checksum(Sum(with32.data(), with32.size()))));
  }
}

TEST(Checksum, AWrongOneStaysAsWrong) {
  const be16 right(0x1234);
  const be16 wrong(0x1235);
  EXPECT_EQ(Value(Update16(wrong, be16(1), be16(9))), Value(Update16(right, be16(1), be16(9))) + 1);
}

TEST(Checksum, DifferencesAddUp) {
  const uint8_t from[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  const uint8_t to[8] = {9, 9, 9, 9, 0, 0, 0xff, 0xff};
  EXPECT_EQ(Fold(Plus(Difference(from, to, 4), Difference(from + 4, to + 4, 4))), Fold(Difference(from, to, 8)));
  EXPECT_EQ(Value(Updated(be16(0x1234), Difference(from, from, 8))), 0x1234U);
}

}  // namespace
}  // namespace sluice
