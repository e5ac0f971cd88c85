// Tests the parts of control/kernel that need no kernel: counters by name, virtio feature bits, error classes.
#include <cap-ng.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "control/kernel/kernel_error.h"
#include "control/kernel/rx_drops.h"
#include "control/kernel/virtio_device.h"

namespace sluice {
namespace {

TEST(RxDrops, AreFoundByQueueInEveryKernelsWords) {
  const std::map<uint32_t, RxDrops> drops = RxDropsByQueue({{"rx_queue_0_packets", 9},
                                                            {"rx_queue_0_drops", 1},
                                                            {"rx_queue_0_xdp_drops", 2},
                                                            {"rx_queue_12_drops", 3},
                                                            {"rx3_drops", 4},
                                                            {"rx3_xdp_drops", 5},
                                                            {"rx3_hw_drops", 90},
                                                            {"rx_drops", 91},
                                                            {"rx_xdp_drops", 92},
                                                            {"rx_queue_drops", 93},
                                                            {"rx-1_drops", 94},
                                                            {"tx_queue_0_xdp_tx_drops", 95},
                                                            {"rx4", 96}});
  ASSERT_EQ(drops.size(), 3u);
  EXPECT_EQ(drops.at(0).drops, 1u);
  EXPECT_EQ(drops.at(0).xdp_drops, 2u);
  EXPECT_EQ(drops.at(12).drops, 3u);
  EXPECT_EQ(drops.at(12).xdp_drops, 0u);
  EXPECT_EQ(drops.at(3).drops, 4u);
  EXPECT_EQ(drops.at(3).xdp_drops, 5u);
}

TEST(VirtioDevice, KnowsFeatureBits) {
  VirtioDevice device;
  EXPECT_FALSE(device.OffersGuestOffloads());
  device.features = uint64_t{1} << 60 | uint64_t{1} << 22;
  EXPECT_TRUE(device.Has(VirtioFeature::kRss));
  EXPECT_TRUE(device.Has(VirtioFeature::kMq));
  EXPECT_FALSE(device.Has(VirtioFeature::kHashReport));
  EXPECT_FALSE(device.OffersGuestOffloads());
  for (const uint32_t bit : {1, 7, 8, 9, 10, 54, 55}) {
    device.features = uint64_t{1} << bit;
    EXPECT_TRUE(device.OffersGuestOffloads()) << bit;
  }
}

TEST(KernelError, KeepsErrnoAndTheKernelsWords) {
  const struct {
    int error;
    absl::StatusCode code;
  } cases[] = {
      {ENODEV, absl::StatusCode::kNotFound},
      {EOPNOTSUPP, absl::StatusCode::kUnimplemented},
      {EINVAL, absl::StatusCode::kFailedPrecondition},
      {EBUSY, absl::StatusCode::kFailedPrecondition},
      {EPERM, absl::StatusCode::kInternal},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(KernelError(c.error, "doing it").code(), c.code) << c.error;
  }
  EXPECT_EQ(KernelError(EBUSY, "doing it").message(), "doing it: Device or resource busy");
  EXPECT_EQ(KernelError(EBUSY, "doing it", "not now").message(), "doing it: Device or resource busy (kernel: not now)");
}

TEST(KernelError, NamesTheValueThatWasRefused) {
  for (const int error : {EINVAL, ERANGE, E2BIG, EOVERFLOW}) {
    EXPECT_THAT(std::string(NameValue(KernelError(error, "setting 8"), "key = 8").message()),
                testing::EndsWith("; refused: key = 8"))
        << error;
  }
  EXPECT_EQ(NameValue(KernelError(EBUSY, "setting 8"), "key = 8").message(), "setting 8: Device or resource busy");
  EXPECT_TRUE(NameValue(absl::OkStatus(), "key = 8").ok());
}

TEST(KernelError, NamesTheCapabilityThatIsMissing) {
  EXPECT_EXIT(
      {
        capng_get_caps_process();
        capng_update(CAPNG_DROP, CAPNG_EFFECTIVE, CAP_NET_ADMIN);
        capng_apply(CAPNG_SELECT_CAPS);
        fprintf(stderr, "%s\n", std::string(KernelError(EPERM, "doing it").message()).c_str());
        fprintf(stderr, "%s\n", std::string(KernelError(EINVAL, "doing 7").message()).c_str());
        _exit(0);
      },
      testing::ExitedWithCode(0),
      "doing it: Operation not permitted; this process lacks .*CAP_NET_ADMIN.*\ndoing 7: Invalid");
}

}  // namespace
}  // namespace sluice
