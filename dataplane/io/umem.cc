#include "dataplane/io/umem.h"

#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"

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
  absl::StatusOr<Mapping> memory = Mapping::ShareFile(fd, "the UMEM");
  if (!memory.ok()) {
    return memory.status();
  }
  if (memory->bytes() < layout.total_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("the UMEM is ", memory->bytes(), " bytes long, ", layout.frame_count,
                                                   " frames need ", layout.total_bytes()));
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
