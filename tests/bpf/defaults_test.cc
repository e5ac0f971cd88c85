// SPDX-License-Identifier: Apache-2.0
//
// Verdicts on packets that no rule matches. The guest's own traffic stays with the kernel.
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

constexpr Mac kAllNodesMac = {0x33, 0x33, 0, 0, 0, 1};

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
  EXPECT_EQ("dataplane", verdict(Packet().eth(kBroadcastMac).arp("10.0.0.1", "10.0.0.9").bytes()));
  EXPECT_EQ("dataplane", verdict(Packet().eth(kBroadcastMac).arp("10.0.0.2", "10.0.0.9").bytes()));
}

TEST_F(Defaults, NeighbourDiscoveryForTheGuestPasses) {
  const auto solicit = [](const std::string& dst, const std::string& target) {
    return Packet().eth(kOtherMac).ipv6("fe80::1", dst).neighbour(135, target).bytes();
  };
  EXPECT_EQ("pass", verdict(solicit("ff02::1:ff00:2", "2001:db8::2")));
  EXPECT_EQ("pass", verdict(solicit("2001:db8::2", "2001:db8::2")));
  EXPECT_EQ("dataplane", verdict(solicit("ff02::1:ff00:2", "2001:db8:1::2")))
      << "the group is the same, the address is not ours";
  EXPECT_EQ("pass", verdict(Packet().eth().ipv6("fe80::1", "2001:db8::2").neighbour(136, "fe80::1").bytes()));
  EXPECT_EQ("dataplane",
            verdict(Packet().eth(kAllNodesMac).ipv6("fe80::1", "ff02::1").neighbour(136, "fe80::1").bytes()));
}

// A guest whose port has no address yet: nobody else has the port's MAC.
TEST_F(Defaults, ArpAndNdForThePortsMacPass) {
  EXPECT_EQ("pass", verdict(Packet().eth().arp("10.0.0.9", "0.0.0.0", 2).bytes())) << "the answer to an ARP probe";
  for (uint8_t type = 128; type < 140; ++type) {
    const Bytes packet = Packet().eth().ipv6("fe80::1", "fe80::9").neighbour(type, "fe80::9").bytes();
    EXPECT_EQ(type >= 133 && type <= 137 ? "pass" : "dataplane", verdict(packet)) << int{type};
  }
}

// An answer of a DHCP server as RFC 2131 has it; `client` is the one that it is for.
Packet dhcp_answer(const Mac& to, const std::string& dst, const Mac& client, uint16_t port = 68) {
  Bytes message(236);
  message[0] = 2;
  std::copy(client.begin(), client.end(), message.begin() + 28);
  return Packet().eth(to).ipv4("10.0.0.1", dst).udp(67, port).payload(message);
}

TEST_F(Defaults, AnAnswerOfADhcpServerReachesAPortWithoutAnAddress) {
  for (const uint32_t flags : {0, static_cast<int>(SLUICE_CONFIG_OWN_MAC_ONLY)}) {
    config_.flags = SLUICE_CONFIG_ACTIVE | flags;
    apply();
    const std::string others = flags != 0 ? "pass" : "dataplane";
    const std::string both = flags != 0 ? "pass" : "both";
    EXPECT_EQ("pass", verdict(dhcp_answer(kPortMac, "10.0.0.77", kPortMac).bytes())) << "unicast";
    EXPECT_EQ("dataplane", verdict(dhcp_answer(kPortMac, "10.0.0.77", kPortMac, 69).bytes())) << "to another port";
    EXPECT_EQ(both, verdict(dhcp_answer(kBroadcastMac, "255.255.255.255", kPortMac).bytes())) << "broadcast";
    EXPECT_EQ(others, verdict(dhcp_answer(kBroadcastMac, "255.255.255.255", kOtherMac).bytes())) << "another client";
    EXPECT_EQ(others, verdict(dhcp_answer(kOtherMac, "10.0.0.77", kOtherMac).bytes()));
  }
  EXPECT_EQ("dataplane", verdict(Packet().eth().ipv4("10.0.0.1", "10.0.0.77").udp(67, 68).payload(20).bytes()))
      << "too short for an answer";
}

TEST_F(Defaults, DhcpBehindATag) {
  Bytes message(236);
  std::copy(kPortMac.begin(), kPortMac.end(), message.begin() + 28);
  const Packet tagged = Packet().eth(kBroadcastMac).vlan(7).ipv4("10.0.0.1", "255.255.255.255").udp(67, 68);
  EXPECT_EQ("both", verdict(Packet(tagged).payload(message).bytes()));
}

TEST_F(Defaults, JoinedGroupsGoToBoth) {
  const std::string groups[] = {"224.0.0.18", "ff02::1"};
  const Bytes packets[] = {
      Packet().eth(kOtherMac).ipv4("10.0.0.1", groups[0]).proto(112).payload(20).bytes(),
      Packet().eth(kAllNodesMac).ipv6("fe80::1", groups[1]).neighbour(134, "::").bytes(),
  };
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ("dataplane", verdict(packets[i])) << "not joined: " << groups[i];
    add_local(groups[i], SLUICE_LOCAL_GROUP);
    EXPECT_EQ("both", verdict(packets[i])) << groups[i];
  }
  EXPECT_EQ("both", verdict(Packet().eth(kOtherMac).ipv4("10.0.0.1", groups[0], 0, 0x0002).proto(17).bytes()))
      << "a later fragment";
  set_rules({Rule().proto(112).dataplane()});
  EXPECT_EQ("dataplane", verdict(packets[0])) << "a rule switches the default off";
  block({"fe80::/16"});
  EXPECT_EQ("blocked", verdict(packets[1]));
  block({});
  set_rules({});
  config_.flags |= SLUICE_CONFIG_OWN_MAC_ONLY;
  apply();
  EXPECT_EQ("pass", verdict(packets[0])) << "the function wants nothing but what is for the port's MAC";
  EXPECT_EQ("pass", verdict(packets[1]));
}

// The neighbours of a router that was replaced (VRRP) learn so from an ARP announcement.
TEST_F(Defaults, ArpAnnouncementsGoToBothWhereTheGuestTakesPartInIpv4) {
  const Bytes announcement = Packet().eth(kBroadcastMac).arp("10.0.0.9", "10.0.0.9").bytes();
  EXPECT_EQ("dataplane", verdict(announcement));
  add_local("224.0.0.1", SLUICE_LOCAL_GROUP);
  EXPECT_EQ("both", verdict(announcement));
  EXPECT_EQ("dataplane", verdict(Packet().eth(kBroadcastMac).arp("10.0.0.8", "10.0.0.9").bytes()));
}

TEST_F(Defaults, ARuleForBoth) {
  set_rules({Rule().dst_port(7).both(), Rule().drop()});
  const Bytes packet = Packet().eth().ipv4("10.0.0.1", "10.0.0.2").udp(1, 7).bytes();
  EXPECT_EQ("both", verdict(packet));
  EXPECT_EQ(1u, rule_hits(0, 0).packets) << "counted by clsact alone";
  EXPECT_EQ(packet.size(), rule_hits(0, 0).bytes);
  EXPECT_EQ("drop", to4("10.0.0.3"));
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
  EXPECT_EQ("dataplane", verdict(Packet().eth().payload(46).bytes()));
  EXPECT_EQ("pass", verdict(Packet().eth(kOtherMac).payload(46).bytes()));
  EXPECT_EQ("pass", verdict(Packet().eth(kBroadcastMac).payload(46).bytes()));
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
