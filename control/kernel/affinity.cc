#include "control/kernel/affinity.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "control/kernel/kernel_error.h"
#include "control/kernel/text_file.h"
#include "dataplane/base/cpu_list.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Lists the device's interrupts, from its own folder, or for virtio from that of the PCI device it sits on.
std::vector<uint32_t> DeviceIrqs(const std::string& netdev) {
  std::error_code error;
  const fs::path device = fs::canonical(fs::path("/sys/class/net") / netdev / "device", error);
  if (error) {
    return {};
  }
  std::vector<uint32_t> irqs;
  for (const fs::path& folder : {device / "msi_irqs", device.parent_path() / "msi_irqs"}) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
      uint32_t irq = 0;
      if (absl::SimpleAtoi(entry.path().filename().string(), &irq)) {
        irqs.push_back(irq);
      }
    }
    if (!irqs.empty()) {
      break;
    }
  }
  return irqs;
}

// "virtio1-input.0", "ens3-TxRx-0", "ens3-rx-0": a queue's interrupt ends in the queue's number, and its
// name tells it from the device's configuration interrupt.
std::optional<uint32_t> QueueOf(absl::string_view irq_name) {
  const size_t digits = irq_name.find_last_not_of("0123456789") + 1;
  uint32_t queue = 0;
  if (digits == irq_name.size() || !absl::SimpleAtoi(irq_name.substr(digits), &queue)) {
    return std::nullopt;
  }
  const std::string name = absl::AsciiStrToLower(irq_name.substr(0, digits));
  const bool is_queue = absl::EndsWith(name, "-input.") || absl::EndsWith(name, "-output.") ||
                        absl::EndsWith(name, "rx-") || absl::EndsWith(name, "tx-");
  return is_queue ? std::make_optional(queue) : std::nullopt;
}

std::string DeviceFolder(const std::string& netdev) {
  return absl::StrCat("/sys/class/net/", netdev, "/");
}

std::string XpsFile(const std::string& netdev, uint32_t queue) {
  return absl::StrCat(DeviceFolder(netdev), "queues/tx-", queue, "/xps_cpus");
}

std::string IrqFile(uint32_t irq) {
  return absl::StrCat("/proc/irq/", irq, "/smp_affinity_list");
}

// Returns the interrupts of queues [0, queues).
absl::StatusOr<std::vector<std::vector<uint32_t>>> IrqsOfQueues(const std::string& netdev, uint32_t queues) {
  std::vector<std::vector<uint32_t>> irqs(queues);
  const std::vector<uint32_t> candidates = DeviceIrqs(netdev);
  if (candidates.empty()) {
    return irqs;
  }
  const absl::StatusOr<std::string> table = ReadTextFile("/proc/interrupts");
  if (!table.ok()) {
    return table.status();
  }
  for (const absl::string_view line : absl::StrSplit(*table, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    uint32_t irq = 0;
    if (words.size() < 2 || !absl::SimpleAtoi(absl::StripSuffix(words.front(), ":"), &irq) ||
        std::find(candidates.begin(), candidates.end(), irq) == candidates.end()) {
      continue;
    }
    if (const std::optional<uint32_t> queue = QueueOf(words.back()); queue.has_value() && *queue < queues) {
      irqs[*queue].push_back(irq);
    }
  }
  return irqs;
}

// The kernel's bitmap format: 32-bit groups in hex, highest first.
std::string CpuMask(uint32_t cpu) {
  std::string mask = absl::StrFormat("%x", 1u << (cpu % 32));
  for (uint32_t group = 0; group < cpu / 32; ++group) {
    mask += ",00000000";
  }
  return mask;
}

// The kernel writes a mask with as many digits as it may have CPUs.
bool SameCpus(absl::string_view one, absl::string_view other) {
  const auto significant = [](absl::string_view text) {
    text = absl::StripAsciiWhitespace(text);
    const size_t first = text.find_first_not_of("0,");
    return first == absl::string_view::npos ? absl::string_view("0") : text.substr(first);
  };
  return significant(one) == significant(other);
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> QueueIrqs(const std::string& netdev, uint32_t queue) {
  absl::StatusOr<std::vector<std::vector<uint32_t>>> irqs = IrqsOfQueues(netdev, queue + 1);
  return irqs.ok() ? absl::StatusOr<std::vector<uint32_t>>(std::move(irqs->back())) : irqs.status();
}

QueueAffinity::QueueAffinity(std::string netdev, const Before& before) : netdev_(std::move(netdev)) {
  constexpr uint32_t kMaxQueues = 4096;
  constexpr char kOfCpus[] = "0123456789abcdefABCDEF,-\n";
  std::set<std::string> ours;
  for (uint32_t queue = 0; !before.empty() && queue < kMaxQueues; ++queue) {
    ours.insert(XpsFile(netdev_, queue));
  }
  for (const uint32_t irq : before.empty() ? std::vector<uint32_t>() : DeviceIrqs(netdev_)) {
    ours.insert(IrqFile(irq));
  }
  for (const auto& [file, text] : before) {
    if (ours.count(file) != 0 && text.find_first_not_of(kOfCpus) == std::string::npos) {
      saved_.emplace(file, text);
    }
  }
}

void QueueAffinity::Remember(uint32_t queues) {
  for (uint32_t queue = 0; queue < queues; ++queue) {
    std::vector<std::string> files = {XpsFile(netdev_, queue)};
    if (const absl::StatusOr<std::vector<uint32_t>> irqs = QueueIrqs(netdev_, queue); irqs.ok()) {
      for (const uint32_t irq : *irqs) {
        files.push_back(IrqFile(irq));
      }
    }
    for (const std::string& file : files) {
      if (const absl::StatusOr<std::string> held = ReadTextFile(file); held.ok()) {
        saved_.emplace(file, *held);  // keeps the first
      }
    }
  }
}

void QueueAffinity::Rename(const std::string& netdev) {
  const std::string before = DeviceFolder(netdev_), now = DeviceFolder(netdev);
  Before renamed;
  for (const auto& [file, text] : saved_) {
    renamed.emplace(absl::StartsWith(file, before) ? absl::StrCat(now, absl::StripPrefix(file, before)) : file, text);
  }
  saved_ = std::move(renamed);
  netdev_ = netdev;
}

absl::Status QueueAffinity::Apply(const std::vector<uint32_t>& cpus) {
  const absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  if (!online.ok()) {
    return online.status();
  }
  for (const uint32_t cpu : cpus) {
    if (std::find(online->begin(), online->end(), cpu) == online->end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("CPU ", cpu, " is offline; online are ", absl::StrJoin(*online, ",")));
    }
  }
  cpus_ = cpus;
  const absl::StatusOr<std::vector<File>> files = Files(cpus);
  if (!files.ok()) {
    return files.status();
  }
  std::vector<std::string> failures;
  for (const File& file : *files) {
    const absl::StatusOr<std::string> before = ReadTextFile(file.path);
    if (!before.ok()) {
      continue;  // no such queue, or one queue only: the kernel has nothing to choose (xps_cpus_show: ENOENT)
    }
    const absl::Status status = NameValue(WriteTextFile(file.path, file.wanted),
                                          absl::StrCat("CPU ", cpus[file.queue], ", of [dataplane] cores"));
    if (status.ok()) {
      saved_.emplace(file.path, *before);  // keeps the first
    } else {
      failures.push_back(absl::StrCat("queue ", file.queue, ": ", status.message()));
    }
  }
  if (!failures.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(netdev_, ": ", absl::StrJoin(failures, "; ")));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<QueueAffinity::File>> QueueAffinity::Files(const std::vector<uint32_t>& cpus) const {
  const absl::StatusOr<std::vector<std::vector<uint32_t>>> irqs =
      IrqsOfQueues(netdev_, static_cast<uint32_t>(cpus.size()));
  if (!irqs.ok()) {
    return irqs.status();
  }
  std::vector<File> files;
  for (uint32_t queue = 0; queue < cpus.size(); ++queue) {
    for (const uint32_t irq : (*irqs)[queue]) {
      files.push_back({queue, IrqFile(irq), absl::StrCat(cpus[queue])});
    }
    files.push_back({queue, XpsFile(netdev_, queue), CpuMask(cpus[queue])});
  }
  return files;
}

absl::StatusOr<bool> QueueAffinity::Repair() {
  const absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  const absl::StatusOr<std::vector<File>> files = online.ok() ? Files(cpus_) : online.status();
  if (!files.ok()) {
    return files.status();
  }
  bool any = false;
  for (const File& file : *files) {
    const absl::StatusOr<std::string> now = ReadTextFile(file.path);
    if (!now.ok() || SameCpus(*now, file.wanted) ||
        std::find(online->begin(), online->end(), cpus_[file.queue]) == online->end()) {
      continue;
    }
    // Managed interrupts refuse, and said so at Apply().
    any = WriteTextFile(file.path, file.wanted).ok() || any;
  }
  return any;
}

absl::Status QueueAffinity::Restore() {
  std::vector<std::string> failures;
  for (const auto& [file, before] : saved_) {
    if (const absl::StatusOr<std::string> now = ReadTextFile(file); now.ok() && *now == before) {
      continue;  // some may not be written at all (managed interrupts)
    }
    const absl::Status status = WriteTextFile(file, before);
    if (!status.ok() && !absl::IsNotFound(status)) {
      failures.emplace_back(status.message());
    }
  }
  saved_.clear();
  if (!failures.empty()) {
    return absl::InternalError(absl::StrCat(netdev_, ": ", absl::StrJoin(failures, "; ")));
  }
  return absl::OkStatus();
}

}  // namespace sluice
