#include "control/kernel/affinity.h"

#include "control/kernel/text_file.h"
#include "control/kernel/virtio_device.h"
#include "dataplane/base/cpu_list.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

class AffinityTest : public NetnsTest {};

std::string Xps(int queue) {
  const absl::StatusOr<std::string> text =
      ReadTextFile("/sys/class/net/port0/queues/tx-" + std::to_string(queue) + "/xps_cpus");
  EXPECT_OK(text);
  return text.ok() ? *text : "";
}

TEST_F(AffinityTest, SetsTransmitQueuesAndPutsThemBack) {
  MakePort("port0", "wire0", 2);
  const absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  ASSERT_OK(online);
  ASSERT_FALSE(online->empty());
  const uint32_t first = online->front();
  const uint32_t last = online->back();
  const std::string before[] = {Xps(0), Xps(1)};
  QueueAffinity affinity("port0");
  EXPECT_OK(affinity.Apply({first, last}));
  const std::string first_mask = Xps(0);
  EXPECT_NE(first_mask, before[0]);
  EXPECT_OK(affinity.Apply({last, first}));
  EXPECT_EQ(Xps(1), first_mask);
  EXPECT_OK(affinity.Restore());
  EXPECT_EQ(Xps(0), before[0]);
  EXPECT_EQ(Xps(1), before[1]);
}

TEST_F(AffinityTest, PutsBackWhatOthersChange) {
  MakePort("port0", "wire0", 2);
  const absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  ASSERT_OK(online);
  QueueAffinity affinity("port0");
  ASSERT_OK(affinity.Apply({online->front(), online->back()}));
  const std::string placed = Xps(1);
  EXPECT_FALSE(*affinity.Repair()) << "all is as it was set";
  ASSERT_OK(WriteTextFile("/sys/class/net/port0/queues/tx-1/xps_cpus", "0"));
  ASSERT_NE(Xps(1), placed);
  EXPECT_TRUE(*affinity.Repair());
  EXPECT_EQ(Xps(1), placed);
  EXPECT_FALSE(*affinity.Repair());
}

TEST_F(AffinityTest, ASecondAgentRestoresTheSettingsThatTheFirstRemembered) {
  MakePort("port0", "wire0", 2);
  const std::string before[] = {Xps(0), Xps(1)};
  QueueAffinity first("port0");
  first.Remember(2);
  const QueueAffinity::Before written_down = first.before();
  EXPECT_OK(first.Apply({0, 0}));
  EXPECT_NE(Xps(1), before[1]);
  QueueAffinity second("port0", written_down);
  second.Remember(2);
  EXPECT_EQ(second.before(), written_down) << "the settings from before the first change count";
  EXPECT_OK(second.Restore());
  EXPECT_EQ(Xps(0), before[0]);
  EXPECT_EQ(Xps(1), before[1]);
}

TEST_F(AffinityTest, OfflineCpuIsNamed) {
  MakePort("port0", "wire0", 2);
  QueueAffinity affinity("port0");
  const absl::Status status = affinity.Apply({0, 4095});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("CPU 4095 is offline"), absl::string_view::npos) << status;
}

TEST_F(AffinityTest, DeviceWithoutInterruptsHasNone) {
  MakePort("port0", "wire0", 1);
  const absl::StatusOr<std::vector<uint32_t>> irqs = QueueIrqs("port0", 0);
  ASSERT_OK(irqs);
  EXPECT_TRUE(irqs->empty());
  QueueAffinity affinity("port0");
  EXPECT_OK(affinity.Apply({0})) << "a device with one queue needs no setting";
}

TEST_F(AffinityTest, VethIsNoVirtioDevice) {
  MakePort("port0", "wire0", 1);
  const absl::StatusOr<std::optional<VirtioDevice>> device = ReadVirtioDevice("port0");
  ASSERT_OK(device);
  EXPECT_FALSE(device->has_value());
  EXPECT_EQ(ReadVirtioDevice("nothing0").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace sluice
