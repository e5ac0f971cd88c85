// Decides how many queue pairs and workers the load needs: `queue_pairs = "auto"`.
//
//   samples of the last seconds ─┐
//   the set-up as it is ─────────┼─► JudgeLoad ─► a lever and its target, or none; the reason in one sentence
//   memory of earlier decisions ─┘       └──────► memory for the next call
//
// Pure: no clock, no kernel. Time is that of the samples. So a table of loads tests every decision (tests/autoscale).
//
// A worker is *full* when it is busy nearly all the time and finds many packets in a round: a worker whose rounds are
// short finds few packets, is busy as well, and could carry many times more. It is also full when packets found no room
// at its lanes while it was busy. The load is counted in cores: the sum of the workers' busy shares.
//
//   grows    when a worker was full for 1.5 s of the last 4 s (cores: 0.5 s), to the pairs that the load needs at 70 %
//            of a core each, at most twice as many as now
//   shrinks  when fewer would have done, at 50 % of a core each, at every moment of a *hold*
//   waits    after a change for 3 s or 20 times the cost of the lever, whichever is longer
//
// It does not flap: each time that a load comes back within an hour after a lever was used to shrink, the hold of that
// lever doubles, up to 10 minutes; an hour without that halves it. So after a few periods a square wave of any period
// makes it stay large and try a smaller size once an hour, or follow the wave where its low half is longer than 10
// minutes.
//
// One flow cannot be divided: when a full lane has one flow for the most part, or one lane of several gets nearly all
// packets, more pairs would not help. That is said, and nothing is changed.
#ifndef SLUICE_CONTROL_AUTOSCALE_AUTOSCALE_H_
#define SLUICE_CONTROL_AUTOSCALE_AUTOSCALE_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "control/autoscale/load_sample.h"
#include "control/resize/resize_plan.h"

namespace sluice {

// The time that samples must reach back at most.
inline constexpr int64_t kLoadWindowNs = 4'000'000'000;

// The reasons; labels of sluice_autoscale_decisions_total.
enum class AutoscaleWhy {
  kFull,     // grows: a worker is full
  kDrops,    // grows: packets found no room
  kIdle,     // shrinks: fewer carry the load
  kBounds,   // changes: the bounds ask for it
  kOneFlow,  // stays: one flow fills a core
  kUneven,   // stays: one lane gets nearly all packets
  kAtMost,   // stays: full, and no more are allowed, or of use
  kRefused,  // stays: a change was refused or rolled back
  kEnough,   // stays: the load is carried; never counted
};
inline constexpr std::array kCountedWhys = {AutoscaleWhy::kFull,   AutoscaleWhy::kDrops,   AutoscaleWhy::kIdle,
                                            AutoscaleWhy::kBounds, AutoscaleWhy::kOneFlow, AutoscaleWhy::kUneven,
                                            AutoscaleWhy::kAtMost, AutoscaleWhy::kRefused};
const char* AutoscaleWhyName(AutoscaleWhy why);

struct AutoscaleBounds {
  uint32_t min = 1;
  uint32_t max = 1;
};

// Values by lever: cores, spread, channels.
template <typename Value>
class ByLever {
 public:
  Value& operator[](Lever lever) { return values_[static_cast<size_t>(lever)]; }
  const Value& operator[](Lever lever) const { return values_[static_cast<size_t>(lever)]; }

 private:
  std::array<Value, 4> values_{};  // one for each Lever
};

// The set-up as it is, and its limits.
struct AutoscaleSetup {
  uint32_t active_pairs = 1;  // that get traffic
  uint32_t open_pairs = 1;    // with sockets
  uint32_t workers = 1;
  uint32_t usable_workers = 1;   // cores that can be used, or the number of workers that the user has set
  bool workers_are_set = false;  // by the user: the cores lever is not ours
  bool can_spread = false;       // every device has RSS
  uint32_t device_pairs = 1;     // that every device can have
  AutoscaleBounds bounds;        // the user's
  ByLever<int64_t> cost_ns;      // the time that a change by the lever takes, as measured; 0: not yet
};

// Returns the bounds in force: more pairs than the devices have, or than there are cores to work on them, are of no
// use.
AutoscaleBounds BoundsInForce(const AutoscaleSetup& setup);

// A time in which fewer would have done without a break.
struct QuietTime {
  int64_t since_ns = 0;
  uint32_t most = 0;  // the largest number that was needed in it
};

// Carried from one call to the next.
struct AutoscaleMemory {
  ByLever<QuietTime> quiet;
  ByLever<uint32_t> doublings;     // of the lever's hold
  ByLever<int64_t> shrunk_at_ns;   // 0: not since the last growth
  ByLever<int64_t> taken_back_ns;  // the last time that `doublings` changed
  int64_t changed_at_ns = 0;       // 0: never
  Lever changed_by = Lever::kNone;
  int64_t not_before_ns = 0;  // after a refusal
  uint32_t refusals = 0;      // in a row
  std::string refusal;        // the last one's reason
};

struct AutoscaleJudgement {
  Lever lever = Lever::kNone;
  uint32_t to = 0;  // workers for the cores lever, else pairs
  AutoscaleWhy why = AutoscaleWhy::kEnough;
  std::string sentence;
  AutoscaleMemory memory;
};

// `window`: the samples since the last change, oldest first, at least one, at most those of kLoadWindowNs.
AutoscaleJudgement JudgeLoad(absl::Span<const LoadSample> window, const AutoscaleSetup& setup, AutoscaleMemory memory);

// Returns the memory after the judgement's change was made, at `now_ns`, or was refused.
AutoscaleMemory AfterChange(AutoscaleMemory memory, Lever lever, bool grew, int64_t now_ns);
AutoscaleMemory AfterRefusal(AutoscaleMemory memory, absl::string_view reason, int64_t now_ns);

}  // namespace sluice

#endif  // SLUICE_CONTROL_AUTOSCALE_AUTOSCALE_H_
