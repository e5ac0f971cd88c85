#include "control/kernel/ethtool.h"

#include <net/if.h>

#include <algorithm>

#include "absl/time/clock.h"
#include "control/kernel/rx_drops.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"
#include "tests/kernel/wire.h"

namespace sluice {
namespace {

class EthtoolTest : public NetnsTest {};

bool IsActive(const std::string& netdev, const std::string& feature) {
  const absl::StatusOr<std::vector<std::string>> active = ActiveFeatures(netdev);
  EXPECT_OK(active);
  return active.ok() && std::find(active->begin(), active->end(), feature) != active->end();
}

TEST_F(EthtoolTest, ChannelsOfVethAreItsRxAndTxCounts) {
  MakePort("port0", "wire0", 4);
  absl::StatusOr<Channels> channels = GetChannels("port0");
  ASSERT_OK(channels);
  EXPECT_EQ(channels->max_combined, 4u);
  EXPECT_OK(SetChannels("port0", 2));
  channels = GetChannels("port0");
  ASSERT_OK(channels);
  EXPECT_EQ(channels->combined, 2u);
  EXPECT_OK(SetChannels("port0", 4));
  EXPECT_EQ(GetChannels("port0")->combined, 4u);
}

TEST_F(EthtoolTest, RefusalCarriesTheKernelsWords) {
  MakePort("port0", "wire0", 4);
  const absl::Status status = SetChannels("port0", 5);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("setting 5 channels on port0"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("(kernel: requested channel count exceeds maximum); refused: [dataplane] queue_pairs "
                                  "= 5"),
            absl::string_view::npos)
      << status;
}

TEST_F(EthtoolTest, FewerChannelsThanThePeerSendsOnAreRefusedWithXdp) {
  MakePort("port0", "wire0", 4);
  LoadByXdpLoader("port0", pin_dir_);
  const absl::Status status = SetChannels("port0", 2);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(GetChannels("port0")->combined, 4u);
  Shell("xdp-loader unload port0 --all");
  EXPECT_OK(SetChannels("port0", 2));
}

TEST_F(EthtoolTest, UnknownNetdevIsNotFound) {
  EXPECT_EQ(GetChannels("nothing0").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(SetChannels("nothing0", 1).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ActiveFeatures("nothing0").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetDriver("nothing0").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetRssTable("nothing0").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(EthtoolTest, DeviceWithoutChannelsIsUnimplemented) {
  EXPECT_EQ(GetChannels("lo").status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(EthtoolTest, FeaturesGoOffAndOn) {
  MakePort("port0", "wire0", 1);
  ASSERT_TRUE(IsActive("port0", "tx-checksum-ip-generic"));
  EXPECT_OK(SetFeatures("port0", {{"tx-checksum-ip-generic", false}, {"tx-generic-segmentation", false}}));
  EXPECT_FALSE(IsActive("port0", "tx-checksum-ip-generic"));
  EXPECT_FALSE(IsActive("port0", "tx-generic-segmentation"));
  EXPECT_OK(SetFeatures("port0", {{"tx-checksum-ip-generic", true}}));
  EXPECT_TRUE(IsActive("port0", "tx-checksum-ip-generic"));
}

TEST_F(EthtoolTest, FixedAndUnknownFeaturesAreNamed) {
  MakePort("port0", "wire0", 1);
  absl::Status status = SetFeatures("port0", {{"rx-fcs", true}});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("rx-fcs stays off"), absl::string_view::npos) << status;
  status = SetFeatures("port0", {{"no-such-feature", true}});
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("no-such-feature"), absl::string_view::npos) << status;
}

TEST_F(EthtoolTest, DeviceWithoutRssHasAnEmptyTable) {
  MakePort("port0", "wire0", 2);
  const absl::StatusOr<std::vector<uint32_t>> table = GetRssTable("port0");
  ASSERT_OK(table);
  EXPECT_TRUE(table->empty());
  EXPECT_EQ(SetRssTable("port0", {0, 1}).code(), absl::StatusCode::kUnimplemented);
}

TEST_F(EthtoolTest, DeviceWithoutCoalescingOrRingSizesIsUnimplemented) {
  MakePort("port0", "wire0", 1);
  EXPECT_EQ(GetTxFrames("lo", 1).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(GetTxRingSize("lo").status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(EthtoolTest, DriverStatsHaveNames) {
  MakePort("port0", "wire0", 2);
  const auto stats = GetDriverStats("port0");
  ASSERT_OK(stats);
  const auto value = [&stats](const std::string& name) {
    const auto found =
        std::find_if(stats->begin(), stats->end(), [&name](const auto& stat) { return stat.first == name; });
    return found == stats->end() ? std::nullopt : std::optional(found->second);
  };
  EXPECT_EQ(value("peer_ifindex"), if_nametoindex("wire0")) << "each value has its own name";
  EXPECT_EQ(value("rx_queue_1_drops"), 0u);
  EXPECT_EQ(value("rx_queue_2_drops"), std::nullopt);
  EXPECT_TRUE(GetDriverStats("lo").ok() && GetDriverStats("lo")->empty()) << GetDriverStats("lo").status();
  EXPECT_EQ(GetDriverStats("nothing0").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(EthtoolTest, RxDropsOfClosedQueuesStay) {
  MakePort("port0", "wire0", 4);
  RxDropsWatch watch("port0");
  ASSERT_TRUE(watch.Read().has_value());
  EXPECT_EQ(watch.Read()->xdp_drops, 0u);
  // sluice_bridge_rx without a socket drops every packet.
  Shell("xdp-loader load -m native -p " + pin_dir_ + " port0 " + ObjectDir() + "/sluice_bridge_rx.bpf.o");
  Wire wire("wire0");
  constexpr uint64_t kFrames = 64;
  for (uint16_t i = 0; i < kFrames; ++i) {
    FrameSpec flow;
    flow.destination_port = static_cast<uint16_t>(9000 + i);  // spreads the frames over all queues
    wire.Send(PartialChecksumFrame(flow));
  }
  for (int tries = 0; tries < 1000 && watch.Read()->xdp_drops < kFrames; ++tries) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_GE(watch.Read()->xdp_drops, kFrames);
  const uint64_t all = watch.Read()->xdp_drops;
  Shell("xdp-loader unload port0 --all");
  ASSERT_OK(SetChannels("port0", 1));
  EXPECT_EQ(watch.Read()->xdp_drops, all);
  EXPECT_LT(RxDropsWatch("port0").Read()->xdp_drops, all) << "the device's own sum must have lost the closed queues";
  EXPECT_FALSE(RxDropsWatch("lo").Read().has_value());
  EXPECT_FALSE(RxDropsWatch("nothing0").Read().has_value());
}

TEST_F(EthtoolTest, KnowsTheDriver) {
  MakePort("port0", "wire0", 1);
  const absl::StatusOr<DriverInfo> driver = GetDriver("port0");
  ASSERT_OK(driver);
  EXPECT_EQ(driver->driver, "veth");
}

}  // namespace
}  // namespace sluice
