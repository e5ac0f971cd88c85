// The dataplane as a process: starts sluice-dataplane as an unprivileged child, unless systemd does that, and sees when
// it ends. One thread.
#ifndef SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_
#define SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Returns the user as which the dataplane runs, by its name, or by its number, which need not be a user's; the group is
// then the same number. FailedPrecondition, with the command that makes it, when there is no such user; InvalidArgument
// for root, and for nobody, whose other processes could kill the dataplane and take its descriptors.
absl::StatusOr<UserIds> DataplaneUser(const std::string& name);

// Makes child processes. ForkingLauncher is the real one; tests put another in its place.
class DataplaneLauncher {
 public:
  virtual ~DataplaneLauncher() = default;
  // Returns the pid of a new child. Calls `born` with it before the child executes the program: from then on it may
  // outlive us. FailedPrecondition when it cannot be executed.
  virtual absl::StatusOr<pid_t> Launch(absl::FunctionRef<void(pid_t)> born) = 0;
  // Reaps the child if it has ended, and says so. Does not block. A child whose threads have all ended has ended, and
  // is reaped later, when a tracer lets it go.
  virtual bool HasEnded(pid_t child) = 0;
  // Kills the child; HasEnded() reaps it.
  virtual void Kill(pid_t child) = 0;
  // Waits until the child ends, which it does at once when it is killed.
  virtual void End(pid_t child, bool kill) = 0;
};

class ForkingLauncher final : public DataplaneLauncher {
 public:
  ForkingLauncher(std::string binary, std::string socket_path, UserIds user)
      : binary_(std::move(binary)), socket_path_(std::move(socket_path)), user_(user) {}

  // Forks and executes `binary --socket socket_path` as `user`, in a new session, so that it outlives the agent.
  absl::StatusOr<pid_t> Launch(absl::FunctionRef<void(pid_t)> born) override;
  bool HasEnded(pid_t child) override;
  void Kill(pid_t child) override;
  void End(pid_t child, bool kill) override;

 private:
  std::string binary_;
  std::string socket_path_;
  UserIds user_;
  std::vector<pid_t> traced_;  // have ended, and are not reaped yet
};

// Returns a descriptor that is readable when the process has ended, reaped or not; an empty one when there is no such
// process.
UniqueFd WatchProcess(pid_t pid);
// The same, of a process that runs as `uid`; an empty one for another's. A process that /proc hides (ProtectProc= of
// systemd) is taken at its number's word.
UniqueFd WatchProcessOf(pid_t pid, uid_t uid);

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_PROCESS_H_
