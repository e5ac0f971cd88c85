#include "control/kernel/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "control/kernel/kernel_error.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/base/whole_file.h"

namespace sluice {
namespace {

// /proc/interrupts of a machine with hundreds of CPUs is the largest.
constexpr size_t kMaxBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxBytes);
  if (text.ok()) {
    absl::StripTrailingAsciiWhitespace(&*text);
  }
  return text;
}

absl::Status WriteTextFile(const std::string& path, const std::string& text) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) {
    return KernelError(errno, absl::StrCat("opening ", path));
  }
  if (write(fd.get(), text.data(), text.size()) < 0) {
    return KernelError(errno, absl::StrCat("writing \"", text, "\" to ", path));
  }
  return absl::OkStatus();
}

}  // namespace sluice
