// The kernel calls by which the control thread takes a lane in and lets it go. LinuxKernel makes them; tests put a
// kernel in memory in its place.
//
// Ownership: descriptors are borrowed, except those of SetRcuWaiter. Threads: the control thread.
#ifndef SLUICE_DATAPLANE_PROCESS_KERNEL_H_
#define SLUICE_DATAPLANE_PROCESS_KERNEL_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/rcu.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/io/xsk_socket.h"

namespace sluice {

class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual absl::StatusOr<XskSocket> MapSocket(int socket_fd, const XskRingSizes& sizes) = 0;
  // Enters the socket in the XSKMAP: packets come from now on. Returns true for a new entry, false when a dead
  // predecessor's was still there.
  virtual absl::StatusOr<bool> EnterXskMap(int map_fd, uint32_t key, int socket_fd) = 0;
  // Deletes the entry; none is no error. Redirects that have begun still arrive (WaitForRcuGracePeriod).
  virtual absl::Status LeaveXskMap(int map_fd, uint32_t key) = 0;
  // Takes the descriptors that the agent made for RcuWaiter (dataplane/base/rcu.h), and waits by them once.
  virtual absl::Status SetRcuWaiter(UniqueFd outer, UniqueFd inner) = 0;
  // Returns when every redirect that began before the call has put its packet on its receive ring. An error means that
  // nothing was waited for; FailedPrecondition before SetRcuWaiter().
  virtual absl::Status WaitForRcuGracePeriod() = 0;
};

class LinuxKernel final : public Kernel {
 public:
  absl::StatusOr<XskSocket> MapSocket(int socket_fd, const XskRingSizes& sizes) override;
  absl::StatusOr<bool> EnterXskMap(int map_fd, uint32_t key, int socket_fd) override;
  absl::Status LeaveXskMap(int map_fd, uint32_t key) override;
  absl::Status SetRcuWaiter(UniqueFd outer, UniqueFd inner) override;
  absl::Status WaitForRcuGracePeriod() override;

 private:
  std::optional<RcuWaiter> rcu_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_KERNEL_H_
