#include "dataplane/lane/reorder_hold.h"

#include <bit>

namespace sluice {

static_assert(std::has_single_bit(ReorderHold::kCapacity), "free-running indices");

void ReorderHold::NoteHandedIn(uint32_t flow_hash, int64_t now_ns) {
  slots_[flow_hash % kSlots].last_ns = now_ns;
  last_ns_ = now_ns;
  any_ = true;
}

void ReorderHold::ForgetSettled(int64_t now_ns) {
  any_ = held() > 0 || (any_ && now_ns - last_ns_ < kSettleNs);
}

bool ReorderHold::MustWait(uint32_t flow_hash, int64_t now_ns) const {
  const Slot& slot = slots_[flow_hash % kSlots];
  return slot.held > 0 || (slot.last_ns != 0 && now_ns - slot.last_ns < kSettleNs);
}

void ReorderHold::Hold(const Frame& frame, uint32_t flow_hash, int64_t now_ns) {
  ++slots_[flow_hash % kSlots].held;
  ring_[pushed_++ % kCapacity] = {frame, flow_hash, now_ns};
}

ReorderHold::Released ReorderHold::ReleaseNext(int64_t now_ns, bool forced, Frame& frame, uint32_t& flow_hash) {
  if (held() == 0) {
    return Released::kNone;
  }
  const Held& first = ring_[popped_ % kCapacity];
  Slot& slot = slots_[first.flow_hash % kSlots];
  const bool settled = now_ns - slot.last_ns >= kSettleNs;
  if (!settled && !forced && now_ns - first.since_ns < kLongestHoldNs) {
    return Released::kNone;
  }
  frame = first.frame;
  flow_hash = first.flow_hash;
  --slot.held;
  ++popped_;
  return settled ? Released::kSettled : Released::kUnproven;
}

}  // namespace sluice
