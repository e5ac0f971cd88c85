// SPDX-License-Identifier: Apache-2.0
//
// Drops packets of blocked sources in either hook, before any rule, and counts them as BLOCKED.
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class BlocklistTest : public Programs {
 protected:
  static Bytes From(const std::string& src) {
    Packet packet;
    packet.eth();
    src.find(':') == std::string::npos ? packet.ipv4(src, "192.168.7.9") : packet.ipv6(src, "2001:db8::9");
    return packet.udp(1, 2).bytes();
  }
};

TEST_F(BlocklistTest, WithoutOneNothingIsBlocked) {
  EXPECT_EQ("dataplane", verdict(From("10.1.2.3")));
}

TEST_F(BlocklistTest, SourcesOfEitherFamily) {
  block({"10.1.0.0/16", "192.0.2.7", "2001:db8:bad::/48"});
  for (const char* blocked : {"10.1.2.3", "10.1.255.255", "192.0.2.7", "2001:db8:bad::1"}) {
    EXPECT_EQ("DROP BLOCKED", xdp(From(blocked))) << blocked;
    EXPECT_EQ("SHOT BLOCKED", tc(From(blocked))) << blocked;
  }
  for (const char* other : {"10.2.0.0", "192.0.2.6", "2001:db8:bae::1", "::10.1.2.3"}) {
    EXPECT_EQ("dataplane", verdict(From(other))) << other;
  }
}

TEST_F(BlocklistTest, AllOfOneFamilyIsNotTheOther) {
  block({"0.0.0.0/0"});
  EXPECT_EQ("DROP BLOCKED", xdp(From("1.2.3.4")));
  EXPECT_EQ("dataplane", verdict(From("::1")));
  EXPECT_EQ("dataplane", verdict(Packet().eth().payload(46).bytes())) << "the packet has no source address";
}

TEST_F(BlocklistTest, ComesBeforeTheRules) {
  set_rules({Rule().pass()});
  block({"10.1.2.3"});
  EXPECT_EQ("DROP BLOCKED", xdp(From("10.1.2.3")));
  EXPECT_EQ(0u, rule_hits(0, 0).packets);
  EXPECT_EQ("pass", verdict(From("10.1.2.4")));
}

TEST_F(BlocklistTest, AnotherListTakesItsPlace) {
  block({"10.1.2.3"});
  block({"10.1.2.4"});
  EXPECT_EQ("dataplane", verdict(From("10.1.2.3")));
  EXPECT_EQ("DROP BLOCKED", xdp(From("10.1.2.4")));
  block({});
  EXPECT_EQ("dataplane", verdict(From("10.1.2.4")));
}

TEST_F(BlocklistTest, TheAllowListGoesBeforeIt) {
  block({"10.1.2.3", "0.0.0.0/0", "2001:db8:bad::/48"});
  allow({"10.1.0.0/16", "2001:db8:bad::7"});
  EXPECT_EQ("dataplane", verdict(From("10.1.2.3"))) << "although the blocklist has the longer prefix";
  EXPECT_EQ("DROP BLOCKED", xdp(From("10.2.2.3")));
  EXPECT_EQ("dataplane", verdict(From("2001:db8:bad::7")));
  EXPECT_EQ("SHOT BLOCKED", tc(From("2001:db8:bad::8")));
  allow({});
  EXPECT_EQ("DROP BLOCKED", xdp(From("10.1.2.3")));
}

}  // namespace
}  // namespace sluice::bpf_test
