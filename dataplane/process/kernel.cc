#include "dataplane/process/kernel.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {

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

absl::Status LinuxKernel::SetRcuWaiter(UniqueFd outer, UniqueFd inner) {
  RcuWaiter waiter(std::move(outer), std::move(inner));
  absl::Status s = waiter.Wait();
  if (s.ok()) {
    rcu_ = std::move(waiter);
  }
  return s;
}

absl::Status LinuxKernel::WaitForRcuGracePeriod() {
  return rcu_.has_value() ? rcu_->Wait() : absl::FailedPreconditionError("no descriptors to wait for RCU by");
}

}  // namespace sluice
