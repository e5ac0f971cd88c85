#include "control/kernel/device_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if_arp.h>

#include <functional>
#include <string>

namespace sluice {
namespace {

using testing::HasSubstr;

GateFacts Hardware() {
  GateFacts facts;
  facts.link.name = "eth0";
  facts.link.ifindex = 2;
  facts.link.hardware_type = ARPHRD_ETHER;
  facts.link.mtu_bytes = 1500;
  facts.driver = "virtio_net";
  facts.virtio = VirtioDevice{"virtio0", uint64_t{1} << static_cast<uint32_t>(VirtioFeature::kMrgRxbuf), true};
  return facts;
}

struct GateCase {
  const char* name;
  std::function<void(GateFacts&)> change;
  const char* words;  // nullptr: it can be a port
};

class DeviceGateTest : public testing::TestWithParam<GateCase> {};

TEST_P(DeviceGateTest, TakesOrSaysWhyNot) {
  GateFacts facts = Hardware();
  GetParam().change(facts);
  const absl::Status s = CheckGate(facts);
  if (GetParam().words == nullptr) {
    EXPECT_TRUE(s.ok()) << s;
  } else {
    EXPECT_EQ(s.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(s.message()), HasSubstr(GetParam().words));
  }
}

std::function<void(GateFacts&)> OfKind(const char* kind) {
  return [kind](GateFacts& facts) {
    facts.link.kind = kind;
    facts.driver = kind;
    facts.virtio.reset();
  };
}

std::function<void(GateFacts&)> MemberOf(const char* kind) {
  return [kind](GateFacts& facts) {
    facts.link.master_ifindex = 9;
    facts.link.master_kind = kind;
    facts.master = "over0";
  };
}

INSTANTIATE_TEST_SUITE_P(
    Devices, DeviceGateTest,
    testing::Values(GateCase{"virtio", [](GateFacts&) {}, nullptr}, GateCase{"veth", OfKind("veth"), nullptr},
                    GateCase{"tap", OfKind("tun"), nullptr}, GateCase{"hardware", OfKind(""), nullptr},
                    GateCase{"loopback", [](GateFacts& facts) { facts.link.loopback = true; }, "loopback"},
                    GateCase{"tun",
                             [](GateFacts& facts) {
                               facts.link.hardware_type = ARPHRD_NONE;
                               facts.link.kind = "tun";
                             },
                             "no Ethernet frames"},
                    GateCase{"infiniband", [](GateFacts& facts) { facts.link.hardware_type = ARPHRD_INFINIBAND; },
                             "no Ethernet frames"},
                    GateCase{"bond", OfKind("bond"), "it is a bond"}, GateCase{"team", OfKind("team"), "it is a team"},
                    GateCase{"bridge", OfKind("bridge"), "members' queues"},
                    GateCase{"vlan", OfKind("vlan"), "match the VLAN"},
                    GateCase{"macvlan", OfKind("macvlan"), "no queues of its own"},
                    GateCase{"dummy", OfKind("dummy"), "no wire"}, GateCase{"unknown", OfKind("hsr"), "kind hsr"},
                    GateCase{"failover", [](GateFacts& facts) { facts.driver = "net_failover"; }, "failover"},
                    GateCase{"bond_member", MemberOf("bond"), "member of bond over0"},
                    GateCase{"bridge_member", MemberOf("bridge"), "ip link set dev eth0 nomaster"},
                    GateCase{"failover_member", MemberOf(""), "member of device over0"},
                    GateCase{"vrf_member", MemberOf("vrf"), nullptr},
                    GateCase{"napi_tx_off", [](GateFacts& facts) { facts.virtio->napi_tx = false; }, "napi_tx=1"},
                    GateCase{"small_buffers", [](GateFacts& facts) { facts.virtio->features = 0; }, nullptr},
                    GateCase{"large_mtu", [](GateFacts& facts) { facts.link.mtu_bytes = 3400; }, nullptr},
                    GateCase{"large_mtu_in_small_buffers",
                             [](GateFacts& facts) {
                               facts.link.mtu_bytes = 1501;
                               facts.virtio->features = 0;
                             },
                             "MTU 1501"}),
    [](const testing::TestParamInfo<GateCase>& info) { return std::string(info.param.name); });

TEST(PinFolderTest, HasNoDotsAndTellsNamesApart) {
  EXPECT_EQ(PinFolder("eth0"), "eth0");
  EXPECT_EQ(PinFolder("wan.0"), "wan%2E0");
  EXPECT_NE(PinFolder("wan%2E0"), PinFolder("wan.0"));
}

}  // namespace
}  // namespace sluice
