// The way of frames that the network function gives to the kernel (Verdict::ToKernel).
//
//      pair lane L (its worker)                     bridge lane (its worker)
//      Take(frame) ──► HandoffRing L→bridge ──► Accept: copy, then as its own ──┐
//                                               Take(frame) ────────────────────┴──► transmit ring, far end of in_port
//
// Every frame that the bridge lane's socket on a port sends enters the guest's stack through that port's ingress
// (bpf/to_kernel.h). So nothing else may go out there: the bridge lane transmits no other frames by itself.
//
// It never waits. A frame that finds a ring full is dropped with kToKernelFull, so that a stack which is slow or
// flooded holds up no lane. The frames of one lane keep their order; those of a flow that moves to another lane may
// change theirs, since fences do not look at this way.
//
// Counting: a frame is `passed` on the bridge lane once the kernel has completed it, which copy mode does when the
// stack lets go of it; `to_kernel_held` while it is in L's ring, `held` while it is on the transmit ring.
//
// Threads: as in handoff.h. Connect, Close and Disconnect between two rounds of the lane's worker.
#ifndef SLUICE_DATAPLANE_LANE_KERNEL_PATH_H_
#define SLUICE_DATAPLANE_LANE_KERNEL_PATH_H_

#include <array>
#include <cstdint>

#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/io/queue_pair.h"
#include "dataplane/io/umem.h"
#include "dataplane/lane/handoff.h"

namespace sluice {

class KernelPath {
 public:
  KernelPath(uint32_t lane, Umem& umem, LaneStats& stats) : lane_(lane), umem_(umem), stats_(stats) {
    stats_.to_kernel_held.Set(0);
  }

  // Takes a frame that lies in the lane's memory; drops it with kNoRoute where there is no way. To be followed by
  // Flush.
  void Take(const Frame& frame);
  // Makes what was taken visible to the bridge lane. Once a burst.
  void Flush() {
    if (unpublished_) {
      Publish();
    }
  }

  // --- in pair lanes ---
  void Connect(HandoffRing& ring, HandoffInbox& bridge);
  // No more frames; those in the ring are still reclaimed.
  void Close() { open_ = false; }
  // Takes back the frames in the ring, all of which the bridge lane has copied, and forgets it.
  void Disconnect();
  // Takes back the frames that the bridge lane has copied. Returns how many.
  uint32_t Reclaim() { return in_flight() == 0 ? 0 : ReclaimCopied(); }
  uint32_t in_flight() const { return ring_ == nullptr ? 0 : ring_->in_flight(); }

  // --- in the bridge lane ---
  // `far_end`'s socket is the way into its port's ingress.
  void SetWayOut(QueuePair& far_end) { way_out_[far_end.port()] = &far_end; }
  HandoffInbox& inbox() { return inbox_; }
  // Takes at most a burst from each lane that has announced frames. Returns how many.
  uint32_t Accept() { return inbox_.MayHaveFrames() ? AcceptAnnounced() : 0; }
  // Takes at most a burst from that lane. Returns how many.
  uint32_t AcceptFrom(uint32_t source);

  // True if a lane has announced frames since the last Accept. The last look before sleep (waker.h).
  bool HasNews() const { return inbox_.HasNews(); }
  // True if no frame of this lane is in the bridge lane's hands, and none waits here.
  bool empty() const { return in_flight() == 0 && !HasNews(); }

 private:
  void Push(const Frame& frame);
  void Publish();
  uint32_t ReclaimCopied();
  uint32_t AcceptAnnounced();
  // Returns false for a frame that it dropped.
  bool Transmit(const Frame& frame);
  uint32_t AcceptBurst(HandoffRing& ring);
  void Drop(const Frame& frame, DropReason reason);

  HandoffInbox inbox_;  // of the bridge lane; first, as it begins a cache line
  const uint32_t lane_;
  Umem& umem_;
  LaneStats& stats_;

  HandoffRing* ring_ = nullptr;  // to the bridge lane
  HandoffInbox* bridge_ = nullptr;
  bool open_ = false;
  bool unpublished_ = false;

  std::array<QueuePair*, kMaxPorts> way_out_{};  // by port
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_KERNEL_PATH_H_
