#include "dataplane/lane/kernel_path.h"

#include <cstring>

namespace sluice {

void KernelPath::Take(const Frame& frame) {
  if (lane_ == kBridgeLane) {
    Transmit(frame);
  } else {
    Push(frame);
  }
}

void KernelPath::Push(const Frame& frame) {
  if (!open_) {
    Drop(frame, DropReason::kNoRoute);
    return;
  }
  if (ring_->full()) {
    Drop(frame, DropReason::kToKernelFull);
    return;
  }
  ring_->Push({frame.data, frame.address, frame.length_bytes, /*flow_hash=*/0, frame.in_port, frame.in_port});
  unpublished_ = true;
  stats_.handoff_out.Add(1);
}

void KernelPath::Publish() {
  unpublished_ = false;
  ring_->Publish();
  bridge_->Announce(lane_);
  stats_.to_kernel_held.Set(ring_->in_flight());
}

uint32_t KernelPath::ReclaimCopied() {
  const uint32_t reclaimed = ring_->Reclaim([this](uint64_t address) { umem_.Give(address); });
  stats_.to_kernel_held.Set(ring_->in_flight());
  return reclaimed;
}

void KernelPath::Connect(HandoffRing& ring, HandoffInbox& bridge) {
  ring_ = &ring;
  bridge_ = &bridge;
  open_ = true;
}

void KernelPath::Disconnect() {
  Reclaim();
  ring_ = nullptr;
  bridge_ = nullptr;
  open_ = false;
}

uint32_t KernelPath::AcceptAnnounced() {
  uint32_t accepted = 0;
  inbox_.ForEach([this, &accepted](uint32_t, HandoffRing& ring) {
    const uint32_t count = AcceptBurst(ring);
    accepted += count;
    return count > 0;
  });
  return accepted;
}

uint32_t KernelPath::AcceptFrom(uint32_t source) {
  HandoffRing* const ring = inbox_.ring(source);
  return ring == nullptr ? 0 : AcceptBurst(*ring);
}

uint32_t KernelPath::AcceptBurst(HandoffRing& ring) {
  const uint32_t count = ring.Peek(kBurstFrames);
  for (uint32_t i = 0; i < count; ++i) {
    const HandoffFrame& theirs = ring.At(i);
    if (umem_.free_frames() == 0 || theirs.length_bytes > umem_.layout().frame_size_bytes) {
      stats_.ports[theirs.in_port].drops[static_cast<uint32_t>(DropReason::kNoFrame)].Add(1);
      continue;
    }
    const uint64_t address = umem_.Take();
    uint8_t* data = umem_.Data(address);
    std::memcpy(data, theirs.data, theirs.length_bytes);
    if (Transmit({data, address, theirs.length_bytes, theirs.in_port, Verdict::ToKernel()})) {
      stats_.ports[theirs.in_port].handoff_in.Add(1);
    }
  }
  ring.Release(count);
  return count;
}

bool KernelPath::Transmit(const Frame& frame) {
  QueuePair* far_end = way_out_[frame.in_port];
  const Frame* one = &frame;
  if (far_end == nullptr) {
    Drop(frame, DropReason::kNoRoute);
    return false;
  }
  if (far_end->Transmit(&one, 1) == 0) {
    Drop(frame, DropReason::kToKernelFull);
    return false;
  }
  return true;
}

void KernelPath::Drop(const Frame& frame, DropReason reason) {
  stats_.ports[frame.in_port].drops[static_cast<uint32_t>(reason)].Add(1);
  umem_.Give(frame.address);
}

}  // namespace sluice
