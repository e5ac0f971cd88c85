#include "dataplane/base/cpu_list.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dataplane/base/whole_file.h"

namespace sluice {
namespace {

// Far above any machine's CPU numbers (NR_CPUS ends at 8192); keeps "0-4000000000" from eating memory.
constexpr uint32_t kMaxCpu = 65535;
// "0,2,4,…" up to kMaxCpu.
constexpr size_t kMaxListBytes = size_t{512} * 1024;

}  // namespace

absl::StatusOr<std::vector<uint32_t>> ParseCpuList(const std::string& text) {
  std::vector<uint32_t> cpus;
  for (const absl::string_view part : absl::StrSplit(absl::StripAsciiWhitespace(text), ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> range = absl::StrSplit(part, absl::MaxSplits('-', 1));
    const bool single = !absl::StrContains(part, '-');
    uint32_t first = 0;
    uint32_t last = 0;
    if (!absl::SimpleAtoi(range.first, &first) || !absl::SimpleAtoi(single ? range.first : range.second, &last) ||
        first > last || last > kMaxCpu) {
      return absl::InvalidArgumentError(absl::StrCat("\"", part, "\" in \"", text, "\" is no CPU or range of CPUs"));
    }
    for (uint32_t cpu = first; cpu <= last; ++cpu) {
      cpus.push_back(cpu);
    }
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

absl::StatusOr<std::vector<uint32_t>> ReadCpuList(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxListBytes);
  return text.ok() ? ParseCpuList(*text) : text.status();
}

absl::StatusOr<std::vector<uint32_t>> OnlineCpus() {
  return ReadCpuList("/sys/devices/system/cpu/online");
}

absl::StatusOr<std::vector<uint32_t>> AllowedCpus(pid_t pid) {
  constexpr uint32_t kSetBytes = (kMaxCpu + 1) / 8;
  std::vector<cpu_set_t> set(kSetBytes / sizeof(cpu_set_t));
  if (sched_getaffinity(pid, kSetBytes, set.data()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("asking for the CPUs of process ", pid));
  }
  std::vector<uint32_t> cpus;
  for (uint32_t cpu = 0; cpu <= kMaxCpu; ++cpu) {
    if (CPU_ISSET_S(cpu, kSetBytes, set.data())) {
      cpus.push_back(cpu);
    }
  }
  return cpus;
}

absl::StatusOr<uint32_t> PossibleCpuIds() {
  const absl::StatusOr<std::vector<uint32_t>> possible = ReadCpuList("/sys/devices/system/cpu/possible");
  if (!possible.ok()) {
    return possible.status();
  }
  if (possible->empty()) {
    return absl::InternalError("/sys/devices/system/cpu/possible lists no CPU");
  }
  return possible->back() + 1;
}

}  // namespace sluice
