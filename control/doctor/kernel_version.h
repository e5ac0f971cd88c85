// The version of a kernel, as far as the doctor compares it. Private to this folder. Pure; any thread.
#ifndef SLUICE_CONTROL_DOCTOR_KERNEL_VERSION_H_
#define SLUICE_CONTROL_DOCTOR_KERNEL_VERSION_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::doctor {

struct KernelVersion {
  uint32_t major = 0;
  uint32_t minor = 0;
  // clang-tidy 14 takes the 0 that a rewritten a < b compares with for a null pointer written here.
  auto operator<=>(const KernelVersion&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Reads the start of `uname -r`; nullopt when it begins with no version.
std::optional<KernelVersion> ParseKernelVersion(const std::string& release);

}  // namespace sluice::doctor

#endif  // SLUICE_CONTROL_DOCTOR_KERNEL_VERSION_H_
