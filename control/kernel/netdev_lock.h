// One agent for each device: a lock that the kernel releases when its owner dies.
//
// It is an abstract unix socket whose name has the device's ifindex. Such names belong to a network namespace
// (net/unix/af_unix.c: unix_find_socket_byname), so the lock works between containers that share one, and does not
// depend on mounts; and alternative names of a device lead to one lock.
//
// Any process may bind a name. One that another user's process holds is passed over for the next of a few.
//
// Ownership: the object holds the lock. Threads: any, one at a time.
#ifndef SLUICE_CONTROL_KERNEL_NETDEV_LOCK_H_
#define SLUICE_CONTROL_KERNEL_NETDEV_LOCK_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class NetdevLock {
 public:
  // Does not wait. AlreadyExists, with the owner's pid and command line, when another agent has the device;
  // FailedPrecondition, with the pid and user, when other users' processes hold all names; InvalidArgument when this
  // process has it already; NotFound without the device.
  static absl::StatusOr<NetdevLock> Take(const std::string& netdev);

 private:
  explicit NetdevLock(UniqueFd socket) : socket_(std::move(socket)) {}

  UniqueFd socket_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_NETDEV_LOCK_H_
