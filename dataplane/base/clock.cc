#include "dataplane/base/clock.h"

#include <time.h>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "dataplane/base/whole_file.h"

namespace sluice {
namespace {

int64_t ReadClockNs(clockid_t clock) {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

}  // namespace

int64_t MonotonicNs() {
  return ReadClockNs(CLOCK_MONOTONIC);
}

int64_t BootClockNs() {
  return ReadClockNs(CLOCK_BOOTTIME);
}

std::string BootId() {
  constexpr size_t kMaxBytes = 64;  // a UUID has 36 characters
  absl::StatusOr<std::string> id = ReadWholeFile("/proc/sys/kernel/random/boot_id", kMaxBytes);
  if (!id.ok()) {
    return "";
  }
  absl::StripTrailingAsciiWhitespace(&*id);
  return *std::move(id);
}

}  // namespace sluice
