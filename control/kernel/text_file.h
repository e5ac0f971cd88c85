// Reads and writes the small text files of /sys and /proc. Private to this folder. Any thread.
#ifndef SLUICE_CONTROL_KERNEL_TEXT_FILE_H_
#define SLUICE_CONTROL_KERNEL_TEXT_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// Returns the whole content without trailing white space. Errors as ReadWholeFile (dataplane/base).
absl::StatusOr<std::string> ReadTextFile(const std::string& path);
// Writes `text` to a file that is there, by one write(), since the kernel takes each write() as one value. Errors as
// KernelError.
absl::Status WriteTextFile(const std::string& path, const std::string& text);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_TEXT_FILE_H_
