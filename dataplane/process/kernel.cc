#include "dataplane/process/kernel.h"

#include <bpf/bpf.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace sluice {
namespace {

// Where the kernel offers no grace period to wait for: longer than a NAPI poll may take before softirq
// hands over to ksoftirqd (kernel/softirq.c: MAX_SOFTIRQ_TIME, 2 ms), with room for a busy core.
constexpr absl::Duration kRedirectsWithoutFence = absl::Milliseconds(20);

}  // namespace

absl::StatusOr<XskSocket> LinuxKernel::MapSocket(int socket_fd, const XskRingSizes& sizes) {
  return MapXskSocket(socket_fd, sizes);
}

absl::StatusOr<bool> LinuxKernel::EnterXskMap(int map_fd, uint32_t key, int socket_fd) {
  if (bpf_map_update_elem(map_fd, &key, &socket_fd, BPF_NOEXIST) == 0) {
    return true;
  }
  if (errno == EEXIST && bpf_map_update_elem(map_fd, &key, &socket_fd, BPF_ANY) == 0) {
    return false;
  }
  return absl::InternalError(absl::StrCat("XSKMAP entry ", key, ": ", strerror(errno)));
}

absl::Status LinuxKernel::LeaveXskMap(int map_fd, uint32_t key) {
  if (bpf_map_delete_elem(map_fd, &key) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("deleting XSKMAP entry ", key, ": ", strerror(errno)));
}

// MEMBARRIER_CMD_GLOBAL is synchronize_rcu() (kernel/sched/membarrier.c). A NAPI poll runs with softirqs
// disabled from the map lookup to the flush onto the receive rings (xdp_do_flush), which is a read-side
// section of RCU: so when the call returns, every poll that could have seen the old entry has flushed.
void LinuxKernel::WaitForRcuGracePeriod() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) {
    absl::SleepFor(kRedirectsWithoutFence);
  }
}

}  // namespace sluice
