// SPDX-License-Identifier: Apache-2.0
//
// Verdicts on packets that no rule matches. The guest's own traffic stays with the kernel.
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class Defaults : public Programs {
 protected:
  void SetUp() override {
    Programs::SetUp();
    if (IsSkipped()) {
      return;
    }
    add_local("10.0.0.2");
    add_local("2001:db8::2");
  }
  std::string to4(const std::string& dst) {
    return verdict(Packet().eth().ipv4("10.0.0.1", dst).tcp(4000, 22).bytes());
  }
  std::string to6(const std::string& dst) {
    return verdict(Packet().eth().ipv6("2001:db8::1", dst).tcp(4000, 22).bytes());
  }
};

TEST_F(Defaults, WithoutAnAgentEverythingPassesUncounted) {
  config_.flags = 0;
  apply();
  for (const Packet& packet : {Packet().eth().ipv4("10.0.0.1", "10.9.9.9").udp(1, 2),
                               Packet().eth().ipv4("10.0.0.1", "10.9.9.9").poke(0, {0x44})}) {
    EXPECT_EQ("PASS -", xdp(packet.bytes()));
    EXPECT_EQ("OK -", tc(packet.bytes()));
  }
}

TEST_F(Defaults, TheGuestsOwnAddressesPass) {
  EXPECT_EQ("pass", to4("10.0.0.2"));
  EXPECT_EQ("dataplane", to4("10.0.0.3"));
  EXPECT_EQ("pass", to6("2001:db8::2"));
  EXPECT_EQ("dataplane", to6("2001:db8::3"));
}

TEST_F(Defaults, FamiliesAreNotMixedUp) {
  add_local("::a00:3");  // the bytes of 10.0.0.3, elsewhere
  EXPECT_EQ("dataplane", to4("10.0.0.3"));
  EXPECT_EQ("dataplane", to6("a00:2::")) << "an IPv6 address that begins with the bytes of 10.0.0.2";
}

TEST_F(Defaults, BehindTagsToo) {
  EXPECT_EQ("pass", verdict(Packet().eth().vlan(7).ipv4("10.0.0.1", "10.0.0.2").icmp().bytes()));
}

TEST_F(Defaults, FragmentsToTheGuestPass) {
  EXPECT_EQ("pass", verdict(Packet().eth().ipv4("10.0.0.1", "10.0.0.2", 0, 0x2010).udp(1, 2).bytes()));
}

TEST_F(Defaults, ArpForTheGuestPasses) {
  EXPECT_EQ("pass", verdict(Packet().eth().arp("10.0.0.1", "10.0.0.2").bytes()));
  EXPECT_EQ("pass", verdict(Packet().eth().arp("10.0.0.1", "10.0.0.2", 2).bytes())) << "an ARP reply";
  EXPECT_EQ("dataplane", verdict(Packet().eth().arp("10.0.0.1", "10.0.0.9").bytes()));
  EXPECT_EQ("dataplane", verdict(Packet().eth().arp("10.0.0.2", "10.0.0.9").bytes()));
}

TEST_F(Defaults, NeighbourDiscoveryForTheGuestPasses) {
  const auto solicit = [](const std::string& dst, const std::string& target) {
    return Packet().eth().ipv6("fe80::1", dst).neighbour(135, target).bytes();
  };
  EXPECT_EQ("pass", verdict(solicit("ff02::1:ff00:2", "2001:db8::2")));
  EXPECT_EQ("pass", verdict(solicit("2001:db8::2", "2001:db8::2")));
  EXPECT_EQ("dataplane", verdict(solicit("ff02::1:ff00:2", "2001:db8:1::2")))
      << "the group is the same, the address is not ours";
  EXPECT_EQ("pass", verdict(Packet().eth().ipv6("fe80::1", "2001:db8::2").neighbour(136, "fe80::1").bytes()));
  EXPECT_EQ("dataplane", verdict(Packet().eth().ipv6("fe80::1", "ff02::1").neighbour(136, "fe80::1").bytes()));
}

TEST_F(Defaults, ASolicitedNodeGroupMayBeLocalItself) {
  add_local("ff02::1:ff00:2");
  EXPECT_EQ("pass", to6("ff02::1:ff00:2"));
}

TEST_F(Defaults, ARuleComesBeforeTheGuestsAddresses) {
  set_rules({Rule().dst("10.0.0.2").dataplane()});
  EXPECT_EQ("dataplane", to4("10.0.0.2"));
}

TEST_F(Defaults, BumpInTheWireTakesEveryMac) {
  EXPECT_EQ("dataplane", verdict(Packet().eth(kOtherMac).payload(46).bytes()));
}

TEST_F(Defaults, OwnMacOnlyLeavesOtherMacsToTheKernel) {
  config_.flags |= SLUICE_CONFIG_OWN_MAC_ONLY;
  apply();
  const Mac broadcast = {255, 255, 255, 255, 255, 255};
  EXPECT_EQ("dataplane", verdict(Packet().eth().payload(46).bytes()));
  EXPECT_EQ("pass", verdict(Packet().eth(kOtherMac).payload(46).bytes()));
  EXPECT_EQ("pass", verdict(Packet().eth(broadcast).payload(46).bytes()));
  for (int i = 0; i < 6; ++i) {
    Mac mac = kPortMac;
    mac[i] ^= 0x80;
    EXPECT_EQ("pass", verdict(Packet().eth(mac).payload(46).bytes())) << "byte " << i;
  }
}

TEST_F(Defaults, OwnMacOnlyLeavesAllArpAndNdToTheKernel) {
  config_.flags |= SLUICE_CONFIG_OWN_MAC_ONLY;
  apply();
  EXPECT_EQ("pass", verdict(Packet().eth().arp("10.0.0.1", "10.0.0.9").bytes()));
  for (uint8_t type = 128; type < 140; ++type) {
    const Bytes packet = Packet().eth().ipv6("fe80::1", "fe80::9").neighbour(type, "fe80::9").bytes();
    EXPECT_EQ(type >= 133 && type <= 137 ? "pass" : "dataplane", verdict(packet)) << int{type};
  }
}

TEST_F(Defaults, OwnMacOnlyStillPassesTheGuestsAddresses) {
  config_.flags |= SLUICE_CONFIG_OWN_MAC_ONLY;
  apply();
  EXPECT_EQ("pass", to4("10.0.0.2"));
  EXPECT_EQ("dataplane", to4("10.0.0.3"));
}

}  // namespace
}  // namespace sluice::bpf_test
