// The folder of files that must outlive the agent and a power cut: the last good configuration, and an apply that is
// not final. Every file is replaced as a whole and is on the disk when the call returns.
//
// One agent at a time: the folder is locked (flock) while the object lives, and the kernel unlocks it when the agent
// dies. One thread.
#ifndef SLUICE_CONTROL_STATE_STATE_DIR_H_
#define SLUICE_CONTROL_STATE_STATE_DIR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/state/list_copies.h"
#include "control/state/saved_state.pb.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class StateDir {
 public:
  // Makes the folder when it is not there. FailedPrecondition when another agent has it. A folder that cannot be made
  // or locked for another reason (a read-only file system) is only logged: each call fails and gives the reason.
  static absl::StatusOr<StateDir> Open(const std::string& path);

  std::string last_good_path() const { return path_ + "/last-good.toml"; }
  // NotFound when there is none.
  absl::StatusOr<std::string> ReadLastGood() const;
  // Does not touch a file that holds this already.
  absl::Status KeepLastGood(const std::string& text);

  // NotFound when there is none, DataLoss when it cannot be read.
  absl::StatusOr<SavedApply> ReadApply() const;
  absl::Status KeepApply(const SavedApply& apply);
  absl::Status RemoveApply();

  ListCopies list_copies() const { return ListCopies(path_); }

 private:
  explicit StateDir(std::string path) : path_(std::move(path)) {}
  std::string apply_path() const { return path_ + "/apply.json"; }

  std::string path_;
  UniqueFd folder_;  // holds the lock; empty: the folder is of no use
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_STATE_STATE_DIR_H_
