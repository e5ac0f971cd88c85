// A range of mapped memory that unmaps itself. Movable, not copyable; not thread-safe.
#ifndef SLUICE_DATAPLANE_BASE_MAPPING_H_
#define SLUICE_DATAPLANE_BASE_MAPPING_H_

#include <sys/mman.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {

class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(start_, other.start_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (start_ != nullptr) {
      munmap(start_, bytes_);
    }
  }

  // Shared, readable and writable, all pages present at once: a page fault in the packet path is a
  // pause of microseconds. `what` names the range in the error.
  static absl::StatusOr<Mapping> Share(int fd, size_t bytes, off_t offset, absl::string_view what) {
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

  uint8_t* start() const { return start_; }
  size_t bytes() const { return bytes_; }

 private:
  Mapping(uint8_t* start, size_t bytes) : start_(start), bytes_(bytes) {}

  uint8_t* start_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_MAPPING_H_
