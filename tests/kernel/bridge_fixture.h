// A port with a bridge, and the bridge lane's socket, which a dataplane would hold.
//
//   wire0 ═veth═ port0 ──clsact──► near ═veth═ far ── the bridge lane's socket (user_)
#ifndef SLUICE_TESTS_KERNEL_BRIDGE_FIXTURE_H_
#define SLUICE_TESTS_KERNEL_BRIDGE_FIXTURE_H_

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "control/kernel/bridge.h"
#include "control/kernel/lane_sockets.h"
#include "control/kernel/links.h"
#include "control/kernel/xdp_attachment.h"
#include "control/rules/steering_maps.h"
#include "dataplane/base/steady_time.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"
#include "tests/kernel/xsk_user.h"

namespace sluice {

inline constexpr UmemLayout kBridgeLayout{256, 4096};
inline constexpr XskRingSizes kBridgeRings{128, 128, 128, 128};

// A UDP socket on the port's address: it receives if a frame reaches the guest's stack.
class StackListener {
 public:
  explicit StackListener(const char* address) : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(9000);
    inet_pton(AF_INET, address, &where.sin_addr);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
  }
  // Waits for a datagram.
  bool GotOne(absl::Duration patience) {
    char byte;
    for (const SteadyTime end = SteadyTime::Now() + patience; SteadyTime::Now() < end;
         absl::SleepFor(absl::Milliseconds(5))) {
      if (recv(socket_.get(), &byte, 1, 0) >= 0) {
        return true;
      }
    }
    return false;
  }

 private:
  UniqueFd socket_;
};

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

  // Makes a rule for every packet, and sets the bridge's mode. If there is a lane_, names its
  // socket as the one whose frames go to the kernel.
  void Steer(const Bridge& bridge, sluice_bridge_mode mode, sluice_action action = SLUICE_ACTION_DATAPLANE) {
    absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
    ASSERT_OK(maps);
    sluice_config config{};
    config.flags = SLUICE_CONFIG_ACTIVE | (xdp_->mode() == XdpMode::kSkb ? SLUICE_CONFIG_GENERIC_XDP : 0);
    config.bridge_mode = mode;
    config.bridge_ifindex = static_cast<uint32_t>(bridge.near_ifindex());
    config.own_ifindex = static_cast<uint32_t>(GetLink("port0")->ifindex);
    config.bridge_socket = UINT64_MAX;  // no socket's
    if (lane_.has_value()) {
      const absl::StatusOr<uint64_t> cookie = SocketCookie(lane_->sockets[0].get());
      ASSERT_OK(cookie);
      config.bridge_socket = *cookie;
    }
    for (uint32_t& word : config.token) {
      word = 0xabad1dea;
    }
    ASSERT_OK(maps->SetConfig(config));
    ASSERT_OK(maps->FillIdleRules({ActiveRule{.config = {.action = action}}}));
    ASSERT_OK(maps->FlipRules());
  }

  // Makes the bridge lane: one socket for the far end. Map its rings (XskUser) before LetIn.
  static absl::StatusOr<LaneSockets> MakeLane(const Bridge& bridge) {
    absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kBridgeLayout, "bridge-lane");
    if (!umem.ok()) {
      return umem.status();
    }
    return MakeLaneSockets(*std::move(umem), kBridgeLayout, kBridgeRings, {{bridge.far_netdev(), 0}});
  }
  // Binds the lane's socket and enters it in the bridge's XSKMAP.
  static void LetIn(const Bridge& bridge, LaneSockets& lane) {
    ASSERT_OK(BindLaneSockets(lane, ModeSetting::kAuto, false, SteadyTime::Now() + absl::Seconds(30)));
    const uint32_t key = 0;
    const int socket = lane.sockets[0].get();
    ASSERT_EQ(bpf_map_update_elem(bridge.xsks_fd(), &key, &socket, BPF_ANY), 0) << std::strerror(errno);
  }

  // Makes the bridge and user_, which is to receive at the far end: its socket is not bound yet.
  void MakeBridgeAndUser() {
    absl::StatusOr<Bridge> bridge = Make();
    ASSERT_OK(bridge);
    bridge_ = *std::move(bridge);
    absl::StatusOr<LaneSockets> lane = MakeLane(*bridge_);
    ASSERT_OK(lane);
    lane_ = *std::move(lane);
    user_.emplace(*lane_, 0, 0, 256);
  }

  // Makes bridge and user_, and takes XDP off the port, so that every packet comes over the bridge.
  void SendAllOverTheBridge() {
    ASSERT_NO_FATAL_FAILURE(MakeBridgeAndUser());
    LetIn(*bridge_, *lane_);
    Steer(*bridge_, SLUICE_BRIDGE_REDIRECT);
    ASSERT_OK(xdp_->Suspend());
  }

  // Returns the packets of the port's two queues that got this verdict.
  uint64_t Counted(sluice_verdict verdict) {
    const absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
    EXPECT_OK(maps);
    uint64_t sum = 0;
    for (uint32_t queue = 0; queue < 2; ++queue) {
      sum += maps->ReadCounters(queue)->packets[verdict];
    }
    return sum;
  }
  // Returns all packets that the port received, by the law of bpf/count.h.
  uint64_t Received() {
    uint64_t sum = 0;
    for (int verdict = 0; verdict < SLUICE_VERDICT_COUNT; ++verdict) {
      sum += verdict == SLUICE_VERDICT_NO_SOCKET ? 0 : Counted(static_cast<sluice_verdict>(verdict));
    }
    return sum;
  }

  std::optional<XdpAttachment> xdp_;
  std::optional<Bridge> bridge_;
  std::optional<LaneSockets> lane_;
  std::optional<XskUser> user_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_KERNEL_BRIDGE_FIXTURE_H_
