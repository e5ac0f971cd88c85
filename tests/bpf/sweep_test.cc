// SPDX-License-Identifier: Apache-2.0
//
// Sweeps over many frames, valid and damaged: for each, both hooks agree, give a verdict, and count it once.
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class Sweep : public Programs {
 protected:
  void SetUp() override {
    Programs::SetUp();
    if (IsSkipped()) {
      return;
    }
    add_local("10.0.0.2");
    add_local("2001:db8::2");
    set_rules({Rule().dst_port(53).drop(), Rule().proto(6).src_port(1).pass(), Rule().vlan(3).pass()});
  }
  // verdict() returns another text if the hooks differ, or if they count the packet twice or not at all.
  void expect_defined(const Bytes& packet) {
    const std::string said = verdict(packet);
    ASSERT_TRUE(said == "dataplane" || said == "pass" || said == "drop" || said == "malformed" ||
                said == "unreadable" || said == "fragment")
        << said;
  }
};

const std::vector<std::pair<std::string, Packet>>& valid_packets() {
  static const std::vector<std::pair<std::string, Packet>> all = {
      {"unknown ethertype", Packet().eth().payload(46)},
      {"IPv4 TCP", Packet().eth().ipv4("10.0.0.1", "10.0.0.9").tcp(1, 2, 3).payload(10)},
      {"IPv4 UDP", Packet().eth().ipv4("10.0.0.1", "10.0.0.2").udp(1, 53).payload(10)},
      {"IPv4 options ICMP", Packet().eth().ipv4("10.0.0.1", "10.0.0.9", 4).icmp().payload(10)},
      {"IPv4 SCTP", Packet().eth().ipv4("10.0.0.1", "10.0.0.9").sctp(1, 2).payload(10)},
      {"IPv4 first fragment", Packet().eth().ipv4("10.0.0.1", "10.0.0.9", 0, 0x2000).udp(1, 2).payload(16)},
      {"IPv4 later fragment", Packet().eth().ipv4("10.0.0.1", "10.0.0.9", 0, 0x2005).proto(17).payload(16)},
      {"QinQ IPv4 UDP", Packet().eth().vlan(3, 0x88a8).vlan(4).ipv4("10.0.0.1", "10.0.0.9").udp(1, 2)},
      {"IPv6 TCP", Packet().eth().ipv6("2001:db8::1", "2001:db8::9").tcp(1, 2).payload(10)},
      {"IPv6 chain", Packet()
                         .eth()
                         .vlan(5)
                         .ipv6("2001:db8::1", "2001:db8::9")
                         .extension(0)
                         .extension(43, 2)
                         .fragment6(1)
                         .ah()
                         .extension(60, 1)
                         .udp(1, 2)
                         .payload(10)},
      {"IPv6 later fragment", Packet().eth().ipv6("2001:db8::1", "2001:db8::9").fragment6(0x0011).proto(17).payload(9)},
      {"IPv6 solicitation", Packet().eth().ipv6("fe80::1", "ff02::1:ff00:2").neighbour(135, "2001:db8::2").payload(8)},
      {"ARP", Packet().eth().arp("10.0.0.1", "10.0.0.2").padding(18)},
  };
  return all;
}

TEST_F(Sweep, EveryPacketIsValidToBeginWith) {
  for (const auto& [name, packet] : valid_packets()) {
    EXPECT_NE("malformed", verdict(packet.bytes())) << name;
  }
}

TEST_F(Sweep, CutAtEveryLength) {
  for (const auto& [name, packet] : valid_packets()) {
    const Bytes whole = packet.bytes();
    for (size_t size = 14; size <= whole.size(); ++size) {
      SCOPED_TRACE(name + " cut to " + std::to_string(size));
      expect_defined(Bytes(whole.begin(), whole.begin() + size));
    }
  }
}

// An IP packet states its length, so every cut of a packet without padding is noticed.
TEST_F(Sweep, ACutIpPacketIsMalformed) {
  for (const auto& [name, packet] : valid_packets()) {
    if (name.rfind("IPv", 0) != 0) {
      continue;
    }
    const Bytes whole = packet.bytes();
    for (size_t size = 14; size < whole.size(); ++size) {
      EXPECT_EQ("malformed", verdict(Bytes(whole.begin(), whole.begin() + size))) << name << " cut to " << size;
    }
  }
}

TEST_F(Sweep, PaddedAtEveryLength) {
  for (const auto& [name, packet] : valid_packets()) {
    const Bytes whole = packet.bytes();
    const std::string want = verdict(whole);
    for (size_t more = 1; more <= 64; ++more) {
      Bytes padded = whole;
      padded.resize(whole.size() + more);
      EXPECT_EQ(want, verdict(padded)) << name << " with " << more << " bytes of padding";
    }
  }
}

TEST_F(Sweep, EveryByteChanged) {
  for (const auto& [name, packet] : valid_packets()) {
    const Bytes whole = packet.bytes();
    for (size_t at = 0; at < whole.size(); ++at) {
      for (const uint8_t flip : {0x01, 0x08, 0x10, 0x80, 0xff}) {
        SCOPED_TRACE(name + ", byte " + std::to_string(at) + " ^ " + std::to_string(flip));
        Bytes changed = whole;
        changed[at] ^= flip;
        expect_defined(changed);
      }
    }
  }
}

// Tries every value of the bytes that decide how far the parser goes.
TEST_F(Sweep, EveryValueOfTheHeaderBytes) {
  for (const auto& [name, packet] : valid_packets()) {
    const Bytes whole = packet.bytes();
    for (const size_t at : {12, 13, 14, 16, 17, 18, 19, 20, 21, 23, 38, 39, 46, 54, 55, 58, 59}) {
      if (at >= whole.size()) {
        continue;
      }
      for (unsigned value = 0; value < 256; ++value) {
        SCOPED_TRACE(name + ", byte " + std::to_string(at) + " = " + std::to_string(value));
        Bytes changed = whole;
        changed[at] = value;
        expect_defined(changed);
      }
    }
  }
}

TEST_F(Sweep, LargeFramesAreNoDifferent) {
  for (const size_t size : {512u, 1000u, 1480u, 3000u}) {
    const Bytes packet = Packet().eth().ipv4("10.0.0.1", "10.0.0.9").udp(1, 2).payload(size).bytes();
    EXPECT_EQ("dataplane", verdict(packet)) << size;
    const Bytes far = Packet().eth().ipv6("::1", "::9").extension(60, 60).udp(1, 53).payload(size - 512).bytes();
    EXPECT_EQ("unreadable", verdict(far)) << size << ", UDP out of reach";
  }
}

// XDP gets a jumbo frame in several buffers, of which only the first is in data..data_end.
TEST_F(Sweep, XdpJudgesAFrameOfSeveralBuffersByItsWholeLength) {
  const auto jumbo = [](size_t total_length) {
    return Packet().eth().ipv4("10.0.0.1", "10.0.0.9").poke16(2, total_length).tcp(2, 2).payload(8960).bytes();
  };
  ASSERT_EQ(9014u, jumbo(9000).size());
  EXPECT_EQ("PASS NO_SOCKET", xdp(jumbo(9000)));
  EXPECT_EQ(9014u, all_counters().bytes[SLUICE_VERDICT_NO_SOCKET]);
  EXPECT_EQ("DROP MALFORMED", xdp(jumbo(9001)));
}

}  // namespace
}  // namespace sluice::bpf_test
