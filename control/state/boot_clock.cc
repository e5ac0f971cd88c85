#include "control/state/boot_clock.h"

#include <time.h>

#include <fstream>

namespace sluice {

int64_t BootClockNs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  return static_cast<int64_t>(now.tv_sec) * kNsPerSecond + now.tv_nsec;
}

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace sluice
