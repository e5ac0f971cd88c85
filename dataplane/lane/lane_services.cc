#include "dataplane/lane/lane_services.h"

#include <algorithm>
#include <numeric>

namespace sluice {

LaneServices::LaneServices(uint32_t lane, Umem& umem, LaneStats& stats, AwakeClock::Source clock)
    : LaneContext(lane, stats, clock), umem_(umem), stats_(stats) {
  std::iota(free_slots_.begin(), free_slots_.end(), uint16_t{0});
  stats_.function_held.Set(0);
}

Frame* LaneServices::Originate(uint32_t out_port, uint32_t length_bytes) {
  if (out_.count >= room_ || out_port >= kMaxPorts || length_bytes > umem_.layout().frame_size_bytes ||
      umem_.free_frames() == 0) {
    return nullptr;
  }
  const uint64_t address = umem_.Take();
  out_.headers[out_.count].flow_hash = 0;
  Frame& frame = out_.frames[out_.count++];
  frame = {umem_.Data(address), address, length_bytes, static_cast<uint8_t>(out_port), Verdict::Transmit(out_port)};
  stats_.ports[out_port].originated.Add(1);
  return &frame;
}

std::optional<HeldFrame> LaneServices::Hold(Burst& burst, const Frame& frame) {
  if (held_count_ == kMaxHeldFrames) {
    return std::nullopt;
  }
  const uint16_t slot = free_slots_[kMaxHeldFrames - ++held_count_];
  held_[slot] = {frame, burst.FlowHashOf(burst.IndexOf(frame))};
  used_[slot] = true;
  stats_.function_held.Set(held_count_);
  return HeldFrame{slot};
}

bool LaneServices::Release(HeldFrame held, Verdict verdict) {
  if (out_.count >= room_ || !used_[held.slot]) {
    return false;
  }
  out_.headers[out_.count].flow_hash = held_[held.slot].flow_hash;
  Frame& frame = out_.frames[out_.count++];
  frame = held_[held.slot].frame;
  frame.verdict = verdict;
  frame.may_offload = false;
  used_[held.slot] = false;
  free_slots_[kMaxHeldFrames - held_count_--] = held.slot;
  stats_.function_held.Set(held_count_);
  return true;
}

int64_t LaneServices::ExpiresIn_ns() const {
  return expire_at_ns_ == NetworkFunction::kNever ? NetworkFunction::kNever
                                                  : std::max<int64_t>(0, expire_at_ns_ - ReadClock());
}

void LaneServices::CloseAccounts() {
  for (uint32_t slot = 0; slot < kMaxHeldFrames; ++slot) {
    if (used_[slot]) {
      stats_.ports[held_[slot].frame.in_port].drops[static_cast<uint32_t>(DropReason::kLaneClosed)].Add(1);
    }
  }
  held_count_ = 0;
  used_.fill(false);
  stats_.function_held.Set(0);
}

}  // namespace sluice
