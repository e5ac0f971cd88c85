// Completes checksums that a sender's stack left to a device, and changes no byte of any other frame.
#include "dataplane/lane/partial_checksum.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dataplane/functions/forward/forward.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/lib/packet.h"

namespace sluice {
namespace {

constexpr const char* kSource4 = "192.0.2.1";
constexpr const char* kDestination4 = "198.51.100.77";
constexpr const char* kSource6 = "2001:db8::1";
constexpr const char* kDestination6 = "fd00:1234:5678:9abc:def0:1122:3344:5566";

struct Case {
  const char* name;
  Packet packet;
  bool ipv6;
  uint8_t protocol;
  size_t segment_at;  // offset of the transport header in the frame, in bytes
  size_t behind = 0;  // bytes of padding after the segment

  uint16_t PseudoSum(const Bytes& frame) const {
    const Bytes from = AddressBytes(ipv6 ? AF_INET6 : AF_INET, ipv6 ? kSource6 : kSource4);
    const Bytes to = AddressBytes(ipv6 ? AF_INET6 : AF_INET, ipv6 ? kDestination6 : kDestination4);
    return OnesSum(from, OnesSum(to, protocol + static_cast<uint32_t>(SegmentBytes(frame))));
  }
  size_t SegmentBytes(const Bytes& frame) const { return frame.size() - segment_at - behind; }
  size_t FieldAt() const { return segment_at + (protocol == 6 ? 16 : 6); }
  Bytes With(uint16_t checksum) const {
    Bytes frame = packet.bytes();
    Packet::put16(frame, FieldAt(), checksum);
    return frame;
  }
  Bytes Partial() const { return With(PseudoSum(packet.bytes())); }
  // The frame as its sender would send it without a device that completes checksums.
  Bytes Complete() const {
    Bytes frame = With(0);
    const auto segment = frame.begin() + static_cast<std::ptrdiff_t>(segment_at);
    const Bytes covered(segment, segment + static_cast<std::ptrdiff_t>(SegmentBytes(frame)));
    return With(static_cast<uint16_t>(~OnesSum(covered, PseudoSum(frame))));
  }
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

Packet Udp4() {
  return Packet().eth().ipv4(kSource4, kDestination4).udp(1000, 53);
}
Packet Tcp4() {
  return Packet().eth().ipv4(kSource4, kDestination4).tcp(1000, 80);
}
Packet Udp6() {
  return Packet().eth().ipv6(kSource6, kDestination6).udp(1000, 53);
}

// Completes the frame in memory of exactly its size, so that the sanitizers see a read or write past its end.
bool CompletedIn(Bytes& frame) {
  frame.shrink_to_fit();
  return CompletePartialChecksum(frame.data(), Parse(frame.data(), static_cast<uint32_t>(frame.size())));
}

class Completed : public ::testing::TestWithParam<Case> {};

TEST_P(Completed, AsTheSenderWouldHave) {
  Bytes frame = GetParam().Partial();
  EXPECT_TRUE(CompletedIn(frame));
  EXPECT_EQ(frame, GetParam().Complete());
  EXPECT_FALSE(CompletedIn(frame)) << "once";
  EXPECT_EQ(frame, GetParam().Complete());
}

TEST_P(Completed, ButNoOtherValueIsTouched) {
  const uint16_t partial = GetParam().PseudoSum(GetParam().packet.bytes());
  for (uint32_t checksum = 0; checksum <= 0xffff; ++checksum) {
    if (checksum != partial) {
      Bytes frame = GetParam().With(static_cast<uint16_t>(checksum));
      const Bytes before = frame;
      ASSERT_FALSE(CompletedIn(frame)) << checksum;
      ASSERT_EQ(frame, before) << checksum;
    }
  }
}

const Case kCompleted[] = {
    {"Udp4", Udp4().payload(64), false, 17, 34},
    {"Udp4Odd", Udp4().payload(13), false, 17, 34},
    {"Udp4Empty", Udp4(), false, 17, 34},
    {"Udp4OfTheMtu", Udp4().payload(1472), false, 17, 34},
    {"Tcp4", Tcp4().payload(100), false, 6, 34},
    {"Tcp4WithoutPayload", Tcp4(), false, 6, 34},
    {"Tcp4WithItsOptions", Packet().eth().ipv4(kSource4, kDestination4).tcp(1, 2, 10).payload(7), false, 6, 34},
    {"PaddedToEthernetsMinimum", Udp4().payload(1).padding(17), false, 17, 34, 17},
    {"IpOptions", Packet().eth().ipv4(kSource4, kDestination4, 3).udp(1, 2).payload(9), false, 17, 46},
    {"Vlan", Packet().eth().vlan(7).ipv4(kSource4, kDestination4).tcp(1, 2).payload(9), false, 6, 38},
    {"TwoVlans", Packet().eth().vlan(7, 0x88a8).vlan(8).ipv6(kSource6, kDestination6).udp(1, 2), true, 17, 62},
    {"ThreeVlans", Packet().eth().vlan(1).vlan(2).vlan(3).ipv4(kSource4, kDestination4).udp(1, 2), false, 17, 46},
    {"Udp6", Udp6().payload(64), true, 17, 54},
    {"Tcp6", Packet().eth().ipv6(kSource6, kDestination6).tcp(1, 2, 3).payload(1201), true, 6, 54},
    {"HopByHop", Packet().eth().ipv6(kSource6, kDestination6).extension(0).udp(1, 2).payload(5), true, 17, 62},
    {"DestinationOptions", Packet().eth().ipv6(kSource6, kDestination6).extension(0).extension(60, 2).tcp(1, 2), true,
     6, 86},
};
INSTANTIATE_TEST_SUITE_P(PartialChecksum, Completed, ::testing::ValuesIn(kCompleted),
                         [](const auto& info) { return info.param.name; });

class LeftAlone : public ::testing::TestWithParam<Case> {};

TEST_P(LeftAlone, AlthoughTheFieldSaysPartial) {
  Bytes frame = GetParam().Partial();
  const Bytes before = frame;
  EXPECT_FALSE(CompletedIn(frame));
  EXPECT_EQ(frame, before);
}

const Case kLeftAlone[] = {
    {"FirstFragment", Packet().eth().ipv4(kSource4, kDestination4, 0, 0x2000).udp(1, 2).payload(8), false, 17, 34},
    {"LaterFragment", Packet().eth().ipv4(kSource4, kDestination4, 0, 0x0010).udp(1, 2).payload(8), false, 17, 34},
    {"Ipv6Fragment", Packet().eth().ipv6(kSource6, kDestination6).fragment6(1).udp(1, 2).payload(8), true, 17, 62},
    {"AtomicFragment", Packet().eth().ipv6(kSource6, kDestination6).fragment6(0).udp(1, 2).payload(8), true, 17, 62},
    {"LooseSourceRoute", Packet().eth().ipv4(kSource4, kDestination4, 2).poke(20, {131, 7, 4, 9, 9, 9, 9, 0}).udp(1, 2),
     false, 17, 42},
    {"StrictSourceRouteBehindAnOption",
     Packet().eth().ipv4(kSource4, kDestination4, 3).poke(20, {1, 7, 3, 4, 137, 7, 4, 9, 9, 9, 9, 0}).udp(1, 2), false,
     17, 46},
    {"OptionOfNoLength", Packet().eth().ipv4(kSource4, kDestination4, 1).poke(20, {7, 0, 0, 0}).udp(1, 2), false, 17,
     38},
    {"RoutingHeader", Packet().eth().ipv6(kSource6, kDestination6).extension(43).udp(1, 2).payload(8), true, 17, 62},
    {"HomeAddress",
     Packet().eth().ipv6(kSource6, kDestination6).extension(60, 2).poke(2, {1, 2, 0, 0, 201, 16}).udp(1, 2), true, 17,
     78},
    {"Authentication", Packet().eth().ipv6(kSource6, kDestination6).ah().udp(1, 2).payload(8), true, 17, 78},
    {"UdpShorterThanItsPacket", Udp4().poke16(4, 12).payload(8), false, 17, 34},
    {"UdpLongerThanItsPacket", Udp4().poke16(4, 40).payload(8), false, 17, 34},
    {"TotalLengthBeyondTheFrame",
     Packet().eth().ipv4(kSource4, kDestination4).poke16(2, 40).udp(1, 2).poke16(4, 20).payload(8), false, 17, 34},
    {"TotalLengthOfNothing", Packet().eth().ipv4(kSource4, kDestination4).poke16(2, 0).udp(1, 2).payload(8), false, 17,
     34},
    {"HeaderLengthTooSmall", Packet().eth().ipv4(kSource4, kDestination4).poke(0, {0x44}).udp(1, 2).payload(8), false,
     17, 34},
    {"AnotherVersion", Packet().eth().ipv4(kSource4, kDestination4).poke(0, {0x65}).udp(1, 2).payload(8), false, 17,
     34},
    {"PayloadLengthBeyondTheFrame", Packet().eth().ipv6(kSource6, kDestination6).poke16(4, 17).udp(1, 2).payload(8),
     true, 17, 54},
    {"Jumbo", Packet().eth().ipv6(kSource6, kDestination6).poke16(4, 0).udp(1, 2).payload(8), true, 17, 54},
    {"ExtensionBeyondThePacket",
     Packet().eth().ipv6(kSource6, kDestination6).extension(60).poke(1, {9}).udp(1, 2).payload(8), true, 17, 62},
    {"FourVlans", Packet().eth().vlan(1).vlan(2).vlan(3).vlan(4).ipv4(kSource4, kDestination4).udp(1, 2), false, 17,
     50},
    {"UdpLite", Packet().eth().ipv4(kSource4, kDestination4).proto(136).payload(16), false, 136, 34},
    {"Sctp", Packet().eth().ipv4(kSource4, kDestination4).sctp(1, 2).payload(16), false, 132, 34},
};
INSTANTIATE_TEST_SUITE_P(PartialChecksum, LeftAlone, ::testing::ValuesIn(kLeftAlone),
                         [](const auto& info) { return info.param.name; });

// Chooses two bytes so that the complete checksum equals the pseudo header's sum, which is what a partial one looks
// like.
Case WithChanceEquality(Case one) {
  for (uint32_t value = 0; value <= 0xffff; ++value) {
    Case candidate = one;
    candidate.packet.poke16(candidate.protocol == 6 ? 20 : 8, static_cast<uint16_t>(value));
    if (candidate.Complete() == candidate.Partial()) {
      return candidate;
    }
  }
  ADD_FAILURE() << "no value gives " << one.name << " such a checksum";
  return one;
}

TEST(PartialChecksum, ACompleteOneThatLooksPartialIsUnchangedAndNotCounted) {
  for (const Case& one : {Case{"Udp4", Udp4().payload(4), false, 17, 34}, Case{"Tcp4", Tcp4().payload(4), false, 6, 34},
                          Case{"Udp6", Udp6().payload(4), true, 17, 54}}) {
    const Case chance = WithChanceEquality(one);
    Bytes frame = chance.Complete();
    EXPECT_FALSE(CompletedIn(frame)) << one.name;
    EXPECT_EQ(frame, chance.Complete()) << one.name;
  }
}

TEST(PartialChecksum, ASumOfZeroIsWrittenAsTheOtherZero) {
  for (uint32_t value = 0; value <= 0xffff; ++value) {
    const Case one{"Udp4", Udp4().poke16(8, static_cast<uint16_t>(value)).payload(4), false, 17, 34};
    if (one.Complete() == one.With(0)) {
      Bytes frame = one.Partial();
      EXPECT_TRUE(CompletedIn(frame));
      EXPECT_EQ(frame, one.With(0xffff)) << "0 would say that there is no checksum";
      return;
    }
  }
  ADD_FAILURE() << "no value gives such a checksum";
}

TEST(PartialChecksum, FramesCutAnywhereAreLeftAlone) {
  for (const Case& one : kCompleted) {
    const Bytes whole = one.Partial();
    for (size_t length = 0; length < whole.size() - one.behind; ++length) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
      const Bytes before = cut;
      ASSERT_FALSE(CompletedIn(cut)) << one.name << " cut to " << length;
      ASSERT_EQ(cut, before);
    }
  }
}

TEST(PartialChecksum, NoiseIsReadWithinItsBounds) {
  std::mt19937 random(1);
  for (int round = 0; round < 200'000; ++round) {
    const Case& one = kCompleted[random() % std::size(kCompleted)];
    Bytes frame = one.Partial();
    for (int i = 0; i < 4; ++i) {
      frame[12 + random() % (std::min<size_t>(frame.size(), 90) - 12)] = static_cast<uint8_t>(random());
    }
    frame.resize(14 + random() % (frame.size() - 13));
    const Bytes before = frame;
    if (!CompletedIn(frame)) {
      ASSERT_EQ(frame, before);
    }
  }
}

TEST(PartialChecksum, TheLaneCompletesBeforeTheFunctionSeesThem) {
  class Witness final : public NetworkFunction {
   public:
    void Process(LaneContext& /*lane*/, Burst& burst) override {
      for (Frame& frame : burst) {
        seen.emplace_back(frame.data, frame.data + frame.length_bytes);
        frame.verdict = Verdict::Drop(DropReason::kFunction);
      }
    }
    std::vector<Bytes> seen;
  };
  auto stats = std::make_unique<StatsSegment>();
  FakeLane fake(2);
  auto lane = fake.Open(0, stats->lanes[0]);
  const auto text = [](const Bytes& frame) { return std::string(frame.begin(), frame.end()); };
  const Bytes complete = kCompleted[0].Complete();
  ASSERT_TRUE(fake.sockets[0]->Deliver(text(kCompleted[0].Partial())));
  ASSERT_TRUE(fake.sockets[0]->Deliver(text(complete)));
  ASSERT_TRUE(fake.sockets[1]->Deliver(text(kCompleted[0].Partial())));
  ASSERT_TRUE(fake.sockets[1]->Deliver(text(kCompleted[0].Partial())));
  Witness witness;
  while (lane->Poll(witness) > 0) {
  }
  EXPECT_EQ(witness.seen, std::vector<Bytes>(4, complete));
  EXPECT_EQ(stats->lanes[0].ports[0].checksums_completed.Get(), 1U);
  EXPECT_EQ(stats->lanes[0].ports[1].checksums_completed.Get(), 2U);
  EXPECT_TRUE(Balance::Of(*stats).holds()) << Balance::Of(*stats);
}

}  // namespace
}  // namespace sluice
