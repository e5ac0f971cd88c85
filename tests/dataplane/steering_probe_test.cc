// Steering probes: the host must take one for the flow's own packet, and nobody else for a packet at all.
#include "dataplane/lane/steering_probe.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dataplane/functions/forward/forward.h"
#include "dataplane/net/flow_hash.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

std::string ProbeFor(const std::string& frame) {
  // Exactly as long as they may be, so that the sanitizers see any step beyond.
  const std::vector<uint8_t> bytes(frame.begin(), frame.end());
  std::vector<uint8_t> probe(kMaxProbeBytes);
  const uint32_t length = MakeSteeringProbe(bytes.data(), static_cast<uint32_t>(bytes.size()), probe.data());
  EXPECT_LE(length, kMaxProbeBytes);
  return {probe.begin(), probe.begin() + length};
}

uint32_t HashOf(const std::string& frame) {
  return FlowHash(reinterpret_cast<const uint8_t*>(frame.data()), static_cast<uint32_t>(frame.size()));
}

std::string Frame(const std::string& behind_macs, size_t length = 300) {
  std::string frame("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
  frame += behind_macs;
  while (frame.size() < length) {
    frame += static_cast<char>('a' + frame.size() % 26);  // as ports and as payload
  }
  return frame;
}

std::string Ipv4(uint8_t protocol, uint16_t fragment = 0, uint8_t header_words = 5) {
  std::string ip("\x08\x00\x45\x00\x01\x00\x00\x07\x00\x00\x40\x00\x12\x34\x0a\x00\x00\x01\x0a\x00\x00\x02", 22);
  ip[2] = static_cast<char>(0x40 | header_words);
  ip[8] = static_cast<char>(fragment >> 8);
  ip[9] = static_cast<char>(fragment);
  ip[11] = static_cast<char>(protocol);
  ip.append((header_words - 5U) * 4U, '\1');
  return ip;
}

std::string Ipv6(uint8_t next_header, const std::string& extensions = "") {
  std::string ip("\x86\xdd\x60\x00\x00\x00\x00\x64", 8);
  ip += static_cast<char>(next_header);
  ip += '\x40';
  ip +=
      "0123456789abcdef"
      "ghijklmnopqrstuv";
  return ip + extensions;
}

struct Case {
  const char* name;
  std::string frame;
  size_t ip_at;
  size_t flow_ends;
};

class HasProbe : public ::testing::TestWithParam<Case> {};

TEST_P(HasProbe, WithTheFlowsHeadersAndNothingElse) {
  const Case& one = GetParam();
  const std::string probe = ProbeFor(one.frame);
  ASSERT_EQ(probe.size(), std::max<size_t>(one.flow_ends, 60));
  EXPECT_EQ(probe.substr(0, 6), std::string("\x01\x80\xc2\x00\x00\x01", 6));
  EXPECT_EQ(probe.substr(6, 6), one.frame.substr(0, 6)) << "from whom a reply would come";
  EXPECT_EQ(HashOf(probe), HashOf(one.frame));
  EXPECT_EQ(probe.find_first_not_of('\0', one.flow_ends), std::string::npos) << "no payload";
  std::string flow = probe.substr(12, one.flow_ends - 12);
  const std::string theirs = one.frame.substr(12, one.flow_ends - 12);
  const bool v4 = one.frame[one.ip_at - 1] == 0;
  const size_t spoilt = one.ip_at - 12 + (v4 ? 10 : 4);
  EXPECT_NE(flow.substr(spoilt, 2), theirs.substr(spoilt, 2)) << "no stack may believe it";
  flow.replace(spoilt, 2, theirs.substr(spoilt, 2));
  EXPECT_EQ(flow, theirs);
}

const std::string kTag("\x81\x00\x00\x05", 4);
const std::string kOuterTag("\x88\xa8\x00\x07", 4);

INSTANTIATE_TEST_SUITE_P(
    All, HasProbe,
    ::testing::Values(Case{"udp", Frame(Ipv4(17)), 14, 38}, Case{"tcp", Frame(Ipv4(6)), 14, 38},
                      Case{"icmp", Frame(Ipv4(1)), 14, 38}, Case{"options", Frame(Ipv4(6, 0, 15)), 14, 78},
                      Case{"first_fragment", Frame(Ipv4(17, 0x2000)), 14, 38},
                      Case{"last_fragment", Frame(Ipv4(17, 0x0010)), 14, 38},
                      Case{"tagged", Frame(kTag + Ipv4(17)), 18, 42},
                      Case{"tagged_twice", Frame(kOuterTag + kTag + Ipv4(17)), 22, 46},
                      Case{"udp6", Frame(Ipv6(17)), 14, 62}, Case{"tagged6", Frame(kTag + Ipv6(6)), 18, 66},
                      Case{"options6", Frame(Ipv6(0, std::string("\x11\x01", 2) + std::string(14, '\0'))), 14, 78},
                      Case{"fragment6", Frame(Ipv6(44)), 14, 62}),
    [](const auto& test) { return test.param.name; });

TEST(SteeringProbe, NoneForWhatIsNotAFlow) {
  EXPECT_EQ(ProbeFor(Frame(std::string("\x08\x06\x00\x01", 4))), "") << "ARP";
  EXPECT_EQ(ProbeFor(Frame(kTag + kTag + kTag + Ipv4(17))), "") << "three tags";
  EXPECT_EQ(ProbeFor(Frame(Ipv6(0, std::string("\x11\xff", 2)))), "") << "options longer than anybody's";
  EXPECT_EQ(ProbeFor(Frame(Ipv4(17)).substr(0, 30)), "") << "cut off";
  EXPECT_EQ(ProbeFor(""), "");
}

TEST(SteeringProbe, AGroupIsNobodysSource) {
  std::string frame = Frame(Ipv4(17));
  frame[0] = '\x33';
  EXPECT_EQ(ProbeFor(frame)[6] & 1, 0);
}

TEST(SteeringProbe, StandsAnyBytes) {
  std::mt19937 random(20120704);
  const std::string starts[] = {Ipv4(17), Ipv6(0), kTag + Ipv6(60), kTag + Ipv4(6, 0, 15), ""};
  for (int i = 0; i < 20'000; ++i) {
    std::string frame = Frame(starts[random() % 5], 120).substr(0, random() % 121);
    for (uint32_t flips = random() % 8; flips > 0 && !frame.empty(); --flips) {
      frame[random() % frame.size()] = static_cast<char>(random());
    }
    const std::string probe = ProbeFor(frame);
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
  EXPECT_TRUE(flows.Due(0)) << "as an empty slot's";
}

// One-way traffic from port 0 to port 1: what leaves by port 1 says nothing to port 0's device.
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
  EXPECT_EQ(probes.size(), 7U) << "after packets 1, 2, 4 ... 64";
  for (const std::string& probe : probes) {
    EXPECT_EQ(HashOf(probe), HashOf(UdpPacket(5, 0)));
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
