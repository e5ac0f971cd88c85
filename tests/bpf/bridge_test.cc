// SPDX-License-Identifier: Apache-2.0
//
// The clsact program sluice_bridge: its verdicts on packets for the dataplane, and its counters.
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class Bridge : public Programs {
 protected:
  void mode(uint32_t bridge_mode, uint32_t ifindex = 0) {
    config_.bridge_mode = bridge_mode;
    config_.bridge_ifindex = ifindex;
    apply();
  }
  const Bytes packet_ = Packet().eth().ipv4("10.0.0.1", "10.0.0.9").tcp(1, 2).payload(3000).bytes();
};

TEST_F(Bridge, WithoutADataplaneThePolicyDecides) {
  mode(SLUICE_BRIDGE_PASS);
  EXPECT_EQ("OK DOWN_PASS", tc(packet_));
  mode(SLUICE_BRIDGE_DROP);
  EXPECT_EQ("SHOT DOWN_DROP", tc(packet_));
}

TEST_F(Bridge, RedirectsIntoTheBridge) {
  mode(SLUICE_BRIDGE_REDIRECT, 1);
  EXPECT_EQ("REDIRECT BRIDGED", tc(packet_));
}

TEST_F(Bridge, WithoutAnInterfaceARedirectIsACountedDrop) {
  mode(SLUICE_BRIDGE_REDIRECT, 0);
  EXPECT_EQ("SHOT DOWN_DROP", tc(packet_));
}

TEST_F(Bridge, AnUnknownModeDrops) {
  mode(99, 1);
  EXPECT_EQ("SHOT DOWN_DROP", tc(packet_));
}

TEST_F(Bridge, RulesHoldInEveryMode) {
  set_rules({Rule().dst_port(2).drop(), Rule().dst_port(3).pass()});
  for (const uint32_t bridge_mode : {SLUICE_BRIDGE_PASS, SLUICE_BRIDGE_REDIRECT, SLUICE_BRIDGE_DROP}) {
    mode(bridge_mode, 1);
    EXPECT_EQ("SHOT DROP", tc(packet_));
    EXPECT_EQ("OK PASS", tc(Packet().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, 3).bytes()));
  }
}

TEST_F(Bridge, CountsTheBytesOfTheFrame) {
  tc(packet_);
  EXPECT_EQ(packet_.size(), all_counters().bytes[SLUICE_VERDICT_DOWN_PASS]);
}

// The merged packet has 3 segments of 1000 bytes. It holds the 54 header bytes once; on the wire they were sent thrice.
TEST_F(Bridge, AMergedPacketCountsAsItsFrames) {
  EXPECT_EQ("OK DOWN_PASS*3", tc(packet_, {.gso_segs = 3, .gso_size = 1000}));
  EXPECT_EQ(packet_.size() + 2 * 54, all_counters().bytes[SLUICE_VERDICT_DOWN_PASS]);
}

TEST_F(Bridge, AMergedPacketsLengthFieldsAreNotJudged) {
  const TcContext merged = {.gso_segs = 0, .gso_size = 1000};
  const Packet v4 = Packet().eth().ipv4("10.0.0.1", "10.0.0.9").poke16(2, 0).udp(1, 2).payload(3000);
  const Packet v6 = Packet().eth().ipv6("::1", "::9").poke16(4, 0).udp(1, 2).poke16(4, 1008).payload(3000);
  for (const Packet& packet : {v4, v6}) {
    EXPECT_EQ("OK DOWN_PASS", tc(packet.bytes(), merged));
    EXPECT_EQ("SHOT MALFORMED", tc(packet.bytes()));
  }
}

TEST_F(Bridge, AMergedPacketMustStillHoldItsHeaders) {
  const TcContext merged = {.gso_segs = 0, .gso_size = 1000};
  const Bytes short_tcp = Packet().eth().ipv4("10.0.0.1", "10.0.0.9").proto(6).payload(19).bytes();
  EXPECT_EQ("SHOT MALFORMED", tc(short_tcp, merged));
}

// The law of bpf/count.h: without NO_SOCKET, the verdicts add up to the packets.
TEST_F(Bridge, EveryPacketIsCountedOnceOverBothHooks) {
  add_local("10.0.0.2");
  set_rules({Rule().dst_port(7).drop(), Rule().dst_port(8).pass()});
  mode(SLUICE_BRIDGE_REDIRECT, 1);
  const std::vector<Bytes> packets = {
      packet_,
      Packet().eth().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 22).bytes(),
      Packet().eth().ipv4("10.0.0.1", "10.0.0.9").tcp(1, 7).bytes(),
      Packet().eth().ipv4("10.0.0.1", "10.0.0.9").tcp(1, 8).bytes(),
      Packet().eth().ipv4("10.0.0.1", "10.0.0.9").poke(0, {0x41}).bytes(),
  };
  for (const bool attached : {true, false}) {
    SCOPED_TRACE(attached ? "XDP attached" : "XDP detached");
    clear_counters();
    uint64_t bytes = 0;
    for (const Bytes& packet : packets) {
      bytes += packet.size();
      if (!attached || xdp(packet).rfind("PASS", 0) == 0) {
        tc(packet);
      }
    }
    const sluice_counters sum = all_counters();
    uint64_t counted = 0, counted_bytes = 0;
    for (int i = 0; i < SLUICE_VERDICT_COUNT; ++i) {
      if (i == SLUICE_VERDICT_NO_SOCKET) {
        continue;
      }
      counted += sum.packets[i];
      counted_bytes += sum.bytes[i];
    }
    EXPECT_EQ(packets.size(), counted);
    EXPECT_EQ(bytes, counted_bytes);
    EXPECT_EQ(attached ? 1u : 0u, sum.packets[SLUICE_VERDICT_NO_SOCKET]);
  }
}

}  // namespace
}  // namespace sluice::bpf_test
