// Starts sluice-dataplane as an unprivileged child, when nobody else (systemd) does.
#ifndef SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_
#define SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;
};

// The user the dataplane runs as: `name`, or nobody where there is no such user.
UserIds DataplaneUser(const std::string& name);

// Forks and executes `binary --socket socket_path` as `user`, in a session of its own: it outlives the
// agent. Errors: NotFound or PermissionDenied when it cannot be executed.
absl::StatusOr<pid_t> StartDataplane(const std::string& binary, const std::string& socket_path, UserIds user);

// A descriptor that is readable when the process has ended, also while nobody has waited for it; none for no process.
UniqueFd WatchProcess(pid_t pid);

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_
