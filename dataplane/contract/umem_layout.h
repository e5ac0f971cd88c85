// What lies where in a lane's UMEM memfd, and who owns each frame.
//
//   0                                    frame_count * frame_size        + frame_count, page-rounded
//   ├─ frame 0 ─┬─ frame 1 ─┬─ … ────────┼─ owner byte 0, 1, 2 … ────────┤
//   └────── registered with XDP_UMEM_REG ┘  FrameOwner; the kernel does not know of them
//
// The file may be longer, to the end of a huge page.
//
// The agent makes and sizes the memfd, registers the frames with the kernel, and keeps the descriptor. Only the
// dataplane writes owner bytes. By them its successor, after a crash, knows which frames the kernel may still read or
// write. The rings alone do not tell: the kernel takes frames from the fill ring long before it puts them on the
// receive ring (net/xdp/xsk_buff_pool.c: xp_alloc keeps them on the pool's free list).
//
// Order of writes: a frame becomes kKernel before its descriptor is published on a fill or transmit ring, and kUser
// only after it has been taken from a receive or completion ring. So a crash in between may strand a frame (at most one
// burst a crash), but never hands one out twice.
#ifndef SLUICE_DATAPLANE_CONTRACT_UMEM_LAYOUT_H_
#define SLUICE_DATAPLANE_CONTRACT_UMEM_LAYOUT_H_

#include <cstddef>
#include <cstdint>

namespace sluice {

enum class FrameOwner : uint8_t {
  kUser = 0,    // free, or in the dataplane's hands; the state of fresh memory
  kKernel = 1,  // on a ring, or with the kernel
};

struct UmemLayout {
  uint32_t frame_count = 0;
  uint32_t frame_size_bytes = 0;

  constexpr size_t frames_bytes() const { return size_t{frame_count} * frame_size_bytes; }
  constexpr size_t owners_offset_bytes() const { return frames_bytes(); }
  constexpr size_t total_bytes() const {
    constexpr size_t kPage = 4096;
    return (frames_bytes() + frame_count + kPage - 1) / kPage * kPage;
  }
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTRACT_UMEM_LAYOUT_H_
