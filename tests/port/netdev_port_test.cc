#include "control/port/netdev_port.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

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
    return NetdevPort::BringUp({"wan", "port0", OnDataplaneDown::kPass}, settings_, saved);
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
  const std::vector<sluice_address> addresses(1);
  EXPECT_FALSE((*port)->HasLocals(addresses));
  ASSERT_OK((*port)->SetLocals(addresses));
  EXPECT_TRUE((*port)->HasLocals(addresses));
}

}  // namespace
}  // namespace sluice
