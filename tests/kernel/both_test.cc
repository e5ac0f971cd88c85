// Gives real frames to the dataplane and to the guest's stack (SLUICE_ACTION_BOTH): the port in native and in skb mode,
// and without its XDP program.
#include <cstring>

#include "tests/kernel/bridge_fixture.h"
#include "tests/kernel/open_lane.h"
#include "tests/kernel/wire.h"

namespace sluice {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr absl::Duration kSilence = absl::Milliseconds(200);

enum class Xdp { kNative, kGeneric, kNone };

class BothTest : public BridgeTest, public ::testing::WithParamInterface<Xdp> {
 protected:
  // Every queue has a socket, to which XDP would redirect a frame for the dataplane alone.
  void MakePortForBoth(sluice_bridge_mode mode = SLUICE_BRIDGE_REDIRECT) {
    const bool generic = GetParam() == Xdp::kGeneric;
    if (generic) {
      ASSERT_OK(xdp_->Remove(false));
      absl::StatusOr<XdpAttachment> attached =
          XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_, ModeSetting::kSkb);
      ASSERT_OK(attached);
      xdp_.emplace(*std::move(attached));
    }
    ASSERT_NO_FATAL_FAILURE(MakeBridgeAndUser());
    LetIn(*bridge_, *lane_);
    Steer(*bridge_, mode, SLUICE_ACTION_BOTH);
    if (GetParam() == Xdp::kNone) {
      ASSERT_OK(xdp_->Suspend());
    } else {
      absl::StatusOr<UniqueFd> memory = MakeUmemMemory(kBridgeLayout, "pair-lane");
      ASSERT_OK(memory);
      absl::StatusOr<LaneSockets> pairs =
          OpenLaneSockets(*std::move(memory), kBridgeLayout, kBridgeRings, {{"port0", 0}, {"port0", 1}},
                          generic ? ModeSetting::kSkb : ModeSetting::kCopy, generic, SteadyTime::Now() + kPatience);
      ASSERT_OK(pairs);
      pairs_ = *std::move(pairs);
      const absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
      ASSERT_OK(maps);
      for (uint32_t queue = 0; queue < 2; ++queue) {
        const int socket = pairs_->sockets[queue].get();
        ASSERT_EQ(bpf_map_update_elem(maps->xsks_fd(), &queue, &socket, BPF_ANY), 0) << std::strerror(errno);
      }
    }
    Shell("ip addr add 10.7.0.2/24 dev port0");
  }
  static FrameSpec ToPort() {
    FrameSpec spec;
    spec.destination = GetLink("port0")->mac;
    return spec;
  }
  std::optional<LaneSockets> pairs_;
};

TEST_P(BothTest, TheBridgeLaneAndTheStackGetEachFrameAndItCountsOnce) {
  ASSERT_NO_FATAL_FAILURE(MakePortForBoth());
  StackListener stack("10.7.0.2");
  Wire wire("wire0");
  FrameSpec tagged = ToPort();
  tagged.vlan = 7;
  FrameSpec priority_tagged = ToPort();
  priority_tagged.vlan = 0;  // the stack takes it for untagged
  FrameSpec full_size = ToPort();
  full_size.payload_bytes = 1500 - 28;
  uint64_t sent = 0;
  for (const FrameSpec& spec : {ToPort(), tagged, priority_tagged, full_size}) {
    const Bytes frame = PartialChecksumFrame(spec);
    wire.Send(frame);
    ++sent;
    const std::vector<Bytes> received = user_->Receive(1, kPatience);
    ASSERT_EQ(received.size(), 1u) << sent;
    EXPECT_EQ(received[0].size(), frame.size());
    EXPECT_TRUE(ChecksumIsGood(received[0]));
    EXPECT_EQ(VlanOf(received[0]), spec.vlan);
    EXPECT_EQ(stack.GotOne(spec.vlan.value_or(0) == 0 ? kPatience : kSilence), spec.vlan.value_or(0) == 0)
        << "port0 has no device for VLAN 7";
    EXPECT_EQ(Counted(SLUICE_VERDICT_BOTH), sent);
    EXPECT_EQ(Received(), sent);
  }
  EXPECT_TRUE(user_->Receive(1, kSilence).empty()) << "nothing comes twice";
  EXPECT_FALSE(stack.GotOne(kSilence));
  EXPECT_EQ(bridge_->ReadToKernel()->strays, 0u);
}

TEST_P(BothTest, WithoutADataplaneTheStackGetsItAlone) {
  ASSERT_NO_FATAL_FAILURE(MakePortForBoth());
  StackListener stack("10.7.0.2");
  Wire wire("wire0");
  uint64_t sent = 0;
  for (const sluice_bridge_mode mode : {SLUICE_BRIDGE_PASS, SLUICE_BRIDGE_DROP}) {
    Steer(*bridge_, mode, SLUICE_ACTION_BOTH);
    wire.Send(PartialChecksumFrame(ToPort()));
    EXPECT_TRUE(stack.GotOne(kPatience));
    EXPECT_EQ(Counted(SLUICE_VERDICT_DOWN_PASS), ++sent);
    EXPECT_EQ(Received(), sent);
  }
  EXPECT_TRUE(user_->Receive(1, kSilence).empty());
}

TEST_P(BothTest, ABridgeThatIsGoneTakesNothingFromTheStack) {
  ASSERT_NO_FATAL_FAILURE(MakePortForBoth());
  StackListener stack("10.7.0.2");
  Wire wire("wire0");
  Shell("ip link del " + bridge_->near_netdev());
  wire.Send(PartialChecksumFrame(ToPort()));
  EXPECT_TRUE(stack.GotOne(kPatience));
  EXPECT_EQ(Counted(SLUICE_VERDICT_DOWN_PASS), 1u);
  EXPECT_EQ(Received(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Ports, BothTest, ::testing::Values(Xdp::kNative, Xdp::kGeneric, Xdp::kNone),
                         [](const auto& info) {
                           return info.param == Xdp::kNative    ? "Native"
                                  : info.param == Xdp::kGeneric ? "Generic"
                                                                : "WithoutXdp";
                         });

}  // namespace
}  // namespace sluice
