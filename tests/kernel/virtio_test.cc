// Tests control/kernel on a real virtio-net device with several queue pairs, inside a guest. The environment describes
// the guest:
//   SLUICE_VIRTIO_NETDEV          the device; without it every test is skipped
//   SLUICE_VIRTIO_SECOND_NETDEV   a second device, for a UMEM that two devices share
//   SLUICE_VIRTIO_ZEROCOPY        set where kernel and device can do zero-copy
//   SLUICE_VIRTIO_GUEST_OFFLOADS  set where the device offers guest offloads
#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/affinity.h"
#include "control/kernel/bridge.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/lane_sockets.h"
#include "control/kernel/links.h"
#include "control/kernel/text_file.h"
#include "control/kernel/virtio_device.h"
#include "control/kernel/xdp_attachment.h"
#include "dataplane/base/cpu_list.h"
#include "dataplane/base/steady_time.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/open_lane.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

constexpr UmemLayout kLayout{1024, 4096};
constexpr XskRingSizes kRings{256, 256, 256, 256};

class VirtioTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* netdev = getenv("SLUICE_VIRTIO_NETDEV");
    if (netdev == nullptr) {
      GTEST_SKIP() << "SLUICE_VIRTIO_NETDEV names no virtio-net device";
    }
    netdev_ = netdev;
    ASSERT_OK(SetLinkUp(netdev_, true));
    const absl::StatusOr<Channels> channels = GetChannels(netdev_);
    ASSERT_OK(channels);
    max_ = channels->max_combined;
    ASSERT_GE(max_, 2u);
    ASSERT_OK(SetChannels(netdev_, max_));
  }

  absl::StatusOr<XdpAttachment> Attach() {
    return XdpAttachment::AttachOrAdopt(netdev_, SteerObject(), pin_dir_, ModeSetting::kCopy);
  }

  static absl::StatusOr<LaneSockets> Open(const std::vector<QueueAddress>& queues, ModeSetting wanted) {
    absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kLayout, "lane-test");
    if (!umem.ok()) {
      return umem.status();
    }
    return OpenLaneSockets(std::move(*umem), kLayout, kRings, queues, wanted, false,
                           SteadyTime::Now() + absl::Seconds(5));
  }

  std::string netdev_;
  uint32_t max_ = 0;
  std::string pin_dir_ = "/sys/fs/bpf/sluice/virtio-test";
};

TEST_F(VirtioTest, DriverAndNegotiatedFeatures) {
  const absl::StatusOr<DriverInfo> driver = GetDriver(netdev_);
  ASSERT_OK(driver);
  EXPECT_EQ(driver->driver, "virtio_net");
  EXPECT_FALSE(driver->bus.empty());
  const absl::StatusOr<std::optional<VirtioDevice>> device = ReadVirtioDevice(netdev_);
  ASSERT_OK(device);
  ASSERT_TRUE(device->has_value());
  EXPECT_TRUE(absl::StartsWith((*device)->name, "virtio")) << (*device)->name;
  EXPECT_TRUE((*device)->Has(VirtioFeature::kMq));
  EXPECT_TRUE((*device)->Has(VirtioFeature::kCtrlVq));
  EXPECT_TRUE((*device)->Has(VirtioFeature::kVersion1));
  EXPECT_TRUE((*device)->Has(VirtioFeature::kMrgRxbuf));
  EXPECT_EQ((*device)->OffersGuestOffloads(), getenv("SLUICE_VIRTIO_GUEST_OFFLOADS") != nullptr);
  EXPECT_EQ((*device)->napi_tx, true);
  EXPECT_EQ(FramesSentUnread(netdev_, **device, 1).value_or(99), 0u);
}

TEST_F(VirtioTest, ChannelsChangeOnlyWhileXdpIsSuspended) {
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_EQ(attachment->mode(), XdpMode::kNative);
  const absl::Status refused = SetChannels(netdev_, 1);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  for (const uint32_t count : {1u, max_, 2u, max_}) {
    EXPECT_OK(attachment->Suspend());
    EXPECT_OK(SetChannels(netdev_, count));
    EXPECT_OK(attachment->Resume());
    EXPECT_EQ(GetChannels(netdev_)->combined, count);
    EXPECT_TRUE(absl::StrContains(Output("xdp-loader status " + netdev_), "sluice_steer"));
  }
  EXPECT_OK(attachment->Remove(false));
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
  EXPECT_OK(SetChannels(netdev_, max_));
}

TEST_F(VirtioTest, ShrinkingBelowASocketIsRefusedUntilItIsReleased) {
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  absl::StatusOr<LaneSockets> lane = Open({{netdev_, max_ - 1}}, ModeSetting::kCopy);
  ASSERT_OK(lane);
  ASSERT_OK(attachment->Suspend());
  const absl::Status refused = SetChannels(netdev_, 1);
  EXPECT_FALSE(refused.ok());
  EXPECT_TRUE(absl::StrContains(refused.message(), "AF_XDP")) << refused;
  lane->sockets.clear();
  absl::Status status = absl::OkStatus();
  for (const SteadyTime end = SteadyTime::Now() + absl::Seconds(10); SteadyTime::Now() < end;
       absl::SleepFor(absl::Milliseconds(5))) {
    status = SetChannels(netdev_, 1);
    if (status.ok()) {
      break;
    }
  }
  EXPECT_OK(status);
  EXPECT_OK(SetChannels(netdev_, max_));
  EXPECT_OK(attachment->Remove(false));
}

TEST_F(VirtioTest, ClosedQueueCanBeBoundAgain) {
  for (int round = 0; round < 5; ++round) {
    ASSERT_OK(Open({{netdev_, 0}}, ModeSetting::kAuto)) << "round " << round;
  }
}

TEST_F(VirtioTest, ModeIsZeroCopyExactlyWhereTheKernelCan) {
  const bool expected = getenv("SLUICE_VIRTIO_ZEROCOPY") != nullptr;
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  for (const bool suspended : {false, true}) {  // a resize by channels binds sockets before it resumes XDP
    SCOPED_TRACE(suspended ? "XDP suspended" : "XDP attached");
    ASSERT_OK(suspended ? attachment->Suspend() : absl::OkStatus());
    const absl::StatusOr<LaneSockets> lane = Open({{netdev_, 0}}, ModeSetting::kAuto);
    ASSERT_OK(lane);
    EXPECT_EQ(lane->mode, expected ? XskMode::kZeroCopy : XskMode::kCopy) << lane->mode_reason;
    EXPECT_EQ(*IsZeroCopy(lane->sockets[0].get()), expected);
    EXPECT_EQ(lane->mode_reason == netdev_ + " offers zero-copy", expected) << lane->mode_reason;
    EXPECT_OK(attachment->Resume()) << "XDP resumes although a socket is bound";
  }
  EXPECT_OK(attachment->Remove(false));
}

TEST_F(VirtioTest, TwoDevicesShareOneUmemInTheSameMode) {
  const char* second = getenv("SLUICE_VIRTIO_SECOND_NETDEV");
  if (second == nullptr) {
    GTEST_SKIP() << "SLUICE_VIRTIO_SECOND_NETDEV names no second device";
  }
  ASSERT_OK(SetLinkUp(second, true));
  const absl::StatusOr<LaneSockets> lane = Open({{netdev_, 0}, {second, 0}}, ModeSetting::kAuto);
  ASSERT_OK(lane);
  ASSERT_EQ(lane->sockets.size(), 2u);
  const bool expected = getenv("SLUICE_VIRTIO_ZEROCOPY") != nullptr;
  for (const UniqueFd& socket : lane->sockets) {
    EXPECT_EQ(*IsZeroCopy(socket.get()), expected) << lane->mode_reason;
  }
}

TEST_F(VirtioTest, EachQueuesInterruptsAndTransmitQueueGoToItsCpuAndBack) {
  const absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  ASSERT_OK(online);
  std::vector<uint32_t> cpus;
  std::vector<std::string> before;
  for (uint32_t queue = 0; queue < max_; ++queue) {
    const absl::StatusOr<std::vector<uint32_t>> irqs = QueueIrqs(netdev_, queue);
    ASSERT_OK(irqs);
    ASSERT_EQ(irqs->size(), 2u) << "queue " << queue << " must have an interrupt for input and one for output";
    cpus.push_back((*online)[(queue + 1) % online->size()]);
    before.push_back(*ReadTextFile(absl::StrCat("/proc/irq/", irqs->front(), "/smp_affinity_list")));
  }
  QueueAffinity affinity(netdev_);
  EXPECT_OK(affinity.Apply(cpus));
  for (uint32_t queue = 0; queue < max_; ++queue) {
    const absl::StatusOr<std::vector<uint32_t>> irqs = QueueIrqs(netdev_, queue);
    ASSERT_OK(irqs);
    for (const uint32_t irq : *irqs) {
      EXPECT_EQ(*ReadTextFile(absl::StrCat("/proc/irq/", irq, "/smp_affinity_list")), absl::StrCat(cpus[queue]));
    }
    const absl::StatusOr<std::string> xps =
        ReadTextFile(absl::StrCat("/sys/class/net/", netdev_, "/queues/tx-", queue, "/xps_cpus"));
    ASSERT_OK(xps);
    EXPECT_EQ(std::stoul(*xps, nullptr, 16), 1ul << cpus[queue]);
  }
  EXPECT_OK(affinity.Restore());
  for (uint32_t queue = 0; queue < max_; ++queue) {
    EXPECT_EQ(*ReadTextFile(absl::StrCat("/proc/irq/", QueueIrqs(netdev_, queue)->front(), "/smp_affinity_list")),
              before[queue]);
  }
}

TEST_F(VirtioTest, RssTableIsSetWhereTheDeviceHasOne) {
  const absl::StatusOr<std::vector<uint32_t>> table = GetRssTable(netdev_);
  ASSERT_OK(table);
  const bool has_rss = (*ReadVirtioDevice(netdev_))->Has(VirtioFeature::kRss);
  if (!has_rss) {
    GTEST_SKIP() << "no VIRTIO_NET_F_RSS; table of " << table->size();
  }
  ASSERT_FALSE(table->empty());
  const std::vector<uint32_t> all_on_one(table->size(), 1);
  EXPECT_OK(SetRssTable(netdev_, all_on_one));
  EXPECT_EQ(*GetRssTable(netdev_), all_on_one);
  EXPECT_OK(SetRssTable(netdev_, *table));
  EXPECT_EQ(*GetRssTable(netdev_), *table);
}

TEST_F(VirtioTest, BridgeIsMadeAdoptedAndRemoved) {
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  {
    const absl::StatusOr<Bridge> bridge = Bridge::CreateOrAdopt(netdev_, ObjectDir(), pin_dir_);
    ASSERT_OK(bridge);
  }
  absl::StatusOr<Bridge> bridge = Bridge::CreateOrAdopt(netdev_, ObjectDir(), pin_dir_);
  ASSERT_OK(bridge);
  EXPECT_TRUE(bridge->adopted());
  EXPECT_OK(bridge->Remove());
  EXPECT_OK(attachment->Remove(false));
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
}

}  // namespace
}  // namespace sluice
