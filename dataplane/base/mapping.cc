#include "dataplane/base/mapping.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice {

absl::StatusOr<Mapping> Mapping::Share(int fd, size_t bytes, off_t offset, absl::string_view what) {
  void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
  if (start == MAP_FAILED) {
    if (errno == EBUSY) {
      return absl::FailedPreconditionError(
          absl::StrCat("mmap of ", what, ": the socket is bound already, which kernels before 6.4 refuse to map"));
    }
    return absl::InternalError(absl::StrCat("mmap of ", what, ", ", bytes, " bytes: ", strerror(errno)));
  }
  return Mapping(static_cast<uint8_t*>(start), bytes);
}

absl::StatusOr<Mapping> Mapping::ShareFile(int fd, absl::string_view what) {
  struct stat file {};
  if (fstat(fd, &file) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("the descriptor of ", what, ": ", strerror(errno)));
  }
  if (file.st_size <= 0) {
    return absl::InvalidArgumentError(absl::StrCat(what, " is empty"));
  }
  return Share(fd, static_cast<size_t>(file.st_size), 0, what);
}

}  // namespace sluice
