// A file that one process at a time has (flock). The kernel unlocks it when the process dies.
//
// Ownership: the object holds the lock, and removes the file when it goes; a file that a killed process left is free.
// Threads: any, one at a time.
#ifndef SLUICE_CONTROL_STATE_LOCK_FILE_H_
#define SLUICE_CONTROL_STATE_LOCK_FILE_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class LockFile {
 public:
  // Makes the file, mode 0600, and its folder, mode 0700, where they are missing. Does not wait. `owner` is what
  // others are told ("pid 4711 on /run/x.sock"). AlreadyExists, with the owner, when another process has it;
  // FailedPrecondition when it cannot be made.
  static absl::StatusOr<LockFile> Take(const std::string& path, absl::string_view owner);
  LockFile(LockFile&& other) noexcept : path_(std::exchange(other.path_, "")), file_(std::move(other.file_)) {}
  LockFile& operator=(LockFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(file_, other.file_);
    return *this;
  }
  ~LockFile();

 private:
  LockFile(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;  // empty: holds nothing
  UniqueFd file_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_STATE_LOCK_FILE_H_
