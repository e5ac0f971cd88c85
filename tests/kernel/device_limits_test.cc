#include "control/kernel/device_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(FrameSizeTest, SmallestChunkThatHoldsTheMtu) {
  EXPECT_EQ(*FrameSizeForMtu(68), 2048u);
  EXPECT_EQ(*FrameSizeForMtu(1500), 2048u);
  EXPECT_EQ(*FrameSizeForMtu(1770), 2048u);
  EXPECT_EQ(*FrameSizeForMtu(1771), 4096u);
  EXPECT_EQ(*FrameSizeForMtu(3506), 4096u);
}

TEST(FrameSizeTest, MoreThanOneBufferIsRefusedWithTheNumber) {
  for (const uint32_t mtu_bytes : {3507u, 9000u, 65535u, UINT32_MAX}) {
    const absl::Status status = FrameSizeForMtu(mtu_bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("at most 3506"));
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(std::to_string(mtu_bytes)));
  }
}

TEST(ExtraXdpQueuesTest, RefusedWhenTheDeviceHasRoomForThem) {
  struct {
    uint32_t pairs, max, cpus;
    bool is_virtio, good;
  } const cases[] = {
      {1, 4, 4, true, true}, {4, 4, 4, true, true},  {1, 5, 4, true, false}, {4, 8, 4, true, false},
      {5, 8, 4, true, true}, {1, 2, 1, true, false}, {1, 1, 1, true, true},  {4, 8, 4, false, true},
  };
  for (const auto& c : cases) {
    const absl::Status status = CheckNoExtraXdpQueues("eth1", c.pairs, c.max, c.cpus, c.is_virtio);
    EXPECT_EQ(status.ok(), c.good) << c.pairs << " of " << c.max << ", " << c.cpus;
    if (!c.good) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_THAT(std::string(status.message()), testing::HasSubstr("eth1"));
      EXPECT_THAT(std::string(status.message()), testing::HasSubstr("<driver queues="));
    }
  }
}

}  // namespace
}  // namespace sluice
