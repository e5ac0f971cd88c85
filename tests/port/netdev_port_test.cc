#include "control/port/netdev_port.h"

#include <bpf/bpf.h>
#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "control/kernel/lane_sockets.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/contract/self_test_frame.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/open_lane.h"
#include "tests/kernel/status_matchers.h"
#include "tests/kernel/xsk_user.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NetdevPortTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    MakePort("port0", "wire0", 4);
    Shell("ethtool -L port0 rx 1 tx 1");
    Shell("ethtool -L wire0 rx 4 tx 4");
    Shell("ip link set port0 down");
    settings_.object_dir = ObjectDir();
    settings_.pin_root = pin_dir_;
    settings_.queue_pairs = 2;
    settings_.every_frame = true;
    as_found_ = Look();
  }

  absl::StatusOr<std::unique_ptr<Port>> BringUp(const std::optional<SavedPort>& saved = std::nullopt) {
    return NetdevPort::BringUp({"wan", "port0", OnDataplaneDown::kPass}, settings_, saved, [](const SavedPort&) {});
  }
  // Describes everything that bringing a port up may change: the link, its programs, channels, bridge and pins.
  std::string Look() const {
    std::error_code none;
    return absl::StrCat(Output("ip -d link show port0 | sed 's/state [A-Z]*//; s/prog.*//'"),
                        Output("ethtool -l port0 | sed -n '/Current/,$p'"), Output("ip -o link | wc -l"),
                        Output("tc qdisc show dev port0 clsact"), std::filesystem::exists(pin_dir_ + "/port0", none));
  }

  PortSettings settings_;
  std::string as_found_;
};

TEST_F(NetdevPortTest, IsBroughtUpAndPutBackAsItWasFound) {
  absl::StatusOr<std::unique_ptr<Port>> port = BringUp();
  ASSERT_OK(port);
  EXPECT_EQ((*port)->queue_pairs(), 2U);
  EXPECT_EQ((*port)->info().max_pairs, 4U);
  EXPECT_EQ((*port)->info().driver, "veth");
  EXPECT_FALSE((*port)->saved().up());
  EXPECT_EQ((*port)->saved().queue_pairs(), 1U);
  EXPECT_THAT(Output("ip -d link show port0"), HasSubstr("xdp"));
  EXPECT_THAT(Output("ip -d link show port0"), HasSubstr("promiscuity 1"));
  ASSERT_OK((*port)->Activate());
  ASSERT_OK((*port)->StartOffload(0, {7}, 5));
  ASSERT_OK((*port)->TakeDown());
  EXPECT_EQ(Look(), as_found_);
}

TEST_F(NetdevPortTest, AFailureAfterXdpIsAttachedLeavesTheDeviceAsItWas) {
  const TempFolder objects;  // lacks the bridge's objects
  std::filesystem::copy(SteerObject(), objects.path());
  settings_.object_dir = objects.path();
  const absl::Status s = BringUp().status();
  EXPECT_FALSE(s.ok());
  EXPECT_THAT(std::string(s.message()), HasSubstr("port port0"));
  EXPECT_EQ(Look(), as_found_);
  settings_.object_dir = ObjectDir();
  EXPECT_OK(BringUp()) << "a later attempt succeeds";
}

TEST_F(NetdevPortTest, RefusesMorePairsThanTheDeviceHasBeforeItChangesAnything) {
  settings_.queue_pairs = 5;
  EXPECT_THAT(std::string(BringUp().status().message()), HasSubstr("at most 4"));
  EXPECT_EQ(Look(), as_found_);
}

TEST_F(NetdevPortTest, ASuccessorAdoptsItAndStillKnowsHowItWasFound) {
  SavedPort saved;
  {
    absl::StatusOr<std::unique_ptr<Port>> first = BringUp();
    ASSERT_OK(first);
    ASSERT_OK((*first)->StopOffload(3));
    saved = (*first)->saved();
  }
  settings_.queue_pairs = 4;
  absl::StatusOr<std::unique_ptr<Port>> port = BringUp(saved);
  ASSERT_OK(port);
  EXPECT_EQ((*port)->queue_pairs(), 2U) << "a successor leaves the pairs as they are";
  EXPECT_FALSE((*port)->info().xdp_was_off);
  EXPECT_FALSE((*port)->info().adopted_xdp) << "the first agent attached XDP, so it counts as ours";
  EXPECT_EQ((*port)->GetOffloadState()->epoch, 3U);
  ASSERT_OK((*port)->TakeDown());
  EXPECT_EQ(Look(), as_found_);
}

TEST_F(NetdevPortTest, IsPutBackAlsoWithoutAPort) {
  SavedPort saved;
  {
    absl::StatusOr<std::unique_ptr<Port>> port = BringUp();
    ASSERT_OK(port);
    ASSERT_OK((*port)->Activate());
    saved = (*port)->saved();
  }
  ASSERT_OK(NetdevPort::PutBack(saved));
  EXPECT_EQ(Look(), as_found_);
  ASSERT_OK(NetdevPort::PutBack(saved));
  EXPECT_EQ(Look(), as_found_);
}

TEST_F(NetdevPortTest, AProgramThatWasThereBeforeStaysWhenItIsPutBack) {
  ASSERT_OK(XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_ + "/port0", ModeSetting::kAuto));
  const std::string as_found = Look();
  SavedPort saved;
  {
    absl::StatusOr<std::unique_ptr<Port>> port = BringUp();
    ASSERT_OK(port);
    EXPECT_TRUE((*port)->info().adopted_xdp);
    ASSERT_OK((*port)->Activate());
    saved = (*port)->saved();
  }
  ASSERT_OK(NetdevPort::PutBack(saved));
  EXPECT_EQ(Look(), as_found);
  EXPECT_THAT(Output("ip -d link show port0"), HasSubstr("xdp"));
  const absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_ + "/port0");
  ASSERT_OK(maps);
  EXPECT_EQ(maps->GetConfig()->flags, 0U) << "it passes every packet";
}

TEST_F(NetdevPortTest, ANumberOfQueuesThatCannotBeSetAgainIsSaidAndTriedOnce) {
  constexpr UmemLayout kLayout{128, 4096};
  settings_.mode = ModeSetting::kSkb;
  absl::StatusOr<std::unique_ptr<Port>> port = BringUp();
  ASSERT_OK(port);
  EXPECT_THAT((*port)->Reconcile(std::nullopt).degraded, IsEmpty());
  Shell("ethtool -L port0 rx 4 tx 4");
  absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "stranger");
  ASSERT_OK(umem);
  absl::StatusOr<LaneSockets> stranger =
      OpenLaneSockets(*std::move(umem), kLayout, {64, 64, 64, 64}, {{"port0", 3}}, ModeSetting::kSkb, true,
                      SteadyTime::Now() + absl::Seconds(30));
  ASSERT_OK(stranger);
  const auto says = ElementsAre(HasSubstr("its number of queue pairs cannot be put back: 4 instead of 2"));
  EXPECT_THAT((*port)->Reconcile(std::nullopt).degraded, says);
  EXPECT_THAT(Output("ip -d link show port0"), HasSubstr("xdp")) << "the attempt took it off";
  stranger->sockets.clear();
  EXPECT_THAT((*port)->Reconcile(std::nullopt).degraded, says) << "there was one attempt";
  // The socket leaves its queue by a workqueue.
  Shell("for i in $(seq 500); do ethtool -L port0 rx 2 tx 2 2>/dev/null && exit; sleep 0.02; done; exit 1");
  EXPECT_THAT((*port)->Reconcile(std::nullopt).degraded, IsEmpty());
}

TEST_F(NetdevPortTest, ItsQueuesAreTestedBeforeItSteers) {
  constexpr UmemLayout kLayout{256, 4096};
  constexpr XskRingSizes kRings{128, 128, 128, 128};
  const SelfTestToken token = {1, 2, 3, 4};
  absl::StatusOr<std::unique_ptr<Port>> port = BringUp();
  ASSERT_OK(port);
  const auto test = [&](uint32_t queue, bool live = false) {
    const absl::StatusOr<sluice_self_test> noted = (*port)->TestQueue(queue, token, live);
    EXPECT_OK(noted);
    return noted.value_or(sluice_self_test{});
  };
  absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "lane");
  ASSERT_OK(umem);
  absl::StatusOr<LaneSockets> lane =
      MakeLaneSockets(*std::move(umem), kLayout, kRings, {{"port0", 0}, {"port0", 1}, {"wire0", 0}});
  ASSERT_OK(lane);
  XskUser user(*lane, 0, 0, 128), stranger(*lane, 2, 128, 128);
  ASSERT_OK(BindLaneSockets(*lane, ModeSetting::kCopy, false, SteadyTime::Now() + absl::Seconds(30)));
  const auto enter = [&](uint32_t queue, size_t socket) {
    const int fd = lane->sockets[socket].get();
    ASSERT_EQ(bpf_map_update_elem((*port)->fds().xsks, &queue, &fd, BPF_ANY), 0) << std::strerror(errno);
  };
  EXPECT_EQ(test(0).seen, 1U);
  EXPECT_EQ(test(0).has_socket, 0U) << "the XSKMAP is empty";
  enter(0, 1);
  EXPECT_EQ(test(0).socket_queue, 1U) << "a socket of another queue";
  enter(0, 0);
  enter(1, 1);
  for (const uint32_t queue : {0U, 1U}) {
    EXPECT_EQ(test(queue).has_socket, 1U);
    EXPECT_EQ(test(queue).socket_queue, queue);
  }
  EXPECT_TRUE(user.Receive(1, absl::Milliseconds(50)).empty()) << "nothing was delivered yet";
  EXPECT_EQ(test(0, /*live=*/true).seen, 1U);
  const std::vector<Bytes> received = user.Receive(1, absl::Seconds(30));
  ASSERT_EQ(received.size(), 1U);
  EXPECT_TRUE(IsSelfTestFrame(reinterpret_cast<const uint8_t*>(received[0].data()),
                              static_cast<uint32_t>(received[0].size()), token));
  enter(0, 2);
  EXPECT_EQ(test(0, /*live=*/true).seen, 1U);
  EXPECT_TRUE(user.Receive(1, absl::Milliseconds(50)).empty());
  EXPECT_TRUE(stranger.Receive(1, absl::Milliseconds(50)).empty()) << "a socket of another device gets nothing";
  for (uint32_t verdict = 0; verdict < SLUICE_VERDICT_COUNT; ++verdict) {
    EXPECT_EQ((*port)->Packets(static_cast<sluice_verdict>(verdict), 0, 2), 0U) << "no packet was counted";
  }
  ASSERT_OK((*port)->Activate());
  EXPECT_EQ((*port)->TestQueue(0, token, true).status().code(), absl::StatusCode::kUnimplemented)
      << "the socket's ring has another producer";
}

TEST_F(NetdevPortTest, SteersAsItIsToldAndStopsWithTheEpochKept) {
  absl::StatusOr<std::unique_ptr<Port>> port = BringUp();
  ASSERT_OK(port);
  ASSERT_OK((*port)->Activate());
  absl::StatusOr<Port::OffloadState> state = (*port)->GetOffloadState();
  ASSERT_OK(state);
  EXPECT_FALSE(state->on);
  ASSERT_OK((*port)->StartOffload(0, {7, 8}, 5));
  EXPECT_TRUE((*port)->GetOffloadState()->on);
  ASSERT_OK((*port)->ApplyDownPolicy(2));
  ASSERT_OK((*port)->Resteer());
  EXPECT_FALSE((*port)->GetOffloadState()->on) << "offload is off until the next dataplane has its tables";
  EXPECT_EQ((*port)->GetOffloadState()->epoch, 5U);
  const Locals locals{std::vector<sluice_address>(1), std::vector<sluice_address>(1)};
  EXPECT_FALSE((*port)->HasLocals(locals));
  ASSERT_OK((*port)->SetLocals(locals));
  EXPECT_TRUE((*port)->HasLocals(locals));
}

}  // namespace
}  // namespace sluice
