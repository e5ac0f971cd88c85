// Gives real frames to the kernel as the dataplane does (bpf/to_kernel.h): frames that the bridge lane's socket sends
// at the far end arrive on the port, and no other frames do.
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/steady_time.h"
#include "tests/kernel/bridge_fixture.h"
#include "tests/kernel/open_lane.h"
#include "tests/kernel/wire.h"

namespace sluice {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr absl::Duration kSilence = absl::Milliseconds(200);

// Stands for a dataplane whose function gives every frame to the kernel: sends every frame that came over the bridge
// back at the far end, on its own thread.
class Relay {
 public:
  explicit Relay(XskUser& user)
      : thread_([this, &user] {
          while (!ended_) {
            for (const Bytes& frame : user.Receive(1, absl::Milliseconds(10))) {
              user.Send(frame);
              ++frames_;
            }
          }
        }) {}
  ~Relay() {
    ended_ = true;
    thread_.join();
  }
  uint64_t frames() const { return frames_; }

 private:
  std::atomic<bool> ended_ = false;
  std::atomic<uint64_t> frames_ = 0;
  std::thread thread_;
};

class ToKernelTest : public BridgeTest {
 protected:
  // Moves the wire's other end into a new namespace, "client", and sets addresses on both sides.
  static void WireToClient() {
    Shell("ip netns add client && ip link set wire0 netns client");
    Shell("ip netns exec client sh -c 'ip link set lo up; ip link set wire0 up'");
    Shell("ip addr add 10.7.0.2/24 dev port0 && ip netns exec client ip addr add 10.7.0.1/24 dev wire0");
    Shell("ip addr add 2001:db8::2/64 dev port0 nodad");
    Shell("ip netns exec client ip addr add 2001:db8::1/64 dev wire0 nodad");
    // A real wire has complete checksums and no super-packets.
    Shell("ip netns exec client ethtool -K wire0 tx off tso off gso off && ethtool -K port0 tx off tso off gso off");
  }
  void TearDown() override {
    if (!IsSkipped()) {
      Output("ip netns del client 2>/dev/null; true");
    }
    BridgeTest::TearDown();
  }
  static std::string Ping(const std::string& options) {
    return Output("ip netns exec client ping -q -c 3 -W 10 " + options + "; true");
  }

  // Returns true if a client on the wire can connect to the port's address and each side gets all the other's data.
  static bool TcpWorks() {
    constexpr size_t kBytes = 200'000;
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(7000);
    inet_pton(AF_INET, "10.7.0.2", &where.sin_addr);
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM, 0));
    const UniqueFd here(open("/proc/thread-self/ns/net", O_RDONLY));
    const UniqueFd there(open("/run/netns/client", O_RDONLY));
    EXPECT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    EXPECT_EQ(setns(there.get(), CLONE_NEWNET), 0);
    const UniqueFd client(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(setns(here.get(), CLONE_NEWNET), 0);
    const timeval patience = absl::ToTimeval(kPatience);
    for (const int socket : {listener.get(), client.get()}) {
      setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
      setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    }
    if (connect(client.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
      return false;
    }
    const UniqueFd server(accept(listener.get(), nullptr, nullptr));
    const auto transfer = [](int from, int to) {
      std::vector<char> sent(kBytes, 'x'), received(kBytes);
      std::thread sender([&] { EXPECT_EQ(send(from, sent.data(), kBytes, 0), static_cast<ssize_t>(kBytes)); });
      const ssize_t got = recv(to, received.data(), kBytes, MSG_WAITALL);
      sender.join();
      return got == static_cast<ssize_t>(kBytes) && sent == received;
    };
    return transfer(client.get(), server.get()) && transfer(server.get(), client.get());
  }

  sluice_to_kernel_counters AtNearEnd() { return bridge_->ReadToKernel().value(); }
};

// Returns a UDP datagram for the port's address as it lies in the dataplane's memory, without a partial checksum.
Bytes Datagram(const FrameSpec& spec) {
  Bytes frame = PartialChecksumFrame(spec);
  const size_t transport = 14 + (spec.vlan.has_value() ? 4 : 0) + 20;
  frame[transport + 6] = frame[transport + 7] = 0;  // no checksum, which is valid over IPv4 (RFC 768)
  return frame;
}

FrameSpec ToPort() {
  FrameSpec spec;
  spec.destination = GetLink("port0")->mac;
  return spec;
}

TEST_F(ToKernelTest, ArpPingTcpAndIpv6WorkAsOnAnyPort) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  WireToClient();
  {
    const std::string nothing = Ping("10.7.0.2 -w 2");
    EXPECT_NE(nothing.find("100% packet loss"), std::string::npos) << "without the dataplane: " << nothing;
  }
  const Relay relay(*user_);
  for (const char* options : {"10.7.0.2", "-6 2001:db8::2", "-s 1400 10.7.0.2"}) {
    const std::string said = Ping(options);
    EXPECT_NE(said.find(" 0% packet loss"), std::string::npos) << options << ": " << said;
  }
  EXPECT_TRUE(TcpWorks());
  EXPECT_EQ(Counted(SLUICE_VERDICT_BRIDGED), Received()) << "each frame is counted once, when it was received";
  EXPECT_GE(AtNearEnd().packets, relay.frames());
  EXPECT_EQ(AtNearEnd().strays, 0u);
}

TEST_F(ToKernelTest, FramesOfAVlanReachItsDevice) {
  if (Output("ip link add link port0 name port0.7 type vlan id 7 && echo made || true").find("made") ==
      std::string::npos) {
    GTEST_SKIP() << "this kernel has no VLAN devices (8021q)";
  }
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  WireToClient();
  Shell("ip link set port0.7 up && ip addr add 10.8.0.2/24 dev port0.7");
  Shell(
      "ip netns exec client sh -c 'ip link add link wire0 name wire0.7 type vlan id 7; ip link set wire0.7 up; "
      "ip addr add 10.8.0.1/24 dev wire0.7'");
  const Relay relay(*user_);
  const std::string said = Ping("10.8.0.2");
  EXPECT_NE(said.find(" 0% packet loss"), std::string::npos) << said;
}

TEST_F(ToKernelTest, ATagInTheFrameBecomesVlanMetadata) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  FrameSpec tagged = ToPort();
  tagged.vlan = 7;
  user_->Send(Datagram(tagged));
  EXPECT_FALSE(stack.GotOne(kSilence)) << "a frame of VLAN 7 is not for the port itself";
  tagged.vlan = 0;
  user_->Send(Datagram(tagged));
  EXPECT_TRUE(stack.GotOne(kPatience)) << "a frame with a priority tag is for the port itself";
  EXPECT_EQ(AtNearEnd().packets, 2u);
  EXPECT_EQ(AtNearEnd().bytes, 2 * Datagram(tagged).size());
}

// With an MTU of 3498 a frame with two VLAN tags just fits a buffer of single-buffer XDP (device_limits.cc):
// 3498 + 14 + 8 = 4096 - 256 - 320.
TEST_F(ToKernelTest, FramesOfTheLargestMtuPass) {
  Shell("ip link set wire0 mtu 3498 && ip link set port0 mtu 3498");
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  FrameSpec large = ToPort();
  large.payload_bytes = 3498 - 28;
  user_->Send(Datagram(large));
  EXPECT_TRUE(stack.GotOne(kPatience));
}

TEST_F(ToKernelTest, ABadChecksumIsTheStacksToFind) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  user_->Send(PartialChecksumFrame(ToPort()));  // a partial checksum is a wrong one on a wire
  EXPECT_FALSE(stack.GotOne(kSilence));
  user_->Send(Datagram(ToPort()));
  EXPECT_TRUE(stack.GotOne(kPatience));
}

// Frames of the guest's own stack at the far end, or of another program that may send there.
TEST_F(ToKernelTest, FramesFromOthersAtTheFarEndAreDroppedAndCounted) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  Wire far(bridge_->far_netdev());
  FrameSpec to_near = ToPort();
  to_near.destination = GetLink(bridge_->near_netdev())->mac;
  far.Send(PartialChecksumFrame(ToPort()));
  far.Send(PartialChecksumFrame(to_near));  // the stack would receive it at the near end: MAC and address are ours
  EXPECT_FALSE(stack.GotOne(kSilence));
  EXPECT_EQ(AtNearEnd().strays, 2u);
  EXPECT_EQ(AtNearEnd().packets, 0u);
  user_->Send(Datagram(ToPort()));
  EXPECT_TRUE(stack.GotOne(kPatience));
}

TEST_F(ToKernelTest, OnlyFramesOfTheNamedSocketReachTheKernel) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
  ASSERT_OK(maps);
  sluice_config config = maps->GetConfig().value();
  const uint64_t cookie = config.bridge_socket;
  for (const uint64_t other : {uint64_t{0}, cookie + 1}) {
    config.bridge_socket = other;
    ASSERT_OK(maps->SetConfig(config));
    user_->Send(Datagram(ToPort()));
    EXPECT_FALSE(stack.GotOne(kSilence)) << other;
  }
  config.bridge_socket = cookie;
  config.flags = 0;
  ASSERT_OK(maps->SetConfig(config));
  user_->Send(Datagram(ToPort()));
  EXPECT_FALSE(stack.GotOne(kSilence)) << "the configuration is not ACTIVE";
  EXPECT_EQ(AtNearEnd().strays, 3u);
}

// The wire's other end is in the same namespace, so marks and priorities survive the way to the port
// (net/core/skbuff.c: skb_scrub_packet), as if a program at the ingress had set them.
TEST_F(ToKernelTest, NoMarkOrPriorityGetsAPacketFromTheWirePastTheFunction) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  const uint64_t cookie = SocketCookie(lane_->sockets[0].get()).value();
  Wire wire("wire0");
  uint64_t sent = 0;
  for (const uint32_t value : {uint32_t{0}, uint32_t{1}, static_cast<uint32_t>(cookie), ~uint32_t{0}}) {
    for (const bool group_source : {false, true}) {
      wire.Mark(value);
      Bytes frame = PartialChecksumFrame(ToPort());
      frame[6] |= group_source ? 1 : 0;
      wire.Send(frame);
      EXPECT_EQ(user_->Receive(1, kPatience).size(), 1u) << value;
      EXPECT_EQ(Counted(SLUICE_VERDICT_BRIDGED), ++sent);
    }
  }
  EXPECT_FALSE(stack.GotOne(kSilence));
}

// The agent names the socket before it binds it, so that not even the first frame is a stray.
TEST_F(ToKernelTest, ASocketIsKnownBeforeItIsBound) {
  ASSERT_NO_FATAL_FAILURE(MakeBridgeAndUser());
  Steer(*bridge_, SLUICE_BRIDGE_REDIRECT);
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  LetIn(*bridge_, *lane_);
  user_->Send(Datagram(ToPort()));
  EXPECT_TRUE(stack.GotOne(kPatience));
  EXPECT_EQ(AtNearEnd().strays, 0u);
}

// The kernel still gets the frames while no agent runs, and after a new one has taken over.
TEST_F(ToKernelTest, GoesOnWithoutTheAgentAndIsAdopted) {
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  bridge_.reset();
  user_->Send(Datagram(ToPort()));
  EXPECT_TRUE(stack.GotOne(kPatience));
  absl::StatusOr<Bridge> next = Make();
  ASSERT_OK(next);
  EXPECT_TRUE(next->adopted());
  bridge_ = *std::move(next);
  user_->Send(Datagram(ToPort()));
  EXPECT_TRUE(stack.GotOne(kPatience));
  EXPECT_EQ(AtNearEnd().packets, 2u) << "the near end's counters survive the takeover";
  EXPECT_OK(bridge_->Remove());
}

// Generic XDP sees frames that are on their way to the kernel, too.
TEST_F(ToKernelTest, GenericXdpDoesNotTakeItAgain) {
  ASSERT_OK(xdp_->Remove(false));
  absl::StatusOr<XdpAttachment> generic =
      XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_, ModeSetting::kSkb);
  ASSERT_OK(generic);
  xdp_.emplace(*std::move(generic));
  ASSERT_NO_FATAL_FAILURE(SendAllOverTheBridge());
  ASSERT_OK(xdp_->Resume());
  Shell("ip addr add 10.7.0.2/24 dev port0");
  StackListener stack("10.7.0.2");
  // Every queue has a socket, so that XDP redirects every frame that it may.
  absl::StatusOr<UniqueFd> memory = MakeUmemMemory(kBridgeLayout, "pair-lane");
  ASSERT_OK(memory);
  const absl::StatusOr<LaneSockets> pairs =
      OpenLaneSockets(*std::move(memory), kBridgeLayout, kBridgeRings, {{"port0", 0}, {"port0", 1}}, ModeSetting::kSkb,
                      true, SteadyTime::Now() + kPatience);
  ASSERT_OK(pairs);
  absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
  ASSERT_OK(maps);
  for (uint32_t queue = 0; queue < 2; ++queue) {
    const int socket = pairs->sockets[queue].get();
    ASSERT_EQ(bpf_map_update_elem(maps->xsks_fd(), &queue, &socket, BPF_ANY), 0) << std::strerror(errno);
  }
  user_->Send(Datagram(ToPort()));
  EXPECT_TRUE(stack.GotOne(kPatience));
  EXPECT_EQ(Received(), 0u);
  // XDP redirects a frame from the wire. With the group bit in its source MAC, the mark of frames for the kernel, it
  // passes XDP, and clsact sends it over the bridge.
  Wire wire("wire0");
  Bytes frame = PartialChecksumFrame(ToPort());
  wire.Send(frame);
  frame[6] |= 1;
  wire.Send(frame);
  const std::vector<Bytes> bridged = user_->Receive(1, kPatience);
  ASSERT_EQ(bridged.size(), 1u);
  EXPECT_EQ(bridged.front().size(), frame.size());
  EXPECT_EQ(Bytes(bridged.front().begin(), bridged.front().begin() + 14), Bytes(frame.begin(), frame.begin() + 14));
  EXPECT_EQ(Counted(SLUICE_VERDICT_DATAPLANE), 1u);
  EXPECT_EQ(Counted(SLUICE_VERDICT_BRIDGED), 1u);
  EXPECT_FALSE(stack.GotOne(kSilence));
  user_->Send(bridged.front());
  EXPECT_TRUE(stack.GotOne(kPatience)) << "the bit of a sender on the wire is no obstacle";
  EXPECT_EQ(Counted(SLUICE_VERDICT_DATAPLANE), 1u) << "XDP does not take it again";

  sluice_config config = maps->GetConfig().value();
  config.flags &= ~static_cast<uint32_t>(SLUICE_CONFIG_GENERIC_XDP);
  ASSERT_OK(maps->SetConfig(config));
  user_->Send(Datagram(ToPort()));
  EXPECT_FALSE(stack.GotOne(kSilence)) << "without the flag XDP takes the frame";
}

}  // namespace
}  // namespace sluice
