#include "control/doctor/checks_machine.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "control/doctor/kernel_version.h"
#include "control/kernel/device_limits.h"
#include "dataplane/contract/umem_layout.h"

namespace sluice::doctor {
namespace {

// The oldest kernel Sluice is tested on.
constexpr KernelVersion kTestedKernel = {6, 1};
// 5.10 brought sockets of several devices, each with fill and completion rings, on one UMEM (net/xdp/xsk.c: xsk_bind);
// 5.11 brought SO_PREFER_BUSY_POLL, and BPF memory that is not charged to memlock.
constexpr KernelVersion kOldestKernel = {5, 11};

// Sums the memory that the kernel charges for the lanes that the agent has, or would make: one for each queue pair and
// the bridge's, each with a UMEM whose frames are all pinned (net/xdp/xdp_umem.c: xdp_umem_account_pages).
uint64_t LockedBytes(absl::Span<const PortFacts> ports) {
  uint32_t lanes = 1;
  uint32_t frame_size_bytes = 0;
  for (const PortFacts& port : ports) {
    lanes = std::max(lanes, port.queue_pairs_wanted + 1);
    const uint32_t its = port.frame_size_bytes.value_or(FrameSizeForMtu(port.mtu_bytes).value_or(0));
    frame_size_bytes = std::max(frame_size_bytes, its);
  }
  return uint64_t{lanes} * LaneLayout(static_cast<uint32_t>(ports.size()), frame_size_bytes).frames_bytes();
}

std::string Text(const KernelVersion& version) {
  return absl::StrCat(version.major, ".", version.minor);
}

}  // namespace

void CheckKernel(const MachineFacts& machine, absl::Span<const PortFacts>, Report& report) {
  const std::optional<KernelVersion> version = ParseKernelVersion(machine.kernel_release);
  const std::string what = absl::StrCat("kernel ", machine.kernel_release);
  const std::string fix = absl::StrCat("boot a kernel from ", Text(kTestedKernel), " on");
  if (!version.has_value()) {
    report.Note(absl::StrCat(what, ": a version that Sluice cannot read"), "it may be too old", fix);
  } else if (*version < kOldestKernel) {
    report.Error(absl::StrCat(what, " is older than ", Text(kOldestKernel)),
                 "sockets of several queues cannot share one memory as Sluice needs it", fix);
  } else if (*version < kTestedKernel) {
    report.Warning(absl::StrCat(what, " is older than ", Text(kTestedKernel)),
                   "Sluice is not tested on it; distributions that carry newer networking back may work", fix);
  } else {
    report.Ok(what);
  }
}

void CheckBtf(const MachineFacts& machine, absl::Span<const PortFacts>, Report& report) {
  if (machine.has_btf) {
    report.Ok("the kernel describes its types (BTF)");
  } else {
    report.Warning("the kernel has no BTF (/sys/kernel/btf/vmlinux)",
                   "no other XDP program can share a port with Sluice's: libxdp's dispatcher needs it",
                   "boot a kernel with CONFIG_DEBUG_INFO_BTF=y");
  }
}

void CheckMemlock(const MachineFacts& machine, absl::Span<const PortFacts> ports, Report& report) {
  const uint64_t needed_bytes = LockedBytes(ports);
  if (machine.can_lock_memory || !machine.memlock_bytes.has_value()) {
    report.Ok("packet memory is not limited");
    return;
  }
  const std::string what =
      absl::StrCat("locked memory is limited to ", *machine.memlock_bytes / 1024, " KiB without CAP_IPC_LOCK");
  const std::string fix = "systemd: AmbientCapabilities=CAP_IPC_LOCK or LimitMEMLOCK=infinity; by hand: run as root";
  if (*machine.memlock_bytes < needed_bytes) {
    report.Warning(
        what,
        absl::StrCat("the lanes of these ports take ", needed_bytes / 1024, " KiB: making their sockets will fail"),
        fix);
  } else {
    report.Note(what, "bounds how many queue pairs can be opened", fix);
  }
}

}  // namespace sluice::doctor
