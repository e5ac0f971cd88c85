#include "dataplane/base/clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <fstream>
#include <string>

namespace sluice {
namespace {

int64_t KernelNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

TEST(Clock, ReadsTheKernelsClocks) {
  const struct {
    int64_t (*read)();
    clockid_t clock;
  } cases[] = {{MonotonicNs, CLOCK_MONOTONIC}, {BootClockNs, CLOCK_BOOTTIME}};
  for (const auto& c : cases) {
    const int64_t before_ns = KernelNs(c.clock);
    const int64_t read_ns = c.read();
    EXPECT_LE(before_ns, read_ns) << c.clock;
    EXPECT_LE(read_ns, KernelNs(c.clock)) << c.clock;
  }
}

TEST(Clock, BootIdIsTheKernels) {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  EXPECT_EQ(BootId(), id);
  EXPECT_THAT(BootId(), testing::MatchesRegex("[0-9a-f-]{36}"));
}

}  // namespace
}  // namespace sluice
