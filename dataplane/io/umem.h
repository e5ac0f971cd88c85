// A lane's frames: their memory, the owner of each, and the pool of free ones.
//
//   pool ──Take──► fill ring ──► kernel ──► receive ring ──► burst ──► transmit ring ──► kernel
//    ▲                                                         │                           │
//    └──────────────Give (dropped)─────────────────────────────┘◄──── completion ring ─────┘
//
// The pool is last in, first out: the frame that was touched last is the most likely to be cached still. The pool is
// not in shared memory; after a crash the successor rebuilds it from the owner bytes (contract/umem_layout.h).
//
// A frame's address is its offset in the memory. Descriptors point somewhere inside a frame (the kernel leaves
// XDP_PACKET_HEADROOM before received data), so every function here takes any address within it.
//
// Ownership: it owns the mapping, not the memfd. A frame in the pool is nobody's; Take gives it to the caller.
//
// Threads: one at a time, the one that polls the lane. Other lanes' workers only read a frame's bytes, while a hand-off
// holds it (lane/handoff.h).
#ifndef SLUICE_DATAPLANE_IO_UMEM_H_
#define SLUICE_DATAPLANE_IO_UMEM_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/base/mapping.h"
#include "dataplane/contract/umem_layout.h"

namespace sluice {

class Umem {
 public:
  // Maps the memfd that the agent made. The pool gets every frame whose owner byte is kUser: all frames, in new memory.
  // Errors: InvalidArgument when the layout is not possible or the memory is too short for it.
  static absl::StatusOr<Umem> Map(int fd, const UmemLayout& layout);

  uint8_t* Data(uint64_t address) const { return memory_.start() + address; }
  const UmemLayout& layout() const { return layout_; }

  uint32_t free_frames() const { return free_count_; }
  // Returns a free frame's address. The pool must not be empty.
  uint64_t Take() { return uint64_t{pool_[--free_count_]} << frame_shift_; }
  void Give(uint64_t address) { pool_[free_count_++] = FrameIndex(address); }

  // Call before the descriptor is published on a fill or transmit ring. The ring's release store keeps the two in
  // order.
  void MarkKernel(uint64_t address) { owners()[FrameIndex(address)] = FrameOwner::kKernel; }
  // Call after the entry has been released to a receive or completion ring, with AfterRelease() between.
  void MarkUser(uint64_t address) { owners()[FrameIndex(address)] = FrameOwner::kUser; }
  // Keeps later writes behind the release store of a ring, which only keeps earlier writes before it. A process dies at
  // one point of its program order, so it is enough to hold the compiler to that order.
  static void AfterRelease() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

 private:
  Umem(Mapping memory, const UmemLayout& layout);

  FrameOwner* owners() const { return reinterpret_cast<FrameOwner*>(memory_.start() + layout_.owners_offset_bytes()); }
  uint32_t FrameIndex(uint64_t address) const { return static_cast<uint32_t>(address >> frame_shift_); }

  Mapping memory_;
  UmemLayout layout_;
  uint32_t frame_shift_ = 0;
  uint32_t free_count_ = 0;
  std::vector<uint32_t> pool_;  // frame indices; [0, free_count_) are free; never grows
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_UMEM_H_
