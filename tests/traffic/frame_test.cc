#include "tests/traffic/frame.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::flowgen {
namespace {

FrameFormat Format(bool ipv6, uint32_t size_bytes, std::optional<uint16_t> vlan = std::nullopt) {
  FrameFormat format;
  format.src_mac = {2, 0, 0, 0, 0, 1};
  format.dst_mac = {2, 0, 0, 0, 0, 2};
  format.ipv6 = ipv6;
  format.vlan = vlan;
  format.size_bytes = size_bytes;
  inet_pton(ipv6 ? AF_INET6 : AF_INET, ipv6 ? "2001:2::1" : "198.18.0.1", format.src_ip.data());
  inet_pton(ipv6 ? AF_INET6 : AF_INET, ipv6 ? "2001:2:0:1::1" : "198.19.0.1", format.dst_ip.data());
  return format;
}

TEST(Frame, ABuiltFrameIsReadBackWithGoodChecksums) {
  for (const bool ipv6 : {false, true}) {
    for (const uint32_t size : {SmallestFrameBytes(ipv6), SmallestFrameBytes(ipv6) + 1, 777u, 1514u}) {
      for (const std::optional<uint16_t> vlan : {std::optional<uint16_t>(), std::optional<uint16_t>(7)}) {
        SCOPED_TRACE("ipv6 " + std::to_string(ipv6) + " size " + std::to_string(size));
        const FrameFormat format = Format(ipv6, size, vlan);
        FrameBuilder builder(format);
        const absl::Span<const uint8_t> frame = builder.Build({.run = 9, .flow = 3, .sequence = 77});
        EXPECT_EQ(frame.size(), size + (vlan ? 4 : 0));
        const std::optional<ParsedFrame> parsed = ParseFrame(frame);
        ASSERT_TRUE(parsed);
        EXPECT_EQ(parsed->src_mac, format.src_mac);
        EXPECT_EQ(parsed->dst_mac, format.dst_mac);
        EXPECT_EQ(parsed->vlan, vlan);
        EXPECT_TRUE(parsed->checksums_good);
        Stamp stamp;
        ASSERT_EQ(ReadStamp(parsed->payload, stamp), StampState::kGood);
        EXPECT_EQ(stamp.flow, 3u);
        EXPECT_EQ(stamp.sequence, 77u);
      }
    }
  }
}

// Enough packets that some UDP checksums are zero, which is sent as ffff.
TEST(Frame, ChecksumsAreGoodForManyPackets) {
  FrameBuilder builder(Format(false, 64));
  for (uint32_t i = 0; i < 200'000; ++i) {
    const std::optional<ParsedFrame> parsed =
        ParseFrame(builder.Build({.run = 1, .flow = i, .sequence = i * 7919, .send_ns = i * int64_t{1000}}));
    ASSERT_TRUE(parsed && parsed->checksums_good) << i;
  }
}

TEST(Frame, FlowsHaveTheirOwnPortAndAddress) {
  FrameBuilder builder(Format(false, 64));
  const auto port = [](absl::Span<const uint8_t> f, size_t at) { return f[at] << 8 | f[at + 1]; };
  EXPECT_EQ(port(builder.Build({.flow = 0}), 34), 1024);
  EXPECT_EQ(port(builder.Build({.flow = 59'999}), 34), 61'023);
  const absl::Span<const uint8_t> next = builder.Build({.flow = 60'000});
  EXPECT_EQ(port(next, 34), 1024);
  EXPECT_EQ(next[29], 2) << "198.18.0.2";
}

TEST(Frame, ReversedHasTheSameAddressesTheOtherWayRound) {
  FrameFormat format = Format(true, 100);
  FrameBuilder forth(format);
  format.reversed = true;
  FrameBuilder back(format);
  const absl::Span<const uint8_t> a = forth.Build({.flow = 5});
  const absl::Span<const uint8_t> b = back.Build({.flow = 5});
  EXPECT_EQ(a.subspan(22, 16), b.subspan(38, 16));
  EXPECT_EQ(a.subspan(38, 16), b.subspan(22, 16));
  EXPECT_EQ(a.subspan(54, 2), b.subspan(56, 2));
  EXPECT_TRUE(ParseFrame(b)->checksums_good);
}

TEST(Frame, ChangedHeadersAreNoticed) {
  FrameBuilder builder(Format(false, 64));
  const absl::Span<const uint8_t> built = builder.Build({.flow = 5});
  std::vector<uint8_t> frame(built.begin(), built.end());
  frame[22] -= 1;  // the TTL, without updating the header checksum
  EXPECT_FALSE(ParseFrame(frame)->checksums_good);
  frame[22] += 1;
  frame[30] ^= 1;  // the destination address, which both checksums cover
  EXPECT_FALSE(ParseFrame(frame)->checksums_good);
}

TEST(Frame, NoPrefixOfAFrameIsReadBeyondItsEnd) {
  for (const bool ipv6 : {false, true}) {
    FrameBuilder builder(Format(ipv6, 100, 7));
    const absl::Span<const uint8_t> built = builder.Build({});
    for (size_t length = 0; length < built.size(); ++length) {
      const std::vector<uint8_t> cut(built.begin(), built.begin() + static_cast<ptrdiff_t>(length));
      EXPECT_FALSE(ParseFrame(cut)) << length;  // the address sanitizer sees a read past the end
    }
  }
}

TEST(Frame, OtherTrafficIsNotOurs) {
  FrameBuilder builder(Format(false, 100));
  const absl::Span<const uint8_t> built = builder.Build({});
  const auto changed = [&built](size_t at, uint8_t value) {
    std::vector<uint8_t> frame(built.begin(), built.end());
    frame[at] = value;
    return frame;
  };
  EXPECT_FALSE(ParseFrame(changed(13, 6))) << "ARP";
  EXPECT_FALSE(ParseFrame(changed(14, 0x46))) << "options";
  EXPECT_FALSE(ParseFrame(changed(23, 6))) << "TCP";
  EXPECT_FALSE(ParseFrame(changed(39, 1))) << "the UDP length contradicts the packet's";
}

}  // namespace
}  // namespace sluice::flowgen
