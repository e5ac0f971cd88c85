// Makes steering probes: the host's device takes one for a packet of the flow, and no other receiver accepts it.
#include "dataplane/lane/steering_probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "dataplane/functions/forward/forward.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/lib/packet.h"

namespace sluice {
namespace {

Bytes ProbeFor(Bytes frame) {
  // No spare memory behind the frame, so that the sanitizers see a read past its end.
  frame.shrink_to_fit();
  Bytes probe(kMaxProbeBytes);
  const auto length_bytes = static_cast<uint32_t>(frame.size());
  const uint32_t bytes = MakeSteeringProbe(frame.data(), length_bytes, Parse(frame.data(), length_bytes), probe.data());
  EXPECT_LE(bytes, kMaxProbeBytes);
  probe.resize(bytes);
  return probe;
}
Bytes ProbeFor(const Packet& packet) {
  return ProbeFor(packet.bytes());
}

Packet V4(unsigned option_words = 0, uint16_t fragment = 0) {
  return Packet().eth().ipv4("10.0.0.1", "10.0.0.2", option_words, fragment).poke16(10, 0x1234);
}
Packet V6() {
  return Packet().eth().ipv6("2001:db8::1", "2001:db8::2");
}

Bytes Part(const Bytes& bytes, size_t from, size_t count) {
  const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(from);
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

struct Case {
  const char* name;
  Packet packet;
  size_t ip_at;
  size_t flow_ends;  // offset behind the first 8 bytes of the transport header
};
void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

class HasProbe : public ::testing::TestWithParam<Case> {};

TEST_P(HasProbe, WithTheFlowsHeadersAndNothingElse) {
  const Case& one = GetParam();
  const Bytes frame = one.packet.bytes();
  ASSERT_GT(frame.size(), one.flow_ends);
  const Bytes probe = ProbeFor(frame);
  ASSERT_EQ(probe.size(), std::max<size_t>(one.flow_ends, 60));
  EXPECT_EQ(Part(probe, 0, 6), (Bytes{0x01, 0x80, 0xc2, 0, 0, 1}));
  EXPECT_EQ(Part(probe, 6, 6), Part(frame, 0, 6)) << "the source is the MAC that a reply would come from";
  const size_t rest = probe.size() - one.flow_ends;
  EXPECT_EQ(Part(probe, one.flow_ends, rest), Bytes(rest, 0)) << "no payload";
  Bytes flow = Part(probe, 12, one.flow_ends - 12);
  const Bytes theirs = Part(frame, 12, one.flow_ends - 12);
  const bool v4 = frame[one.ip_at - 1] == 0;
  const size_t spoilt = one.ip_at - 12 + (v4 ? 10 : 4);
  EXPECT_NE(Part(flow, spoilt, 2), Part(theirs, spoilt, 2))
      << "the IP header is invalid, so that every stack drops the probe";
  flow[spoilt] = theirs[spoilt];
  flow[spoilt + 1] = theirs[spoilt + 1];
  EXPECT_EQ(flow, theirs);
}

const Case kProbed[] = {
    {"Udp", V4().udp(1000, 53).payload(200), 14, 42},
    {"Tcp", V4().tcp(1000, 53).payload(200), 14, 42},
    {"Icmp", V4().icmp().payload(200), 14, 42},
    {"Options", V4(10).tcp(1000, 53).payload(200), 14, 82},
    {"FirstFragment", V4(0, 0x2000).udp(1000, 53).payload(200), 14, 42},
    {"LastFragment", V4(0, 0x0010).proto(17).payload(200), 14, 42},
    {"Ah", V4().proto(51).payload(200), 14, 42},
    {"Tagged", Packet().eth().vlan(5).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).payload(200), 18, 46},
    {"TaggedTwice", Packet().eth().vlan(7, 0x88a8).vlan(5).ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(200), 22, 50},
    {"TaggedThrice", Packet().eth().vlan(7).vlan(5).vlan(3).ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(9), 26, 54},
    {"Udp6", V6().udp(1000, 53).payload(200), 14, 62},
    {"Tagged6", Packet().eth().vlan(5).ipv6("2001:db8::1", "2001:db8::2").tcp(1000, 53).payload(200), 18, 66},
    {"Options6", V6().extension(0, 1).udp(1000, 53).payload(200), 14, 78},
    {"Fragment6", V6().fragment6(9).proto(17).payload(200), 14, 70},
    {"LongestHeaders6", V6().extension(60, 16).udp(1000, 53).payload(200), 14, 198},
};
INSTANTIATE_TEST_SUITE_P(All, HasProbe, ::testing::ValuesIn(kProbed), [](const auto& test) { return test.param.name; });

TEST(SteeringProbe, NoneForFramesWithoutAFlow) {
  EXPECT_EQ(ProbeFor(Packet().eth().arp("10.0.0.1", "10.0.0.2")), Bytes());
  EXPECT_EQ(ProbeFor(Packet().eth().vlan(1).vlan(2).vlan(3).vlan(4).ipv4("10.0.0.1", "10.0.0.2").udp(1, 2)), Bytes())
      << "four tags";
  EXPECT_EQ(ProbeFor(V6().extension(60, 17).udp(1000, 53).payload(200)), Bytes()) << "options longer than a probe";
  EXPECT_EQ(ProbeFor(V4().udp(1000, 53).cut(3)), Bytes()) << "cut off";
  EXPECT_EQ(ProbeFor(Bytes()), Bytes());
}

TEST(SteeringProbe, OfAShortPacketIsFilledUp) {
  const Bytes probe = ProbeFor(V4().proto(50).payload(2));
  ASSERT_EQ(probe.size(), 60U);
  EXPECT_EQ(Part(probe, 34, 26),
            (Bytes{0xa5, 0xa5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(SteeringProbe, AProbesSourceIsNeverAGroupAddress) {
  Bytes frame = V4().udp(1, 2).bytes();
  frame[0] = 0x33;
  EXPECT_EQ(ProbeFor(frame)[6] & 1, 0);
}

TEST(SteeringProbe, SurvivesAnyBytes) {
  std::mt19937 random(20120704);
  for (int i = 0; i < 20'000; ++i) {
    Bytes frame = kProbed[random() % std::size(kProbed)].packet.bytes();
    for (uint32_t flips = random() % 8; flips > 0; --flips) {
      frame[random() % frame.size()] = static_cast<uint8_t>(random());
    }
    frame.resize(random() % (frame.size() + 1));
    const Bytes probe = ProbeFor(frame);
    ASSERT_TRUE(probe.empty() || probe.size() >= 60);
  }
}

TEST(ProbedFlows, AreDueEverMoreSeldom) {
  ProbedFlows flows;
  std::vector<int> due;
  for (int packet = 1; packet <= 20; ++packet) {
    if (flows.Due(7)) {
      due.push_back(packet);
    }
  }
  EXPECT_EQ(due, (std::vector<int>{1, 2, 4, 8, 16}));
  EXPECT_TRUE(flows.Due(8)) << "another flow";
  flows.Reset();
  EXPECT_TRUE(flows.Due(7));
  EXPECT_TRUE(flows.Due(0)) << "a flow whose hash is that of an empty slot";
}

// One-way traffic from port 0 to port 1. Port 0's device sees no packet of the flow leave, so it needs probes.
TEST(SteeringProbe, GoesOutOfThePortItsFlowCameFromByTheLaneItIsToUse) {
  auto stats = std::make_unique<StatsSegment>();
  auto ring = std::make_unique<HandoffRing>();
  FakeLane fake_source(2, 2048, {.ring_size = 256});
  FakeLane fake_destination(2, 2048, {.ring_size = 256});
  std::unique_ptr<Lane> source = fake_source.Open(1, stats->lanes[1]);
  std::unique_ptr<Lane> destination = fake_destination.Open(0, stats->lanes[0]);
  destination->transit().inbox().Attach(1, ring.get());
  source->transit().outbox().Attach(0, ring.get(), &destination->transit().inbox());
  source->transit().TransmitByHandoff(1, /*probe=*/true);
  functions::forward::Forward forward;
  constexpr uint64_t kPackets = 100;
  for (uint64_t i = 0; i < kPackets; ++i) {
    ASSERT_TRUE(fake_source.sockets[0]->Deliver(UdpPacket(5, i)));
  }
  for (int round = 0; round < 20; ++round) {
    source->Poll(forward);
    destination->Poll(forward);
  }
  const auto probes = fake_destination.sockets[0]->TakeSent();
  EXPECT_EQ(probes.size(), 7U) << "one after each of packets 1, 2, 4 ... 64";
  for (const std::string& probe : probes) {
    EXPECT_EQ(probe.substr(26, 12), UdpPacket(5, 0).substr(26, 12)) << "the flow's addresses and ports";
  }
  const auto packets = fake_destination.sockets[1]->TakeSent();
  EXPECT_EQ(packets.size(), kPackets);
  ExpectOrder(packets);
  EXPECT_EQ(stats->lanes[1].ports[0].originated.Get(), probes.size());
  const Balance balance = Balance::Of(*stats);
  EXPECT_TRUE(balance.holds()) << balance;
  EXPECT_EQ(balance.held, 0U);
}

}  // namespace
}  // namespace sluice
