// Parses packet by packet: finds the offsets of the headers, or that the frame is unreadable.
#include "dataplane/net/headers.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include "tests/lib/packet.h"

namespace sluice {
namespace {

// Parses in memory of exactly the frame's size, so that the sanitizers see a read past its end.
Headers ParseExactly(Bytes frame) {
  frame.shrink_to_fit();
  return Parse(frame.data(), static_cast<uint32_t>(frame.size()));
}

Packet V4(unsigned option_words = 0, uint16_t fragment = 0) {
  return Packet().eth().ipv4("10.0.0.1", "10.0.0.2", option_words, fragment);
}
Packet V6() {
  return Packet().eth().ipv6("2001:db8::1", "2001:db8::2");
}

struct Readable {
  const char* name;
  Packet packet;
  Network network;
  uint32_t l3_offset;
  uint32_t l4_offset;
  uint32_t l4_bytes;
  uint8_t protocol;
  bool has_ports;
  Fragment fragment = Fragment::kNone;
  uint16_t vlan = kNoVlan;
  uint32_t vlan_tags = 0;
};
void PrintTo(const Readable& row, std::ostream* out) {
  *out << row.name;
}

class ReadableFrame : public ::testing::TestWithParam<Readable> {};

TEST_P(ReadableFrame, HasItsHeadersHere) {
  const Readable& row = GetParam();
  const Headers headers = ParseExactly(row.packet.bytes());
  EXPECT_EQ(headers.network, row.network);
  EXPECT_EQ(headers.l3_offset, row.l3_offset);
  EXPECT_EQ(headers.l4_offset, row.l4_offset);
  EXPECT_EQ(headers.l4_bytes, row.l4_bytes);
  EXPECT_EQ(headers.protocol, row.protocol);
  EXPECT_EQ(headers.has_ports(), row.has_ports);
  EXPECT_EQ(headers.fragment, row.fragment);
  EXPECT_EQ(headers.vlan, row.vlan);
  EXPECT_EQ(headers.vlan_tags, row.vlan_tags);
  EXPECT_EQ(headers.flow_hash, 0U);
  EXPECT_EQ(headers.has_ip(), row.network == Network::kIpv4 || row.network == Network::kIpv6);
}

// Padding behind the packet changes nothing.
TEST_P(ReadableFrame, StaysSoWithPadding) {
  const Headers headers = ParseExactly(Packet(GetParam().packet).padding(30).bytes());
  EXPECT_EQ(headers.network, GetParam().network);
  EXPECT_EQ(headers.l4_offset, GetParam().l4_offset);
  EXPECT_EQ(headers.l4_bytes, GetParam().l4_bytes);
}

constexpr Network kV4 = Network::kIpv4;
constexpr Network kV6 = Network::kIpv6;
constexpr uint16_t kMore4 = 0x2000;

const Readable kReadable[] = {
    {"Udp4", V4().udp(1, 2).payload(20), kV4, 14, 34, 28, 17, true},
    {"Udp4Empty", V4().udp(1, 2), kV4, 14, 34, 8, 17, true},
    {"Udp4ShorterThanItsPacket", V4().udp(1, 2).poke16(4, 12).payload(20), kV4, 14, 34, 28, 17, true},
    {"Tcp4", V4().tcp(1, 2).payload(1), kV4, 14, 34, 21, 6, true},
    {"Tcp4WithOptions", V4().tcp(1, 2, 10), kV4, 14, 34, 60, 6, true},
    {"Sctp4", V4().sctp(1, 2), kV4, 14, 34, 12, 132, true},
    {"UdpLite4", V4().proto(136).payload(8), kV4, 14, 34, 8, 136, true},
    {"Icmp4", V4().icmp(), kV4, 14, 34, 8, 1, false},
    {"Icmpv6OverIpv4IsJustANumber", V4().proto(58), kV4, 14, 34, 0, 58, false},
    {"Gre4", V4().proto(47).payload(4), kV4, 14, 34, 4, 47, false},
    {"ExtensionOverIpv4IsJustANumber", V4().proto(44), kV4, 14, 34, 0, 44, false},
    {"NoPayloadAtAll", V4().proto(59), kV4, 14, 34, 0, 59, false},
    {"Options4", V4(3).udp(1, 2), kV4, 14, 46, 8, 17, true},
    {"MostOptions4", V4(10).tcp(1, 2), kV4, 14, 74, 20, 6, true},
    {"DontFragment", V4(0, 0x4000).udp(1, 2), kV4, 14, 34, 8, 17, true},
    {"FirstFragment4", V4(0, kMore4).udp(1, 2).payload(16).poke16(4, 4000), kV4, 14, 34, 24, 17, true,
     Fragment::kFirst},
    {"FirstFragment4EndsInTcpOptions", V4(0, kMore4).tcp(1, 2).poke(12, {0xf0}).payload(4), kV4, 14, 34, 24, 6, true,
     Fragment::kFirst},
    {"LaterFragment4", V4(0, kMore4 | 1).proto(17).payload(3), kV4, 14, 34, 3, 17, false, Fragment::kLater},
    {"LastFragment4", V4(0, 0x1fff).proto(6).payload(1), kV4, 14, 34, 1, 6, false, Fragment::kLater},
    {"Udp6", V6().udp(1, 2).payload(20), kV6, 14, 54, 28, 17, true},
    {"Tcp6", V6().tcp(1, 2), kV6, 14, 54, 20, 6, true},
    {"Icmp6", V6().icmp6(), kV6, 14, 54, 8, 58, false},
    {"IcmpOverIpv6IsJustANumber", V6().proto(1), kV6, 14, 54, 0, 1, false},
    {"NoNextHeader", V6(), kV6, 14, 54, 0, 59, false},
    {"HopByHop", V6().extension(0).udp(1, 2), kV6, 14, 62, 8, 17, true},
    {"LongOptions", V6().extension(60, 3).tcp(1, 2), kV6, 14, 86, 20, 6, true},
    {"Routing", V6().extension(43, 2).udp(1, 2), kV6, 14, 78, 8, 17, true},
    {"Ah", V6().ah().udp(1, 2), kV6, 14, 78, 8, 17, true},
    {"ExtensionsOfEveryKind", V6().extension(0).extension(60).extension(43).fragment6(0).ah(2).udp(1, 2), kV6, 14, 102,
     8, 17, true},
    {"EightExtensions", V6().extension(0).extensions(7, 60).udp(1, 2), kV6, 14, 118, 8, 17, true},
    {"EspOutOfReach", V6().extension(60, 70).proto(50).payload(8), kV6, 14, 622, 8, 50, false},
    {"Atomic", V6().fragment6(0).udp(1, 2), kV6, 14, 62, 8, 17, true},
    {"FirstFragment6", V6().fragment6(1).udp(1, 2).poke16(4, 4000), kV6, 14, 62, 8, 17, true, Fragment::kFirst},
    {"FirstFragment6BehindOptions", V6().extension(0).fragment6(1).extension(60).tcp(1, 2), kV6, 14, 78, 20, 6, true,
     Fragment::kFirst},
    {"LaterFragment6", V6().fragment6(8 | 1).proto(17).payload(3), kV6, 14, 62, 3, 17, false, Fragment::kLater},
    {"LaterFragment6WithinOptions", V6().fragment6(8).proto(60).payload(3), kV6, 14, 62, 3, 60, false,
     Fragment::kLater},
    {"UdpJumbogram", V6().udp(1, 2).poke16(4, 0).payload(9), kV6, 14, 54, 17, 17, true},
    {"Vlan", Packet().eth().vlan(7).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2), kV4, 18, 38, 8, 17, true, Fragment::kNone, 7,
     1},
    {"PriorityIsNotTheId", Packet().eth().vlan(0xe00a).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2), kV4, 18, 38, 8, 17, true,
     Fragment::kNone, 10, 1},
    {"PriorityTag", Packet().eth().vlan(0).ipv6("::1", "::2").udp(1, 2), kV6, 18, 58, 8, 17, true, Fragment::kNone, 0,
     1},
    {"QinQ", Packet().eth().vlan(7, 0x88a8).vlan(8).ipv6("::1", "::2").tcp(1, 2), kV6, 22, 62, 20, 6, true,
     Fragment::kNone, 7, 2},
    {"ThreeTags", Packet().eth().vlan(1).vlan(2).vlan(3).ipv4("1.1.1.1", "2.2.2.2").icmp(), kV4, 26, 46, 8, 1, false,
     Fragment::kNone, 1, 3},
    {"PriorityTags", Packet().eth().vlan(0).vlan(0).vlan(3).ipv4("1.1.1.1", "2.2.2.2").icmp(), kV4, 26, 46, 8, 1, false,
     Fragment::kNone, 3, 3},
    {"Arp", Packet().eth().arp("10.0.0.1", "10.0.0.2"), Network::kOther, 14, 14, 0, 0, false},
    {"HeaderOnly", Packet().eth().ethertype(0x88cc), Network::kOther, 14, 14, 0, 0, false},
    {"TagOnly", Packet().eth().vlan(9), Network::kOther, 18, 18, 0, 0, false, Fragment::kNone, 9, 1},
    {"LengthInsteadOfAnEthertype", Packet().eth().ethertype(38).payload(38), Network::kOther, 14, 14, 0, 0, false},
};
INSTANTIATE_TEST_SUITE_P(Headers, ReadableFrame, ::testing::ValuesIn(kReadable),
                         [](const auto& info) { return info.param.name; });

// A frame cut anywhere before the packet's end is unreadable.
TEST_P(ReadableFrame, IsUnreadableWhenCut) {
  if (GetParam().network == Network::kOther) {
    return;
  }
  const Bytes whole = GetParam().packet.bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    ASSERT_EQ(ParseExactly(cut).network, Network::kUnreadable) << length;
  }
}

Packet Extensions(int count) {
  Packet packet = V6();
  for (int i = 0; i < count; ++i) {
    packet.extension(60);
  }
  return packet;
}

struct Unreadable {
  const char* name;
  Packet packet;
};
void PrintTo(const Unreadable& row, std::ostream* out) {
  *out << row.name;
}

class UnreadableFrame : public ::testing::TestWithParam<Unreadable> {};

TEST_P(UnreadableFrame, SaysSoAndNothingElse) {
  const Headers headers = ParseExactly(GetParam().packet.bytes());
  EXPECT_EQ(headers.network, Network::kUnreadable);
  EXPECT_EQ(headers.vlan, kNoVlan);
  EXPECT_EQ(headers.l3_offset, 0);
  EXPECT_EQ(headers.l4_offset, 0);
  EXPECT_EQ(headers.l4_bytes, 0);
  EXPECT_EQ(headers.protocol, 0);
  EXPECT_EQ(headers.tcp_flags, 0);
  EXPECT_EQ(headers.fragment, Fragment::kNone);
  EXPECT_FALSE(headers.has_ip());
  EXPECT_FALSE(headers.has_ports());
}

const Unreadable kUnreadable[] = {
    {"CutEthernet", Packet().eth().ethertype(0x88cc).cut(13)},
    {"CutTag", Packet().eth().vlan(1).cut(3)},
    {"CutSecondTag", Packet().eth().vlan(1, 0x88a8).vlan(2).cut(3)},
    {"AFourthTag", Packet().eth().vlan(1).vlan(2).vlan(3).vlan(4).ipv4("1.1.1.1", "2.2.2.2").icmp()},
    {"AFourthPriorityTag", Packet().eth().vlan(0).vlan(0).vlan(0).vlan(0).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2)},
    {"VersionOfTheOther", V4().poke(0, {0x65}).udp(1, 2)},
    {"HeaderLengthTooSmall", V4().poke(0, {0x44}).udp(1, 2).payload(8)},
    {"HeaderLengthBeyondThePacket", V4().poke(0, {0x4f}).udp(1, 2)},
    {"TotalLengthSmallerThanTheHeader", V4().poke16(2, 19).udp(1, 2).payload(8)},
    {"TotalLengthBeyondTheFrame", V4().poke16(2, 100).udp(1, 2).payload(8)},
    {"TotalLengthZero", V4().poke16(2, 0).udp(1, 2).payload(8)},
    {"UdpHeaderBeyondThePacket", V4().poke16(2, 27).udp(1, 2).payload(8)},
    {"UdpLengthSmallerThanItsHeader", V4().udp(1, 2).poke16(4, 7).payload(30)},
    {"UdpLengthZeroOverIpv4", V4().udp(1, 2).poke16(4, 0).payload(30)},
    {"UdpLengthBeyondThePacket", V4().udp(1, 2).poke16(4, 39).payload(30)},
    {"TcpHeaderBeyondThePacket", V4().poke16(2, 39).tcp(1, 2).payload(20)},
    {"TcpOffsetSmallerThanItsHeader", V4().tcp(1, 2).poke(12, {0x40}).payload(20)},
    {"TcpOptionsBeyondThePacket", V4().tcp(1, 2).poke(12, {0xf0}).payload(20)},
    {"SctpHeaderBeyondThePacket", V4().sctp(1, 2).cut(11)},
    {"IcmpHeaderBeyondThePacket", V4().poke16(2, 27).icmp()},
    {"UdpLiteHeaderBeyondThePacket", V4().proto(136).payload(7)},
    {"FirstFragmentWithoutATransportHeader", V4(0, kMore4).proto(17).payload(7)},
    {"FirstFragmentWithASmallTcpOffset", V4(0, kMore4).tcp(1, 2).poke(12, {0x40})},
    {"FirstFragmentWithASmallUdpLength", V4(0, kMore4).udp(1, 2).poke16(4, 7)},
    {"Ipv6VersionOfTheOther", V6().poke(0, {0x45}).udp(1, 2)},
    {"Ipv6PayloadBeyondTheFrame", V6().poke16(4, 9).udp(1, 2)},
    {"Ipv6UdpBeyondThePacket", V6().poke16(4, 7).udp(1, 2)},
    {"Ipv6LengthZeroIsNoJumbogramWithoutOptions", V6().poke16(4, 0).udp(1, 2)},
    {"ExtensionBeyondThePacket", V6().extension(60).poke(1, {2}).udp(1, 2)},
    {"CutExtension", V6().extension(0).cut(7)},
    {"AhBeyondThePacket", V6().ah().poke(1, {200}).udp(1, 2)},
    {"ANinthExtension", Extensions(9).udp(1, 2)},
    {"AnExtensionOutOfReach", V6().extension(60, 70).extension(60).tcp(1, 2)},
    {"PortsOutOfReach", V6().extension(60, 70).udp(1, 2)},
    {"CutFragmentHeader", V6().fragment6(8).cut(7)},
    {"Icmpv6HeaderBeyondThePacket", V6().proto(58).payload(7)},
};
INSTANTIATE_TEST_SUITE_P(Headers, UnreadableFrame, ::testing::ValuesIn(kUnreadable),
                         [](const auto& info) { return info.param.name; });

TEST(Headers, TcpFlagsAreAtHand) {
  EXPECT_EQ(ParseExactly(V4().tcp(1, 2).poke(13, {kTcpSyn | kTcpEce}).bytes()).tcp_flags, kTcpSyn | kTcpEce);
  EXPECT_EQ(ParseExactly(V4(2).tcp(1, 2).poke(13, {kTcpRst}).bytes()).tcp_flags, kTcpRst);
  EXPECT_EQ(ParseExactly(V6().extension(0).tcp(1, 2).poke(13, {kTcpFin | kTcpAck}).bytes()).tcp_flags,
            kTcpFin | kTcpAck);
  EXPECT_EQ(ParseExactly(V4().udp(1, 2).payload(20).bytes()).tcp_flags, 0);
  EXPECT_EQ(ParseExactly(V4(0, 1).proto(6).payload(20).bytes()).tcp_flags, 0) << "a later fragment has none";
}

TEST(Headers, AJumbogramEndsWithItsFrame) {
  const Headers headers = ParseExactly(V6().poke16(4, 0).extension(0).udp(1, 2).payload(5).padding(3).bytes());
  EXPECT_EQ(headers.network, kV6);
  EXPECT_EQ(headers.l4_offset, 62);
  EXPECT_EQ(headers.l4_bytes, 8 + 5 + 3);
}

TEST(Headers, ParsePlainAgreesWithParseAnyOrDeclines) {
  for (const Readable& row : kReadable) {
    const Bytes frame = Packet(row.packet).padding(20).bytes();
    const auto length_bytes = static_cast<uint32_t>(frame.size());
    Headers plain = {};
    Headers any = {};
    ParseAny(frame.data(), length_bytes, any);
    if (ParsePlain(frame.data(), length_bytes, plain)) {
      EXPECT_TRUE(plain == any) << row.name;
    } else {
      EXPECT_TRUE(plain == Headers{}) << row.name << ": a parser that declines must not write to its result";
      EXPECT_TRUE(std::string(row.name) != "Udp4" && std::string(row.name) != "Tcp4WithOptions") << row.name;
    }
  }
}

TEST(Headers, ReadAsTheyStandOnTheWire) {
  Bytes frame = Packet().eth().vlan(0xa123).ipv4("10.1.2.3", "10.4.5.6").tcp(1000, 443, 1).bytes();
  const Headers headers = ParseExactly(frame);
  const auto& ethernet = HeaderAt<EthernetHeader>(frame.data(), 0);
  EXPECT_EQ(ethernet.type, be16(SLUICE_ETHERTYPE_VLAN));
  EXPECT_EQ(HeaderAt<VlanTag>(frame.data(), 14).id(), 0x123);
  EXPECT_EQ(HeaderAt<VlanTag>(frame.data(), 14).type, be16(SLUICE_ETHERTYPE_IPV4));
  const auto& ip = HeaderAt<Ipv4Header>(frame.data(), headers.l3_offset);
  EXPECT_TRUE(ip.is_version4());
  EXPECT_EQ(ip.header_bytes(), 20U);
  EXPECT_EQ(ip.total_bytes, be16(44));
  EXPECT_EQ(ip.ttl, 64);
  EXPECT_EQ(ip.source, be32(0x0a010203));
  EXPECT_EQ(ip.destination, be32(0x0a040506));
  const auto& tcp = HeaderAt<TcpHeader>(frame.data(), headers.l4_offset);
  EXPECT_EQ(tcp.ports.source, be16(1000));
  EXPECT_EQ(tcp.ports.destination, be16(443));
  EXPECT_EQ(tcp.header_bytes(), 24U);
  EXPECT_EQ(tcp.flags, kTcpAck);
  EXPECT_EQ(tcp.window, be16(0xffff));
}

TEST(Headers, MacsAreSwappedInPlace) {
  Bytes frame = Packet().eth().ipv4("10.1.2.3", "10.4.5.6").bytes();
  const Bytes before = frame;
  auto& ethernet = HeaderAt<EthernetHeader>(frame.data(), 0);
  EXPECT_FALSE(ethernet.destination.is_group());
  ethernet.SwapMacs();
  EXPECT_TRUE(std::equal(frame.begin(), frame.begin() + 6, std::begin(kPeerMac)));
  EXPECT_TRUE(std::equal(frame.begin() + 6, frame.begin() + 12, std::begin(kPortMac)));
  EXPECT_TRUE(std::equal(frame.begin() + 12, frame.end(), before.begin() + 12));
}

}  // namespace
}  // namespace sluice
