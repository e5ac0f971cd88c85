#include "control/doctor/kernel_version.h"

#include <cstdio>

namespace sluice::doctor {

std::optional<KernelVersion> ParseKernelVersion(const std::string& release) {
  KernelVersion version;
  if (sscanf(release.c_str(), "%u.%u", &version.major, &version.minor) != 2) {
    return std::nullopt;
  }
  return version;
}

}  // namespace sluice::doctor
