#include "control/kernel/bridge.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/lane_sockets.h"
#include "control/kernel/links.h"
#include "control/kernel/xdp_attachment.h"
#include "control/rules/steering_maps.h"
#include "tests/kernel/bridge_fixture.h"
#include "tests/kernel/status_matchers.h"
#include "tests/kernel/wire.h"
#include "tests/kernel/xsk_user.h"

namespace sluice {
namespace {

TEST_F(BridgeTest, NearEndHasNoTransmitOffloadsAndBothEndsFitThePort) {
  Shell("ip link set wire0 mtu 2000 && ip link set port0 mtu 2000");
  const absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  EXPECT_FALSE(bridge->adopted());
  const absl::StatusOr<std::vector<std::string>> active = ActiveFeatures(bridge->near_netdev());
  ASSERT_OK(active);
  for (const std::string& feature : *active) {
    for (const char* offload : {"tx-checksum", "segmentation", "tx-gso", "tx-vlan"}) {
      EXPECT_EQ(feature.find(offload), std::string::npos) << feature;
    }
  }
  for (const std::string& end : {bridge->near_netdev(), bridge->far_netdev()}) {
    EXPECT_LT(end.size(), 16u);
    EXPECT_TRUE(GetLink(end)->up);
    EXPECT_GE(GetLink(end)->mtu_bytes, 2000u);
  }
  EXPECT_EQ(GetLink(bridge->near_netdev())->ifindex, bridge->near_ifindex());
}

TEST_F(BridgeTest, FramesArriveWholeWhileXdpIsSuspendedAndTheStackSeesNothing) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  Wire wire("wire0");
  FrameSpec plain;
  plain.destination = GetLink("port0")->mac;
  FrameSpec tagged = plain;
  tagged.vlan = 7;
  FrameSpec priority_tagged = plain;
  priority_tagged.vlan = 0;  // a priority tag: the stack receives the frame as untagged
  FrameSpec full_size = tagged;
  full_size.payload_bytes = 1500 - 28;

  for (const FrameSpec& spec : {plain, tagged, priority_tagged, full_size}) {
    const Bytes sent = PartialChecksumFrame(spec);
    ASSERT_FALSE(ChecksumIsGood(sent)) << "the test must send a partial checksum";
    wire.Send(sent);
    const std::vector<Bytes> received = user_->Receive(1, absl::Seconds(30));
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(received[0].size(), sent.size());
    EXPECT_TRUE(ChecksumIsGood(received[0]));
    EXPECT_EQ(VlanOf(received[0]), spec.vlan);
  }
  EXPECT_FALSE(stack.GotOne(absl::Milliseconds(100)));
  EXPECT_GE(Counted(SLUICE_VERDICT_BRIDGED), 4u);

  // The same frames reach the stack in the mode PASS. So the silence above shows that the bridge kept them away.
  Steer(*bridge_, SLUICE_BRIDGE_PASS);
  wire.Send(PartialChecksumFrame(plain));
  EXPECT_TRUE(stack.GotOne(absl::Seconds(30)));
  wire.Send(PartialChecksumFrame(priority_tagged));
  EXPECT_TRUE(stack.GotOne(absl::Seconds(30)));
}

TEST_F(BridgeTest, SuperPacketsArriveAsFramesOfTheWiresSize) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  constexpr size_t kSegments = 4;
  constexpr uint16_t kSegmentBytes = 1000;
  FrameSpec spec;
  spec.destination = GetLink("port0")->mac;
  spec.vlan = 7;
  spec.protocol = IPPROTO_TCP;
  spec.payload_bytes = kSegments * kSegmentBytes;
  Wire wire("wire0");
  wire.Send(PartialChecksumFrame(spec), kSegmentBytes);
  const std::vector<Bytes> received = user_->Receive(kSegments, absl::Seconds(30));
  ASSERT_EQ(received.size(), kSegments);
  for (const Bytes& frame : received) {
    EXPECT_EQ(frame.size(), 14u + 4 + 20 + 20 + kSegmentBytes);
    EXPECT_TRUE(ChecksumIsGood(frame));
    EXPECT_EQ(VlanOf(frame), 7);
  }
}

TEST_F(BridgeTest, TakesQueuesWithoutSocketWhileXdpIsOn) {
  const absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  absl::StatusOr<LaneSockets> lane = MakeLane(*bridge);
  ASSERT_OK(lane);
  XskUser user(*lane, 0, 0, 256);
  LetIn(*bridge, *lane);
  Steer(*bridge, SLUICE_BRIDGE_REDIRECT);
  FrameSpec spec;
  spec.destination = GetLink("port0")->mac;
  Wire wire("wire0");
  wire.Send(PartialChecksumFrame(spec));
  ASSERT_EQ(user.Receive(1, absl::Seconds(30)).size(), 1u);
}

TEST_F(BridgeTest, NextAgentAdoptsItAndTrafficFlowsOnMeanwhile) {
  int near_ifindex = 0;
  absl::StatusOr<LaneSockets> lane = absl::UnknownError("not made");
  std::optional<XskUser> user;
  {
    const absl::StatusOr<Bridge> first = Make();
    ASSERT_OK(first);
    near_ifindex = first->near_ifindex();
    lane = MakeLane(*first);
    ASSERT_OK(lane);
    user.emplace(*lane, 0, 0, 256);
    LetIn(*first, *lane);
    Steer(*first, SLUICE_BRIDGE_REDIRECT);
  }
  ASSERT_OK(xdp_->Suspend());
  FrameSpec spec;
  spec.destination = GetLink("port0")->mac;
  Wire wire("wire0");
  wire.Send(PartialChecksumFrame(spec));
  EXPECT_EQ(user->Receive(1, absl::Seconds(30)).size(), 1u) << "traffic flows without an agent";
  absl::StatusOr<Bridge> second = Make();
  ASSERT_OK(second);
  EXPECT_TRUE(second->adopted());
  EXPECT_EQ(second->near_ifindex(), near_ifindex);
  wire.Send(PartialChecksumFrame(spec));
  EXPECT_EQ(user->Receive(1, absl::Seconds(30)).size(), 1u) << "the socket is still in the XSKMAP after the adoption";
  EXPECT_OK(second->Remove());
  EXPECT_EQ(Output("tc qdisc show dev port0 clsact"), "") << "the first agent made the clsact and left a note of that";
}

TEST_F(BridgeTest, IncompleteBridgeIsMadeAgain) {
  const struct {
    const char* what;
    std::string damage;
  } cases[] = {
      {"no filter", "tc filter del dev port0 ingress"},
      {"no filter at the near end", "tc filter del dev slu%n ingress"},
      {"no filter at the way in", "tc filter del dev slu%n egress"},
      {"no veth", "ip link del slu%n"},
      {"far end without program", "ip link set dev slu%f xdpdrv off"},
      {"near end down", "ip link set dev slu%n down"},
      {"map not pinned", "rm " + pin_dir_ + "/sluice_brxsks"},
      {"counters not pinned", "rm " + pin_dir_ + "/sluice_tokernel"},
  };
  for (const auto& c : cases) {
    ASSERT_OK(Make()) << c.what;
    std::string damage = c.damage;
    if (const size_t at = damage.find('%'); at != std::string::npos) {
      damage.replace(at, 1, std::to_string(GetLink("port0")->ifindex));
    }
    Shell(damage);
    const absl::StatusOr<Bridge> again = Make();
    ASSERT_OK(again) << c.what;
    EXPECT_FALSE(again->adopted()) << c.what;
    EXPECT_TRUE(Make()->adopted()) << c.what;
  }
}

TEST_F(BridgeTest, RepairPutsBackWhatSomebodyTookAway) {
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  const std::string near = bridge->near_netdev(), far = bridge->far_netdev();
  EXPECT_FALSE(*bridge->Repair(ObjectDir())) << "nothing is missing";
  for (const std::string& damage :
       {std::string("tc filter del dev port0 ingress"), std::string("tc qdisc del dev port0 clsact"),
        "tc filter del dev " + near + " ingress", "tc filter del dev " + near + " egress",
        "ip link set dev " + far + " xdpdrv off", "ip link set dev " + near + " down",
        "ip link set dev " + far + " down"}) {
    Shell(damage);
    const absl::StatusOr<bool> repaired = bridge->Repair(ObjectDir());
    ASSERT_OK(repaired) << damage;
    EXPECT_TRUE(*repaired) << damage;
    EXPECT_FALSE(*bridge->Repair(ObjectDir())) << damage;
  }
  EXPECT_OK(bridge->Remove());
  EXPECT_EQ(Output("tc qdisc show dev port0 clsact"), "") << "a clsact that Repair made is the bridge's";
}

TEST_F(BridgeTest, RepairLeavesOthersFiltersAndSaysSo) {
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  Shell("tc filter del dev port0 ingress");
  Shell("tc filter add dev port0 ingress prio 1 handle 0x51 protocol all bpf bytecode '1,6 0 0 0,' flowid 1:1");
  EXPECT_FALSE(bridge->Repair(ObjectDir()).ok());
  EXPECT_NE(Output("tc filter show dev port0 ingress").find("bytecode"), std::string::npos) << "it is not ours";
  Shell("tc filter del dev port0 ingress");
  EXPECT_TRUE(*bridge->Repair(ObjectDir()));
}

TEST_F(BridgeTest, GrowsWithThePortsMtu) {
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  Shell("ip link set wire0 mtu 1800 && ip link set port0 mtu 1800");
  EXPECT_TRUE(*bridge->Repair(ObjectDir()));
  for (const std::string& end : {bridge->near_netdev(), bridge->far_netdev()}) {
    EXPECT_GE(GetLink(end)->mtu_bytes, 1800u);
  }
  EXPECT_FALSE(*bridge->Repair(ObjectDir()));
}

TEST_F(BridgeTest, RepairPinsMapsAgainButNotOverOthers) {
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  Shell("rm " + pin_dir_ + "/sluice_brxsks " + pin_dir_ + "/sluice_tokernel");
  EXPECT_TRUE(*bridge->Repair(ObjectDir()));
  EXPECT_TRUE(Make()->adopted());
  Shell("rm " + pin_dir_ + "/sluice_brxsks && bpftool map create " + pin_dir_ +
        "/sluice_brxsks type array key 4 value 4 entries 1 name other");
  EXPECT_EQ(bridge->Repair(ObjectDir()).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(BridgeTest, RepairMakesAVethPairThatIsGoneAnew) {
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  const int before = bridge->near_ifindex();
  Shell("ip link del " + bridge->near_netdev());
  EXPECT_TRUE(*bridge->Repair(ObjectDir()));
  EXPECT_NE(bridge->near_ifindex(), before);
  EXPECT_FALSE(*bridge->Repair(ObjectDir()));
  EXPECT_OK(bridge->Remove());
  EXPECT_EQ(Output("tc qdisc show dev port0 clsact"), "") << "the clsact is still known to be the bridge's";
}

TEST_F(BridgeTest, OfAPortThatIsGoneNothingStays) {
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  const int port = GetLink("port0")->ifindex;
  Shell("ip link del port0");
  EXPECT_OK(Bridge::RemoveOrphan(port));
  EXPECT_EQ(GetLink(bridge->near_netdev()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_OK(bridge->Remove());
  EXPECT_FALSE(std::filesystem::exists(pin_dir_ + "/sluice_brxsks"));
}

TEST_F(BridgeTest, OnlyRedirectedPacketsEnter) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  FrameSpec spec;
  spec.destination = GetLink("port0")->mac;
  const uint64_t strays = bridge_->ReadToKernel()->strays;
  // As any program of the guest might send on it.
  const UniqueFd stranger(socket(AF_PACKET, SOCK_RAW, 0));
  sockaddr_ll near{};
  near.sll_family = AF_PACKET;
  near.sll_ifindex = bridge_->near_ifindex();
  const Bytes frame = PartialChecksumFrame(spec);
  EXPECT_LT(sendto(stranger.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&near), sizeof(near)), 0)
      << "the kernel tells the sender";
  EXPECT_TRUE(user_->Receive(1, absl::Milliseconds(300)).empty());
  EXPECT_GT(bridge_->ReadToKernel()->strays, strays);
  Wire("wire0").Send(PartialChecksumFrame(spec));
  EXPECT_EQ(user_->Receive(1, absl::Seconds(30)).size(), 1u);
}

TEST_F(BridgeTest, RemoveLeavesThePortAsItWas) {
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  const std::string near = bridge->near_netdev();
  EXPECT_NE(Output("tc filter show dev port0 ingress").find("sluice_bridge"), std::string::npos);
  EXPECT_OK(bridge->Remove());
  EXPECT_EQ(GetLink(near).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Output("tc filter show dev port0 ingress"), "");
  EXPECT_EQ(Output("tc qdisc show dev port0 clsact"), "");
  EXPECT_FALSE(std::filesystem::exists(pin_dir_ + "/sluice_brxsks"));
  EXPECT_FALSE(std::filesystem::exists(pin_dir_ + "/sluice_tokernel"));
  EXPECT_TRUE(std::filesystem::exists(pin_dir_ + "/sluice_xsks")) << "the port's maps are not the bridge's";
  EXPECT_OK(xdp_->Remove(false));
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
}

TEST_F(BridgeTest, RemovalDoesWithoutWhatSomebodyTookAway) {
  for (const char* damage :
       {"tc qdisc del dev port0 clsact", "tc filter del dev port0 ingress", "ip link set port0 down"}) {
    absl::StatusOr<Bridge> bridge = Make();
    ASSERT_OK(bridge);
    Shell(damage);
    EXPECT_OK(bridge->Remove()) << damage;
    EXPECT_EQ(Output("tc qdisc show dev port0 clsact"), "") << damage;
  }
}

TEST_F(BridgeTest, RemovalAfterThePortsMapsLeavesNoFolder) {
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  EXPECT_OK(xdp_->Remove(false));
  EXPECT_OK(bridge->Remove());
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
}

TEST_F(BridgeTest, OthersClsactAndFiltersStay) {
  Shell("tc qdisc add dev port0 clsact");
  absl::StatusOr<Bridge> bridge = Make();
  ASSERT_OK(bridge);
  EXPECT_OK(bridge->Remove());
  EXPECT_NE(Output("tc qdisc show dev port0 clsact"), "") << "the clsact was there before us";
  Shell("tc qdisc del dev port0 clsact");

  bridge = Make();
  ASSERT_OK(bridge);
  Shell("tc filter add dev port0 egress bpf bytecode '1,6 0 0 0,' flowid 1:1");
  EXPECT_OK(bridge->Remove());
  EXPECT_NE(Output("tc filter show dev port0 egress").find("bytecode"), std::string::npos)
      << "another program uses the clsact now";
}

TEST_F(BridgeTest, WithoutThePortsMapsNothingIsMade) {
  const absl::Status status = Bridge::CreateOrAdopt("port0", ObjectDir(), pin_dir_ + "x").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_FALSE(std::filesystem::exists(pin_dir_ + "x"));
}

TEST_F(BridgeTest, FailureUndoesItsSteps) {
  const std::string links = Output("ip -o link | wc -l");
  const std::string objects = "/tmp/sluice-half-objects";  // the far end's program only
  std::filesystem::create_directories(objects);
  std::filesystem::copy_file(ObjectDir() + "/sluice_bridge_rx.bpf.o", objects + "/sluice_bridge_rx.bpf.o",
                             std::filesystem::copy_options::overwrite_existing);
  const absl::Status status = Bridge::CreateOrAdopt("port0", objects, pin_dir_).status();
  std::filesystem::remove_all(objects);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_EQ(Output("ip -o link | wc -l"), links);
  EXPECT_EQ(Output("tc qdisc show dev port0 clsact"), "");
  EXPECT_FALSE(std::filesystem::exists(pin_dir_ + "/sluice_brxsks"));
}

}  // namespace
}  // namespace sluice
