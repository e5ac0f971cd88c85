#include "dataplane/lane/reorder_hold.h"

#include <bit>

namespace sluice {

static_assert(std::has_single_bit(ReorderHold::kCapacity), "free-running indices");

void ReorderHold::HandedIn(uint32_t flow_hash, int64_t now_ns) {
  slots_[flow_hash % kSlots].last_ns = now_ns;
  last_ns_ = now_ns;
  any_ = true;
}

void ReorderHold::Forget(int64_t now_ns) {
  any_ = waiting() > 0 || (any_ && now_ns - last_ns_ < kSettleNs);
}

bool ReorderHold::MustWait(uint32_t flow_hash, int64_t now_ns) const {
  const Slot& slot = slots_[flow_hash % kSlots];
  return slot.waiting > 0 || (slot.last_ns != 0 && now_ns - slot.last_ns < kSettleNs);
}

void ReorderHold::Wait(const Frame& frame, uint32_t flow_hash, int64_t now_ns) {
  ++slots_[flow_hash % kSlots].waiting;
  ring_[pushed_++ % kCapacity] = {frame, flow_hash, now_ns};
}

ReorderHold::Go ReorderHold::Next(int64_t now_ns, bool forced, Frame& frame, uint32_t& flow_hash) {
  if (waiting() == 0) {
    return Go::kNobody;
  }
  const Waiting& first = ring_[popped_ % kCapacity];
  Slot& slot = slots_[first.flow_hash % kSlots];
  const bool settled = now_ns - slot.last_ns >= kSettleNs;
  if (!settled && !forced && now_ns - first.since_ns < kMostNs) {
    return Go::kNobody;
  }
  frame = first.frame;
  flow_hash = first.flow_hash;
  --slot.waiting;
  ++popped_;
  return settled ? Go::kSettled : Go::kUnproven;
}

}  // namespace sluice
