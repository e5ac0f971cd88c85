#include "dataplane/io/umem.h"

#include <sys/stat.h>

#include <bit>
#include <utility>

namespace sluice {

absl::StatusOr<Umem> Umem::Map(int fd, const UmemLayout& layout) {
  // The kernel takes only these chunk sizes, up to a page (net/xdp/xdp_umem.c: xdp_umem_reg).
  if (layout.frame_size_bytes != 2048 && layout.frame_size_bytes != 4096) {
    return absl::InvalidArgumentError(
        absl::StrCat("frame size of ", layout.frame_size_bytes, " bytes: only 2048 and 4096 are possible"));
  }
  if (layout.frame_count == 0) {
    return absl::InvalidArgumentError("a UMEM without frames");
  }
  struct stat file {};
  if (fstat(fd, &file) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("the UMEM's descriptor: ", strerror(errno)));
  }
  if (static_cast<size_t>(file.st_size) < layout.total_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("the UMEM is ", file.st_size, " bytes long, ", layout.frame_count,
                                                   " frames need ", layout.total_bytes()));
  }
  // Maps the whole file: a part of a huge page cannot be unmapped.
  absl::StatusOr<Mapping> memory = Mapping::Share(fd, static_cast<size_t>(file.st_size), 0, "the UMEM");
  if (!memory.ok()) {
    return memory.status();
  }
  return Umem(*std::move(memory), layout);
}

Umem::Umem(Mapping memory, const UmemLayout& layout)
    : memory_(std::move(memory)),
      layout_(layout),
      frame_shift_(static_cast<uint32_t>(std::countr_zero(layout.frame_size_bytes))),
      pool_(layout.frame_count) {
  // Downwards, so that the first frames to be taken are those at the start of the memory.
  for (uint32_t frame = layout.frame_count; frame-- > 0;) {
    if (owners()[frame] == FrameOwner::kUser) {
      pool_[free_count_++] = frame;
    }
  }
}

}  // namespace sluice
