#include "control/kernel/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "control/kernel/kernel_error.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return KernelError(errno, absl::StrCat("opening ", path));
  }
  std::string text;
  char chunk[4096];
  while (true) {
    const ssize_t n = read(fd.get(), chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return KernelError(errno, absl::StrCat("reading ", path));
    }
    if (n == 0) {
      break;
    }
    text.append(chunk, static_cast<size_t>(n));
  }
  absl::StripTrailingAsciiWhitespace(&text);
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
