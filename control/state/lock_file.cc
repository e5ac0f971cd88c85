#include "control/state/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

absl::Status CannotBeMade(const std::string& path, int error) {
  return absl::FailedPreconditionError(absl::StrCat("lock file ", path, ": ", strerror(error)));
}

// False: its former owner removed the file between our opening it and locking it.
bool IsStillThere(const std::string& path, int file) {
  struct stat locked {};
  struct stat there {};
  return fstat(file, &locked) == 0 && stat(path.c_str(), &there) == 0 && locked.st_ino == there.st_ino &&
         locked.st_dev == there.st_dev;
}

std::string OwnerIn(int file) {
  constexpr size_t kMaxBytes = 200;
  std::string owner(kMaxBytes, '\0');
  const ssize_t got = pread(file, owner.data(), owner.size(), 0);
  owner.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return owner.empty() ? "another process" : owner;
}

}  // namespace

absl::StatusOr<LockFile> LockFile::Take(const std::string& path, absl::string_view owner) {
  constexpr mode_t kOwnerOnly = 0700;
  (void)mkdir(std::filesystem::path(path).parent_path().c_str(), kOwnerOnly);
  while (true) {
    UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!file) {
      return CannotBeMade(path, errno);
    }
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      return errno == EWOULDBLOCK ? absl::AlreadyExistsError(OwnerIn(file.get())) : CannotBeMade(path, errno);
    }
    if (IsStillThere(path, file.get())) {
      if (ftruncate(file.get(), 0) != 0 || pwrite(file.get(), owner.data(), owner.size(), 0) < 0) {
        return CannotBeMade(path, errno);
      }
      return LockFile(path, std::move(file));
    }
  }
}

LockFile::~LockFile() {
  if (file_) {
    (void)unlink(path_.c_str());  // first: nobody may lock a file that goes
  }
}

}  // namespace sluice
