#include "control/kernel/affinity.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
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
bool IsOfQueue(absl::string_view irq_name, uint32_t queue) {
  const size_t digits = irq_name.find_last_not_of("0123456789") + 1;
  uint32_t number = 0;
  if (digits == irq_name.size() || !absl::SimpleAtoi(irq_name.substr(digits), &number) || number != queue) {
    return false;
  }
  const std::string name = absl::AsciiStrToLower(irq_name.substr(0, digits));
  return absl::EndsWith(name, "-input.") || absl::EndsWith(name, "-output.") || absl::EndsWith(name, "rx-") ||
         absl::EndsWith(name, "tx-");
}

std::string XpsFile(const std::string& netdev, uint32_t queue) {
  return absl::StrCat("/sys/class/net/", netdev, "/queues/tx-", queue, "/xps_cpus");
}

std::string IrqFile(uint32_t irq) {
  return absl::StrCat("/proc/irq/", irq, "/smp_affinity_list");
}

// The kernel's bitmap format: 32-bit groups in hex, highest first.
std::string CpuMask(uint32_t cpu) {
  std::string mask = absl::StrFormat("%x", 1u << (cpu % 32));
  for (uint32_t group = 0; group < cpu / 32; ++group) {
    mask += ",00000000";
  }
  return mask;
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> QueueIrqs(const std::string& netdev, uint32_t queue) {
  const std::vector<uint32_t> candidates = DeviceIrqs(netdev);
  if (candidates.empty()) {
    return std::vector<uint32_t>();
  }
  const absl::StatusOr<std::string> table = ReadTextFile("/proc/interrupts");
  if (!table.ok()) {
    return table.status();
  }
  std::vector<uint32_t> irqs;
  for (const absl::string_view line : absl::StrSplit(*table, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    uint32_t irq = 0;
    if (words.size() < 2 || !absl::SimpleAtoi(absl::StripSuffix(words.front(), ":"), &irq)) {
      continue;
    }
    if (std::find(candidates.begin(), candidates.end(), irq) != candidates.end() && IsOfQueue(words.back(), queue)) {
      irqs.push_back(irq);
    }
  }
  return irqs;
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
  std::vector<std::string> failures;
  const auto set = [&](uint32_t queue, const std::string& file, const std::string& value) {
    const absl::StatusOr<std::string> before = ReadTextFile(file);
    if (!before.ok()) {
      return;  // no such queue, or one queue only: the kernel has nothing to choose (xps_cpus_show: ENOENT)
    }
    const absl::Status status = WriteTextFile(file, value);
    if (status.ok()) {
      saved_.emplace(file, *before);  // keeps the first
    } else {
      failures.push_back(absl::StrCat("queue ", queue, ": ", status.message()));
    }
  };
  for (uint32_t queue = 0; queue < cpus.size(); ++queue) {
    const absl::StatusOr<std::vector<uint32_t>> irqs = QueueIrqs(netdev_, queue);
    if (!irqs.ok()) {
      return irqs.status();
    }
    for (const uint32_t irq : *irqs) {
      set(queue, IrqFile(irq), absl::StrCat(cpus[queue]));
    }
    set(queue, XpsFile(netdev_, queue), CpuMask(cpus[queue]));
  }
  if (!failures.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(netdev_, ": ", absl::StrJoin(failures, "; ")));
  }
  return absl::OkStatus();
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
