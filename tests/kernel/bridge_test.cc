#include "control/kernel/bridge.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
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
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"
#include "tests/kernel/wire.h"
#include "tests/kernel/xsk_user.h"

namespace sluice {
namespace {

constexpr UmemLayout kLayout{256, 2048};
constexpr XskRingSizes kRings{128, 128, 128, 128};

class BridgeTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    MakePort("port0", "wire0", 2);
    absl::StatusOr<XdpAttachment> xdp =
        XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_, ModeSetting::kCopy);
    ASSERT_OK(xdp);
    xdp_.emplace(std::move(*xdp));
  }

  absl::StatusOr<Bridge> Make() { return Bridge::CreateOrAdopt("port0", ObjectDir(), pin_dir_); }

  // Every packet is the function's, and what XDP leaves goes `mode`'s way.
  void Steer(const Bridge& bridge, sluice_bridge_mode mode) {
    absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
    ASSERT_OK(maps);
    sluice_config config{};
    config.flags = SLUICE_CONFIG_ACTIVE;
    config.bridge_mode = mode;
    config.bridge_ifindex = static_cast<uint32_t>(bridge.near_ifindex());
    ASSERT_OK(maps->SetConfig(config));
    ASSERT_OK(maps->FillIdleRules({SteeringRule{.action = SLUICE_ACTION_DATAPLANE}}, {RuleHits{}}));
    ASSERT_OK(maps->FlipRules());
  }

  // The bridge lane: one socket for the far end. Map its rings (XskUser), then let it in.
  static absl::StatusOr<LaneSockets> MakeLane(const Bridge& bridge) {
    absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "bridge-lane");
    if (!umem.ok()) {
      return umem.status();
    }
    return MakeLaneSockets(*std::move(umem), kLayout, kRings, {{bridge.far_netdev(), 0}});
  }
  // Binds it and enters it in the bridge's XSKMAP.
  static void LetIn(const Bridge& bridge, LaneSockets& lane) {
    ASSERT_OK(BindLaneSockets(lane, ModeSetting::kAuto, false, absl::Now() + absl::Seconds(30)));
    const uint32_t key = 0;
    const int socket = lane.sockets[0].get();
    ASSERT_EQ(bpf_map_update_elem(bridge.xsks_fd(), &key, &socket, BPF_ANY), 0) << std::strerror(errno);
  }

  // XDP is off, and user_ gets everything from the far end.
  void SendAllOverTheBridge() {
    absl::StatusOr<Bridge> bridge = Make();
    ASSERT_OK(bridge);
    bridge_ = *std::move(bridge);
    absl::StatusOr<LaneSockets> lane = MakeLane(*bridge_);
    ASSERT_OK(lane);
    lane_ = *std::move(lane);
    user_.emplace(*lane_, 0, 0, 256);
    LetIn(*bridge_, *lane_);
    Steer(*bridge_, SLUICE_BRIDGE_REDIRECT);
    ASSERT_OK(xdp_->Suspend());
  }

  uint64_t Bridged() {
    const absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
    EXPECT_OK(maps);
    uint64_t sum = 0;
    for (uint32_t queue = 0; queue < 2; ++queue) {
      sum += maps->ReadCounters(queue)->packets[SLUICE_VERDICT_BRIDGED];
    }
    return sum;
  }

  std::optional<XdpAttachment> xdp_;
  std::optional<Bridge> bridge_;
  std::optional<LaneSockets> lane_;
  std::optional<XskUser> user_;
};

// The guest's own stack behind the port: a UDP socket on its address.
class StackListener {
 public:
  explicit StackListener(const char* address) : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(9000);
    inet_pton(AF_INET, address, &where.sin_addr);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
  }
  bool GotOne(absl::Duration patience) {
    char byte;
    for (const absl::Time end = absl::Now() + patience; absl::Now() < end; absl::SleepFor(absl::Milliseconds(5))) {
      if (recv(socket_.get(), &byte, 1, 0) >= 0) {
        return true;
      }
    }
    return false;
  }

 private:
  UniqueFd socket_;
};

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
  priority_tagged.vlan = 0;  // a tag with which the stack takes the frame for its own
  FrameSpec full_size = tagged;
  full_size.payload_bytes = 1500 - 28;

  for (const FrameSpec& spec : {plain, tagged, priority_tagged, full_size}) {
    const Bytes sent = PartialChecksumFrame(spec);
    ASSERT_FALSE(ChecksumIsGood(sent)) << "the test must send what needs completing";
    wire.Send(sent);
    const std::vector<Bytes> received = user_->Receive(1, absl::Seconds(30));
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(received[0].size(), sent.size());
    EXPECT_TRUE(ChecksumIsGood(received[0]));
    EXPECT_EQ(VlanOf(received[0]), spec.vlan);
  }
  EXPECT_FALSE(stack.GotOne(absl::Milliseconds(100)));
  EXPECT_GE(Bridged(), 4u);

  // The same frames do reach the stack when they are told to: the silence above means something.
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
  EXPECT_EQ(user->Receive(1, absl::Seconds(30)).size(), 1u) << "without an agent";
  absl::StatusOr<Bridge> second = Make();
  ASSERT_OK(second);
  EXPECT_TRUE(second->adopted());
  EXPECT_EQ(second->near_ifindex(), near_ifindex);
  wire.Send(PartialChecksumFrame(spec));
  EXPECT_EQ(user->Receive(1, absl::Seconds(30)).size(), 1u) << "after adoption, socket still entered";
  EXPECT_OK(second->Remove());
  EXPECT_EQ(Output("tc qdisc show dev port0 clsact"), "") << "the first agent had made it, and said so";
}

TEST_F(BridgeTest, IncompleteBridgeIsMadeAnew) {
  const struct {
    const char* what;
    std::string damage;
  } cases[] = {
      {"no filter", "tc filter del dev port0 ingress"},
      {"no veth", "ip link del slu%n"},
      {"far end without program", "ip link set dev slu%f xdpdrv off"},
      {"near end down", "ip link set dev slu%n down"},
      {"map not pinned", "rm " + pin_dir_ + "/sluice_brxsks"},
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
  EXPECT_TRUE(std::filesystem::exists(pin_dir_ + "/sluice_xsks")) << "the port's maps are not the bridge's";
  EXPECT_OK(xdp_->Remove(false));
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
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
  EXPECT_NE(Output("tc qdisc show dev port0 clsact"), "") << "it was there before us";
  Shell("tc qdisc del dev port0 clsact");

  bridge = Make();
  ASSERT_OK(bridge);
  Shell("tc filter add dev port0 egress bpf bytecode '1,6 0 0 0,' flowid 1:1");
  EXPECT_OK(bridge->Remove());
  EXPECT_NE(Output("tc filter show dev port0 egress").find("bytecode"), std::string::npos) << "somebody uses it now";
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
