// The dataplane as a process: starts sluice-dataplane as an unprivileged child, unless systemd does that, and sees when
// it ends. One thread.
#ifndef SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_
#define SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Returns the user as which the dataplane runs: `name`, or nobody where there is no such user.
UserIds DataplaneUser(const std::string& name);

// Makes child processes. ForkingLauncher is the real one; tests put another in its place.
class DataplaneLauncher {
 public:
  virtual ~DataplaneLauncher() = default;
  // Returns the pid of a new child. FailedPrecondition when it cannot be executed.
  virtual absl::StatusOr<pid_t> Launch() = 0;
  // Reaps the child if it has ended, and says so. Does not block.
  virtual bool HasEnded(pid_t child) = 0;
  // Waits until the child ends, which it does at once when it is killed.
  virtual void End(pid_t child, bool kill) = 0;
};

class ForkingLauncher final : public DataplaneLauncher {
 public:
  ForkingLauncher(std::string binary, std::string socket_path, UserIds user)
      : binary_(std::move(binary)), socket_path_(std::move(socket_path)), user_(user) {}

  // Forks and executes `binary --socket socket_path` as `user`, in a new session, so that it outlives the agent.
  absl::StatusOr<pid_t> Launch() override;
  bool HasEnded(pid_t child) override;
  void End(pid_t child, bool kill) override;

 private:
  std::string binary_;
  std::string socket_path_;
  UserIds user_;
};

// Returns a descriptor that is readable when the process has ended, reaped or not; an empty one when there is no such
// process.
UniqueFd WatchProcess(pid_t pid);

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_
