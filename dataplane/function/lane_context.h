// The lane as a network function sees it in Process and Expire: time, the function's own part, counters, frames that
// the function makes, and frames that it keeps for later.
//
// Ownership: the lane owns it. A function keeps no pointer to it, nor to a frame, beyond the call that brought it.
// Threads: the one that polls the lane.
#ifndef SLUICE_DATAPLANE_FUNCTION_LANE_CONTEXT_H_
#define SLUICE_DATAPLANE_FUNCTION_LANE_CONTEXT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"

namespace sluice {

// The base of a function's per-lane part: its own for each lane, touched by that lane's thread alone.
struct LanePart {
  virtual ~LanePart() = default;
};

// A frame that the lane keeps for the function.
struct HeldFrame {
  uint16_t slot = 0;
};

class LaneContext {
 public:
  virtual ~LaneContext() = default;

  uint32_t lane() const { return lane_; }
  // Monotonic nanoseconds (CLOCK_MONOTONIC), never 0. Read once a round, and only in rounds that ask for it.
  int64_t now_ns() {
    if (now_ns_ == 0) {
      now_ns_ = clock_();
    }
    return now_ns_;
  }
  // `T` must be the type that the function's MakeLanePart returned.
  template <typename T>
  T& part() {
    return static_cast<T&>(*part_);
  }
  // `index`: its place in the descriptor's counters.
  StatsCounter& counter(uint32_t index) { return stats_->function_counters[index]; }

  // Returns a frame of the function's own, of `length_bytes` uninitialised bytes, to be written before Process or
  // Expire returns. It leaves by `out_port` in this round, ahead of the burst, and is counted as originated. nullptr:
  // there is no free frame, no room for more in this round (less than usual while flows move), or it is too long for a
  // frame.
  virtual Frame* Originate(uint32_t out_port, uint32_t length_bytes) = 0;

  // Keeps a frame of the burst, whose verdict must then be Verdict::Hold(). To be called before the function rewrites
  // the frame: the lane keeps the flow's hash, too. nullopt: the lane keeps kMaxHeldFrames already; the frame then
  // needs another verdict.
  virtual std::optional<HeldFrame> Hold(Burst& burst, const Frame& frame) = 0;
  // The bytes of a frame that is kept, which may be changed.
  virtual Frame& Held(HeldFrame held) = 0;
  // Releases the frame with this verdict, in this round, ahead of the burst and in the order of the calls. Returns
  // false when there is no room for more in this round: the frame is still kept. `verdict` must not be Hold().
  virtual bool Release(HeldFrame held, Verdict verdict) = 0;

 protected:
  using Clock = int64_t (*)();

  LaneContext(uint32_t lane, LaneStats& stats, Clock clock) : lane_(lane), clock_(clock), stats_(&stats) {}
  int64_t ReadClock() const { return clock_(); }
  // Begins a round.
  void ForgetTime() { now_ns_ = 0; }
  void set_part(std::unique_ptr<LanePart> part) { part_ = std::move(part); }

 private:
  const uint32_t lane_;
  const Clock clock_;
  int64_t now_ns_ = 0;  // 0: not read in this round
  LaneStats* stats_;
  std::unique_ptr<LanePart> part_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_LANE_CONTEXT_H_
