// The lane's side of LaneContext: frames that the function originates, and frames that it keeps for later.
//
//      function ── Originate, Release ──► out() ──► the lane sends it ahead of the burst
//               ── Hold ─► slot ─ Release ─┘
//
// Memory: frames come from the lane's pool. At most kMaxHeldFrames are kept, a small part of the pool, so that a
// function cannot starve the receive side.
//
// Threads: the one that polls the lane.
#ifndef SLUICE_DATAPLANE_LANE_LANE_SERVICES_H_
#define SLUICE_DATAPLANE_LANE_LANE_SERVICES_H_

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/base/awake_clock.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/lane_context.h"
#include "dataplane/function/network_function.h"
#include "dataplane/io/umem.h"

namespace sluice {

class LaneServices final : public LaneContext {
 public:
  static constexpr uint32_t kMaxHeldFrames = 256;

  LaneServices(uint32_t lane, Umem& umem, LaneStats& stats, AwakeClock::Source clock);

  Frame* Originate(uint32_t out_port, uint32_t length_bytes) override;
  std::optional<HeldFrame> Hold(Burst& burst, const Frame& frame) override;
  Frame& Held(HeldFrame held) override { return held_[held.slot].frame; }
  bool Release(HeldFrame held, Verdict verdict) override;

  // --- the lane ---
  // Makes the function's part.
  void PrepareFor(NetworkFunction& function) {
    set_part(function.MakeLanePart(lane()));
    expire_at_ns_ = 0;
  }
  // The clock is read again when it is next asked for.
  void BeginRound() { ForgetTime(); }
  // Has the function expire what is due.
  void ExpireDue(NetworkFunction& function) {
    if (expire_at_ns_ != NetworkFunction::kNever && now_ns() >= expire_at_ns_) {
      expire_at_ns_ = function.Expire(*this, kExpireBudget);
    }
  }
  // Nanoseconds until Expire is due; kNever: it is not.
  int64_t ExpiresIn_ns() const;
  // How many frames out() takes from now on. At most a burst, and fewer while frames leave by other lanes.
  void SetRoom(uint32_t frames) { room_ = frames; }
  // Frames to be sent ahead of the burst. The lane empties it. A released frame has the hash with which it was
  // received, an originated one has none yet (0).
  Burst& out() { return out_; }
  uint32_t held() const { return held_count_; }
  // Drops what is kept, with kLaneClosed.
  void CloseAccounts();

 private:
  // Steps of Expire a round: some microseconds.
  static constexpr uint32_t kExpireBudget = 64;

  struct Kept {
    Frame frame;
    uint32_t flow_hash;
  };

  Umem& umem_;
  LaneStats& stats_;
  uint32_t room_ = kBurstFrames;
  int64_t expire_at_ns_ = NetworkFunction::kNever;
  Burst out_{};
  uint32_t held_count_ = 0;
  std::array<Kept, kMaxHeldFrames> held_{};
  std::array<bool, kMaxHeldFrames> used_{};
  std::array<uint16_t, kMaxHeldFrames> free_slots_;  // [0, kMaxHeldFrames - held_count_)
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_LANE_SERVICES_H_
