// A range of memory that unmaps itself. It is shared with everybody who maps the same file or socket, readable and
// writable, and all pages are present from the start: a page fault in the packet path is a pause of microseconds.
//
// Ownership: the mapping outlives the descriptor, which may be closed. Movable, not copyable. Threads: as the memory's
// user says; the object itself is not thread-safe.
#ifndef SLUICE_DATAPLANE_BASE_MAPPING_H_
#define SLUICE_DATAPLANE_BASE_MAPPING_H_

#include <sys/mman.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

class Mapping {
 public:
  Mapping() = default;  // maps nothing
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

  // Maps a part. `what` names the range in the error. FailedPrecondition for the rings of an AF_XDP socket that is
  // bound, which kernels before 6.4 refuse (net/xdp/xsk.c: xsk_mmap); Internal for the rest, with errno's text.
  static absl::StatusOr<Mapping> Share(int fd, size_t bytes, off_t offset, absl::string_view what);

  // Maps a whole file, as it must be for one of huge pages: a part of a huge page cannot be unmapped. InvalidArgument
  // for a descriptor that has no size, or for an empty file; else as Share.
  static absl::StatusOr<Mapping> ShareFile(int fd, absl::string_view what);

  uint8_t* start() const { return start_; }
  size_t bytes() const { return bytes_; }

 private:
  Mapping(uint8_t* start, size_t bytes) : start_(start), bytes_(bytes) {}

  uint8_t* start_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_MAPPING_H_
