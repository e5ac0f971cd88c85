// The small text files of /sys and /proc. Private to this folder.
#ifndef SLUICE_CONTROL_KERNEL_TEXT_FILE_H_
#define SLUICE_CONTROL_KERNEL_TEXT_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// Whole content without trailing white space.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);
// One write(), since the kernel takes each as one value.
absl::Status WriteTextFile(const std::string& path, const std::string& text);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_TEXT_FILE_H_
