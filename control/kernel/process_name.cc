#include "control/kernel/process_name.h"

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

std::string ProcessName(pid_t pid) {
  if (pid == 0) {
    return "a process of another container";
  }
  constexpr size_t kMaxBytes = 300;
  std::string line(kMaxBytes, '\0');
  const UniqueFd file(open(absl::StrCat("/proc/", pid, "/cmdline").c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t got = file ? read(file.get(), line.data(), line.size()) : 0;
  line.resize(got > 0 ? static_cast<size_t>(got) : 0);
  while (!line.empty() && line.back() == '\0') {
    line.pop_back();
  }
  for (char& c : line) {
    c = c == '\0' ? ' ' : absl::ascii_isprint(static_cast<unsigned char>(c)) ? c : '?';
  }
  return line.empty() ? absl::StrCat("pid ", pid) : absl::StrCat("pid ", pid, " (", line, ")");
}

}  // namespace sluice
