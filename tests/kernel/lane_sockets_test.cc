#include "control/kernel/lane_sockets.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cap-ng.h>
#include <gmock/gmock.h>

#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "control/kernel/links.h"
#include "control/kernel/xdp_attachment.h"
#include "control/rules/steering_maps.h"
#include "dataplane/base/steady_time.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/open_lane.h"
#include "tests/kernel/status_matchers.h"
#include "tests/kernel/wire.h"
#include "tests/kernel/xsk_user.h"

namespace sluice {
namespace {

constexpr UmemLayout kLayout{256, 2048};
constexpr XskRingSizes kRings{128, 128, 128, 128};

class LaneSocketsTest : public NetnsTest {
 protected:
  static absl::StatusOr<LaneSockets> Open(const std::vector<QueueAddress>& queues,
                                          ModeSetting wanted = ModeSetting::kAuto, bool skb = false,
                                          absl::Duration patience = absl::Seconds(30)) {
    absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "lane-test");
    if (!umem.ok()) {
      return umem.status();
    }
    return OpenLaneSockets(std::move(*umem), kLayout, kRings, queues, wanted, skb, SteadyTime::Now() + patience);
  }

  // Attaches XDP to `netdev`, which gives every packet to the queue's socket.
  void SteerEverything(const std::string& netdev, const std::string& pins) {
    ASSERT_OK(XdpAttachment::AttachOrAdopt(netdev, SteerObject(), pins, ModeSetting::kAuto));
    absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pins);
    ASSERT_OK(maps);
    sluice_config config{};
    config.flags = SLUICE_CONFIG_ACTIVE;
    ASSERT_OK(maps->SetConfig(config));
    ASSERT_OK(maps->FillIdleRules({ActiveRule{.config = {.action = SLUICE_ACTION_DATAPLANE}}}));
    ASSERT_OK(maps->FlipRules());
  }
  static void Enter(const std::string& pins, uint32_t queue, int socket) {
    const absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pins);
    ASSERT_OK(maps);
    ASSERT_EQ(bpf_map_update_elem(maps->xsks_fd(), &queue, &socket, BPF_ANY), 0) << std::strerror(errno);
  }
};

TEST_F(LaneSocketsTest, UmemMemoryHasItsSizeAndCannotShrink) {
  const absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "lane-test");
  ASSERT_OK(umem);
  // If the machine has free huge pages, the memory is rounded up to a whole one.
  constexpr off_t kHugePageBytes = 2 << 20;
  static_assert(kLayout.total_bytes() <= kHugePageBytes);
  EXPECT_EQ(lseek(umem->get(), 0, SEEK_END),
            HasHugePages(umem->get()) ? kHugePageBytes : static_cast<off_t>(kLayout.total_bytes()));
  EXPECT_NE(ftruncate(umem->get(), 0), 0);
}

// The kernel charges a user for the frames and nothing else, as the doctor assumes (checks_machine.cc).
TEST_F(LaneSocketsTest, KernelChargesTheFramesToTheMemlockLimit) {
  MakePort("port0", "wire0", 1);
  const UmemLayout layout = LaneLayout(1, 2048);
  // A user that no other process has, so nothing else is charged to it.
  constexpr int kNobodysUid = 64'321;
  const auto made_within = [&](uint64_t limit_bytes) {
    const rlimit limit{limit_bytes, layout.frames_bytes()};
    absl::StatusOr<UniqueFd> umem = MakeUmemMemory(layout, "lane-test");
    return setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || !umem.ok()
               ? absl::UnknownError("not set up")
               : MakeLaneSockets(*std::move(umem), layout, kLaneRings, {{"port0", 0}}).status();
  };
  const pid_t child = fork();
  if (child == 0) {
    capng_clear(CAPNG_SELECT_BOTH);
    if (capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_NET_RAW) != 0 ||
        capng_change_id(kNobodysUid, kNobodysUid, CAPNG_DROP_SUPP_GRP) != 0) {
      _exit(3);
    }
    if (!absl::IsResourceExhausted(made_within(layout.frames_bytes() - 1))) {
      _exit(1);
    }
    _exit(made_within(layout.frames_bytes()).ok() ? 0 : 2);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0)
      << "exit code 1: a smaller limit was enough; 2: this limit was not enough; 3: could not change the user";
}

TEST_F(LaneSocketsTest, IsBoundTellsBoundSocketsFromOthers) {
  MakePort("port0", "wire0", 2);
  absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "lane-test");
  ASSERT_OK(umem);
  absl::StatusOr<LaneSockets> lane = MakeLaneSockets(*std::move(umem), kLayout, kRings, {{"port0", 0}});
  ASSERT_OK(lane);
  EXPECT_FALSE(IsBound(lane->sockets[0].get()));
  ASSERT_OK(BindLaneSockets(*lane, ModeSetting::kAuto, false, SteadyTime::Now() + absl::Seconds(30)));
  EXPECT_TRUE(IsBound(lane->sockets[0].get()));
  ASSERT_OK(SetLinkUp("port0", false));
  EXPECT_TRUE(IsBound(lane->sockets[0].get())) << "a link that is down does not unbind the socket";
}

TEST_F(LaneSocketsTest, TwoPortsShareOneUmemAndAFrameCrossesWithoutACopy) {
  MakePort("wan0", "inet0", 2);
  MakePort("lan0", "host0", 2);
  SteerEverything("wan0", pin_dir_ + "wan");
  SteerEverything("lan0", pin_dir_ + "lan");
  absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "lane-test");
  ASSERT_OK(umem);
  absl::StatusOr<LaneSockets> lane = MakeLaneSockets(*std::move(umem), kLayout, kRings, {{"wan0", 0}, {"lan0", 0}});
  ASSERT_OK(lane);
  ASSERT_EQ(lane->sockets.size(), 2u);
  XskUser wan(*lane, 0, 0, 128);
  XskUser lan(*lane, 1, 128, 128);
  ASSERT_OK(BindLaneSockets(*lane, ModeSetting::kAuto, false, SteadyTime::Now() + absl::Seconds(30)));
  EXPECT_EQ(lane->mode, XskMode::kCopy);
  EXPECT_NE(lane->mode_reason.find("wan0 offers no zero-copy"), std::string::npos) << lane->mode_reason;
  Enter(pin_dir_ + "wan", 0, wan.fd());
  Enter(pin_dir_ + "lan", 0, lan.fd());

  FrameSpec spec;
  spec.destination = GetLink("wan0")->mac;
  Wire inet("inet0");
  Wire host("host0");
  const Bytes frame = PartialChecksumFrame(spec);
  // With one transmit queue at the sender, the frame arrives on our queue 0, where the socket is.
  Shell("ethtool -L inet0 tx 1");
  inet.Send(frame);
  const std::vector<Bytes> received = wan.Receive(1, absl::Seconds(30));
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].size(), frame.size());
  lan.Send(received[0]);
  EXPECT_EQ(host.Receive(1, absl::Seconds(30)), received);

  const absl::StatusOr<xdp_statistics> statistics = ReadXskStatistics(wan.fd());
  ASSERT_OK(statistics);
  EXPECT_EQ(statistics->rx_dropped, 0u);
  EXPECT_EQ(statistics->rx_invalid_descs, 0u);
}

TEST_F(LaneSocketsTest, StatisticsCountPacketsThatFoundNoFrame) {
  MakePort("port0", "wire0", 1);
  SteerEverything("port0", pin_dir_);
  const absl::StatusOr<LaneSockets> lane = Open({{"port0", 0}});
  ASSERT_OK(lane);
  Enter(pin_dir_, 0, lane->sockets[0].get());  // its fill ring stays empty
  FrameSpec spec;
  spec.destination = GetLink("port0")->mac;
  Wire wire("wire0");
  wire.Send(PartialChecksumFrame(spec));
  uint64_t dropped = 0;
  for (int i = 0; i < 3000 && dropped == 0; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    const absl::StatusOr<xdp_statistics> statistics = ReadXskStatistics(lane->sockets[0].get());
    ASSERT_OK(statistics);
    dropped = statistics->rx_dropped + statistics->rx_fill_ring_empty_descs;
  }
  EXPECT_GT(dropped, 0u);
}

TEST_F(LaneSocketsTest, ZeroCopyThatIsDemandedIsRefusedWhereThereIsNone) {
  MakePort("port0", "wire0", 1);
  const absl::Status status = Open({{"port0", 0}}, ModeSetting::kZeroCopy).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("queue 0 of port0: Operation not supported; the device does not offer this mode"),
            absl::string_view::npos)
      << status;
}

TEST_F(LaneSocketsTest, ModesAndTheirReasons) {
  MakePort("port0", "wire0", 1);
  const struct {
    ModeSetting wanted;
    bool skb;
    XskMode mode;
    const char* reason;
  } cases[] = {
      {ModeSetting::kAuto, false, XskMode::kCopy,
       "port0 offers no zero-copy on this kernel (sluicectl doctor says more)"},
      {ModeSetting::kCopy, false, XskMode::kCopy, "asked for by the configuration"},
      {ModeSetting::kAuto, true, XskMode::kSkb, "XDP runs in skb mode"},
      {ModeSetting::kSkb, true, XskMode::kSkb, "XDP runs in skb mode"},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<LaneSockets> lane = Open({{"port0", 0}}, c.wanted, c.skb);
    ASSERT_OK(lane);
    EXPECT_EQ(lane->mode, c.mode);
    EXPECT_EQ(lane->mode_reason, c.reason);
    const absl::StatusOr<bool> zero_copy = IsZeroCopy(lane->sockets[0].get());
    ASSERT_OK(zero_copy);
    EXPECT_FALSE(*zero_copy);
  }
  EXPECT_EQ(Open({{"port0", 0}}, ModeSetting::kZeroCopy, true).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(LaneSocketsTest, BusyQueueIsRetriedUntilItIsFree) {
  MakePort("port0", "wire0", 1);
  absl::StatusOr<LaneSockets> first = Open({{"port0", 0}});
  ASSERT_OK(first);
  std::thread closer([&first] {
    absl::SleepFor(absl::Milliseconds(200));
    first->sockets.clear();
  });
  const SteadyTime start = SteadyTime::Now();
  const absl::StatusOr<LaneSockets> second = Open({{"port0", 0}}, ModeSetting::kCopy, false, absl::Seconds(5));
  closer.join();
  ASSERT_OK(second);
  EXPECT_GE(SteadyTime::Now() - start, absl::Milliseconds(150));
}

TEST_F(LaneSocketsTest, BusySecondPortIsRetriedToo) {
  MakePort("wan0", "inet0", 1);
  MakePort("lan0", "host0", 1);
  absl::StatusOr<LaneSockets> first = Open({{"lan0", 0}});
  ASSERT_OK(first);
  std::thread closer([&first] {
    absl::SleepFor(absl::Milliseconds(100));
    first->sockets.clear();
  });
  const absl::StatusOr<LaneSockets> second = Open({{"wan0", 0}, {"lan0", 0}}, ModeSetting::kCopy);
  closer.join();
  EXPECT_OK(second);
}

TEST_F(LaneSocketsTest, QueueThatStaysBusyIsNamedAndNothingStaysBound) {
  MakePort("wan0", "inet0", 1);
  MakePort("lan0", "host0", 1);
  const absl::StatusOr<LaneSockets> holder = Open({{"lan0", 0}});
  ASSERT_OK(holder);
  const absl::Status status =
      Open({{"wan0", 0}, {"lan0", 0}}, ModeSetting::kCopy, false, absl::Milliseconds(50)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("queue 0 of lan0"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("still holds the queue"), absl::string_view::npos) << status;
  EXPECT_OK(Open({{"wan0", 0}}));
}

TEST_F(LaneSocketsTest, MissingQueueAndNetdevAreNamed) {
  MakePort("port0", "wire0", 2);
  absl::Status status = Open({{"port0", 7}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("queue 7 of port0"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("refused: queue 7 of [dataplane] queue_pairs"), absl::string_view::npos) << status;
  status = Open({{"nothing0", 0}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_EQ(Open({}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LaneSocketsTest, RingsAndFramesThatTheKernelRefusesAreNamed) {
  MakePort("port0", "wire0", 1);
  const auto refusal = [](const UmemLayout& layout, const XskRingSizes& rings) {
    absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "lane-test");
    return std::string(umem.ok() ? MakeLaneSockets(*std::move(umem), layout, rings, {{"port0", 0}}).status().message()
                                 : umem.status().message());
  };
  EXPECT_EQ(refusal(kLayout, {128, 128, 100, 128}),
            "making a receive ring of 100 entries for queue 0 of port0: Invalid argument; refused: 100 entries, which "
            "no key sets; the kernel takes powers of two");
  EXPECT_THAT(refusal({16, 1000}, kRings), testing::HasSubstr("; refused: frames of 1000 bytes"));
}

class HeldLaneTest : public LaneSocketsTest {
 protected:
  void SetUp() override {
    LaneSocketsTest::SetUp();
    if (!IsSkipped()) {
      MakePort("port0", "wire0", 2);
      MakePort("port1", "wire1", 2);
    }
  }
  static absl::Status Check(const LaneSockets& lane, const std::vector<QueueAddress>& queues) {
    std::vector<int> sockets;
    for (const UniqueFd& socket : lane.sockets) {
      sockets.push_back(socket.get());
    }
    return CheckLaneSockets(lane.umem.get(), lane.layout, sockets, queues);
  }
};

TEST_F(HeldLaneTest, EachSocketIsOnItsQueue) {
  absl::StatusOr<LaneSockets> lane = Open({{"port0", 1}, {"port1", 1}});
  ASSERT_OK(lane);
  for (int times = 0; times < 3; ++times) {  // looking changes nothing
    EXPECT_OK(Check(*lane, {{"port0", 1}, {"port1", 1}}));
  }
  for (const std::vector<QueueAddress>& other : std::vector<std::vector<QueueAddress>>{{{"port0", 0}, {"port1", 1}},
                                                                                       {{"port0", 1}, {"port1", 0}},
                                                                                       {{"port1", 1}, {"port0", 1}},
                                                                                       {{"wire0", 1}, {"port1", 1}},
                                                                                       {{"nothing0", 1}, {"port1", 1}},
                                                                                       {{"port0", 7}, {"port1", 1}},
                                                                                       {{"port0", 1}}}) {
    EXPECT_EQ(Check(*lane, other).code(), absl::StatusCode::kDataLoss) << other[0].netdev << "/" << other[0].queue;
  }
}

TEST_F(HeldLaneTest, ASocketThatIsNotBoundYetIsOneOfALaneThatWasBeingOpened) {
  absl::StatusOr<LaneSockets> lane =
      MakeLaneSockets(*MakeUmemMemory(kLayout, "lane-test"), kLayout, kRings, {{"port0", 0}, {"port1", 0}});
  ASSERT_OK(lane);
  EXPECT_OK(Check(*lane, {{"port0", 0}, {"port1", 0}}));
}

TEST_F(HeldLaneTest, AnotherFileIsNoSocketAndNoMemory) {
  absl::StatusOr<LaneSockets> lane = Open({{"port0", 0}, {"port1", 0}});
  ASSERT_OK(lane);
  const std::vector<QueueAddress> queues = {{"port0", 0}, {"port1", 0}};
  UniqueFd socket = std::exchange(lane->sockets[1], UniqueFd(memfd_create("other", MFD_CLOEXEC)));
  EXPECT_EQ(Check(*lane, queues).code(), absl::StatusCode::kDataLoss);
  lane->sockets[1] = UniqueFd(::socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_EQ(Check(*lane, queues).code(), absl::StatusCode::kDataLoss);
  lane->sockets[1] = std::move(socket);
  EXPECT_OK(Check(*lane, queues));
  lane->layout.frame_count *= 1024;
  EXPECT_EQ(Check(*lane, queues).code(), absl::StatusCode::kDataLoss) << "more frames than the memory has";
  lane->layout = kLayout;
  UniqueFd unsealed(memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(unsealed.get(), static_cast<off_t>(kLayout.total_bytes())), 0);
  lane->umem = std::move(unsealed);
  EXPECT_EQ(Check(*lane, queues).code(), absl::StatusCode::kDataLoss) << "it may shrink";
}

TEST_F(HeldLaneTest, AQueueIsTakenWhileASocketIsOnIt) {
  EXPECT_FALSE(IsQueueTaken({"nothing0", 0}));
  {
    absl::StatusOr<LaneSockets> lane = Open({{"port0", 0}});
    ASSERT_OK(lane);
    EXPECT_TRUE(IsQueueTaken({"port0", 0}));
    EXPECT_FALSE(IsQueueTaken({"port0", 1}));
  }
  const SteadyTime bound = SteadyTime::Now() + absl::Seconds(30);
  while (IsQueueTaken({"port0", 0}) && SteadyTime::Now() < bound) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_OK(Open({{"port0", 0}})) << "asking leaves it free";
}

}  // namespace
}  // namespace sluice
