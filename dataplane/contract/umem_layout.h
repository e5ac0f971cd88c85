// The sizes of a lane: how long its rings are, how many frames its UMEM memfd has, and where each lies in it.
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

// Entries of an AF_XDP socket's four rings, powers of two; 0 for a ring that is not made.
struct XskRingSizes {
  uint32_t fill = 0;
  uint32_t completion = 0;
  uint32_t rx = 0;
  uint32_t tx = 0;
};

// The rings that the agent makes for every socket. A worker that shares its core with the receive softirq, or whose
// vCPU the host takes away, does not run for a time slice of some 3 ms: packets that arrive meanwhile must find room.
inline constexpr XskRingSizes kLaneRings = {2048, 2048, 2048, 2048};

// The memory of a lane with a socket on each of `ports` ports. Every fill and every transmit ring can be full at once,
// so that no port takes frames that another needs.
constexpr UmemLayout LaneLayout(uint32_t ports, uint32_t frame_size_bytes, const XskRingSizes& rings = kLaneRings) {
  return {ports * (rings.fill + rings.tx), frame_size_bytes};
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTRACT_UMEM_LAYOUT_H_
