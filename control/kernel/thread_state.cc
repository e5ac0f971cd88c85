#include "control/kernel/thread_state.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "control/kernel/text_file.h"

namespace sluice {
namespace {

std::string TaskFolder(pid_t process) {
  return absl::StrCat("/proc/", process, "/task");
}

int64_t NsPerTick() {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  static const int64_t ns = kNsPerSecond / sysconf(_SC_CLK_TCK);
  return ns;
}

}  // namespace

std::optional<ThreadState> ParseThreadState(const std::string& stat) {
  // The name, in brackets, may hold spaces and brackets. Behind it come fields 3 (state), 14 and 15 (user and system
  // time) and 22 (the start).
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  const std::vector<absl::string_view> fields = absl::StrSplit(absl::string_view(stat).substr(name_end + 2), ' ');
  constexpr size_t kUser = 14 - 3, kSystem = 15 - 3, kStart = 22 - 3;
  ThreadState out;
  int64_t user = 0;
  int64_t system = 0;
  if (fields.size() <= kStart || fields[0].size() != 1 || !absl::SimpleAtoi(fields[kUser], &user) ||
      !absl::SimpleAtoi(fields[kSystem], &system) || !absl::SimpleAtoi(fields[kStart], &out.started)) {
    return std::nullopt;
  }
  out.state = fields[0][0];
  out.cpu_ns = (user + system) * NsPerTick();
  return out;
}

std::optional<ThreadState> ReadThreadState(pid_t process, pid_t thread) {
  const absl::StatusOr<std::string> stat = ReadTextFile(absl::StrCat(TaskFolder(process), "/", thread, "/stat"));
  return stat.ok() ? ParseThreadState(*stat) : std::nullopt;
}

std::vector<pid_t> ThreadsOf(pid_t process) {
  std::vector<pid_t> threads;
  std::error_code error;
  std::filesystem::directory_iterator entry(TaskFolder(process), error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    pid_t thread = 0;
    if (absl::SimpleAtoi(entry->path().filename().string(), &thread)) {
      threads.push_back(thread);
    }
  }
  return threads;
}

bool EveryThreadHasEnded(pid_t process) {
  const std::vector<pid_t> threads = ThreadsOf(process);
  return std::all_of(threads.begin(), threads.end(), [process](pid_t thread) {
    const std::optional<ThreadState> state = ReadThreadState(process, thread);
    return !state.has_value() || state->state == 'Z' || state->state == 'X';
  });
}

}  // namespace sluice
