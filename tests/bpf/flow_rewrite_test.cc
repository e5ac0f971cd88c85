// SPDX-License-Identifier: Apache-2.0
//
// Rewrites packets of offloaded flows in XDP, and compares them, checksums included, with packets built with the wanted
// values.
#include "dataplane/function/flow_action.h"
#include "tests/bpf/flow_runs.h"

namespace sluice::bpf_test {
namespace {

constexpr uint8_t kNewDst[6] = {0x02, 0, 0, 0, 0, 0x11};
constexpr uint8_t kNewSrc[6] = {0x02, 0, 0, 0, 0, 0x22};

struct Shape {
  const char* name;
  bool ipv6;
  bool tcp;
  bool tag;
};

struct Spec {
  const char* src[2] = {"10.0.0.1", "2001:db8::1"};
  const char* dst[2] = {"10.0.0.2", "2001:db8::2"};
  uint16_t src_port = 1000;
  uint16_t dst_port = 53;
  uint16_t vlan = 10;
  uint8_t ttl = 64;
  uint8_t macs[12] = {0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x99};
};

Bytes written(const Shape& shape, const Spec& spec, size_t payload) {
  Packet packet;
  packet.eth();
  if (shape.tag) {
    packet.vlan(spec.vlan);
  }
  if (shape.ipv6) {
    packet.ipv6(spec.src[1], spec.dst[1]).poke(7, {spec.ttl});
  } else {
    packet.ipv4(spec.src[0], spec.dst[0]).poke(8, {spec.ttl});
  }
  if (shape.tcp) {
    packet.tcp(spec.src_port, spec.dst_port);
  } else {
    packet.udp(spec.src_port, spec.dst_port);
  }
  Bytes bytes = packet.payload(payload).checksums().bytes();
  std::copy(spec.macs, spec.macs + 12, bytes.begin());
  return bytes;
}

class FlowRewriteTest : public FlowRuns, public ::testing::WithParamInterface<Shape> {
 protected:
  // Expects XDP to change the packet of Spec() into that of `after` when its flow is offloaded with `action`.
  void expect(const sluice_flow_action& action, const Spec& after) {
    for (const size_t payload : {0, 1, 18, 1200}) {
      const Bytes packet = written(GetParam(), Spec(), payload);
      put(flow_of(packet, SLUICE_FLOW_OFFLOADED, action));
      EXPECT_EQ(written(GetParam(), after, payload), offloaded(packet)) << payload << " bytes of payload";
    }
  }

  sluice_flow_action translated(const Spec& after, uint32_t changes = 0) {
    return Translated(SentOut(0, changes), key_of(written(GetParam(), Spec(), 0)),
                      key_of(written(GetParam(), after, 0)));
  }
  static Spec nat() {
    Spec spec;
    spec.src[0] = "192.0.2.200", spec.src[1] = "2001:db8:ffff::1";
    spec.dst[0] = "198.51.100.7", spec.dst[1] = "fe80::7:8";
    spec.src_port = 40000, spec.dst_port = 8053;
    return spec;
  }
};

TEST_P(FlowRewriteTest, NothingIsChangedUnasked) {
  expect(SentOut(0), Spec());
}

TEST_P(FlowRewriteTest, MacsAreSwappedOrSet) {
  Spec swapped;
  std::swap_ranges(swapped.macs, swapped.macs + 6, swapped.macs + 6);
  expect(SentOut(0, SLUICE_FLOW_SWAP_MACS), swapped);
  Spec set;
  std::copy(kNewDst, kNewDst + 6, set.macs);
  std::copy(kNewSrc, kNewSrc + 6, set.macs + 6);
  sluice_flow_action action = SentOut(0, SLUICE_FLOW_SET_MACS);
  std::copy(kNewDst, kNewDst + 6, action.dst_mac);
  std::copy(kNewSrc, kNewSrc + 6, action.src_mac);
  expect(action, set);
}

TEST_P(FlowRewriteTest, TheTtlGoesDownButNotToItsEnd) {
  Spec after;
  after.ttl = 63;
  expect(SentOut(0, SLUICE_FLOW_DEC_TTL), after);
  Spec last;
  last.ttl = 1;
  put(flow_of(written(GetParam(), last, 18), SLUICE_FLOW_OFFLOADED, SentOut(0, SLUICE_FLOW_DEC_TTL)));
  EXPECT_EQ("PASS NO_SOCKET", xdp(written(GetParam(), last, 18)));
}

TEST_P(FlowRewriteTest, AddressesAndPortsAreTranslated) {
  expect(translated(nat()), nat());
  Spec routed = nat();
  routed.ttl = 63;
  expect(translated(nat(), SLUICE_FLOW_DEC_TTL), routed);
}

TEST_P(FlowRewriteTest, ATagGetsAnotherId) {
  if (!GetParam().tag) {
    return;
  }
  Spec after = nat();
  after.vlan = 4000;
  after.ttl = 63;
  std::swap_ranges(after.macs, after.macs + 6, after.macs + 6);
  sluice_flow_action action = translated(nat(), SLUICE_FLOW_SET_VLAN | SLUICE_FLOW_SWAP_MACS | SLUICE_FLOW_DEC_TTL);
  action.vlan = 4000;
  expect(action, after);
}

TEST_P(FlowRewriteTest, ATagKeepsItsPriority) {
  if (!GetParam().tag) {
    return;
  }
  Bytes packet = written(GetParam(), Spec(), 18);
  packet[14] |= 0xe0;
  sluice_flow_action action = SentOut(0, SLUICE_FLOW_SET_VLAN);
  action.vlan = 4000;
  put(flow_of(packet, SLUICE_FLOW_OFFLOADED, action));
  Bytes expected = packet;
  Packet::put16(expected, 14, 0xe000 | 4000);
  EXPECT_EQ(expected, offloaded(packet));
}

TEST_P(FlowRewriteTest, AUdpPacketWithoutAChecksumStaysSo) {
  if (GetParam().tcp) {
    return;
  }
  Bytes packet = written(GetParam(), Spec(), 18);
  Bytes expected = written(GetParam(), nat(), 18);
  const size_t field = packet.size() - 18 - 2;
  Packet::put16(packet, field, 0);
  Packet::put16(expected, field, 0);
  put(flow_of(packet, SLUICE_FLOW_OFFLOADED, translated(nat())));
  EXPECT_EQ(expected, offloaded(packet));
}

TEST_P(FlowRewriteTest, AWrongChecksumStaysWrong) {
  Bytes packet = written(GetParam(), Spec(), 18);
  packet.back() ^= 0x55;
  put(flow_of(packet, SLUICE_FLOW_OFFLOADED, translated(nat())));
  Bytes expected = written(GetParam(), nat(), 18);
  expected.back() ^= 0x55;
  EXPECT_EQ(expected, offloaded(packet)) << "the checksum still fits the bytes as they were before the damage";
}

INSTANTIATE_TEST_SUITE_P(Shapes, FlowRewriteTest,
                         ::testing::Values(Shape{"Ipv4Udp", false, false, false}, Shape{"Ipv4Tcp", false, true, false},
                                           Shape{"Ipv6Udp", true, false, false}, Shape{"Ipv6Tcp", true, true, false},
                                           Shape{"TaggedIpv4Udp", false, false, true},
                                           Shape{"TaggedIpv6Tcp", true, true, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace sluice::bpf_test
