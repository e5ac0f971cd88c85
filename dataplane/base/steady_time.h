// A moment on CLOCK_MONOTONIC: for deadlines, and for how long something took.
//
// absl::Time is the wall clock, which somebody may set at any moment: a deadline of a second then lasts an hour, or is
// over at once. This type does not mix with it. absl::Time is for moments that people read.
//
// Copied freely; any thread. Sums saturate at the infinite ones, as absl::Duration's do.
#ifndef SLUICE_DATAPLANE_BASE_STEADY_TIME_H_
#define SLUICE_DATAPLANE_BASE_STEADY_TIME_H_

#include "absl/time/time.h"
#include "dataplane/base/clock.h"

namespace sluice {

class SteadyTime {
 public:
  // The clock's zero.
  constexpr SteadyTime() = default;
  static SteadyTime Now() { return SteadyTime(absl::Nanoseconds(MonotonicNs())); }
  static SteadyTime InfiniteFuture() { return SteadyTime(absl::InfiniteDuration()); }
  static SteadyTime InfinitePast() { return SteadyTime(-absl::InfiniteDuration()); }

  SteadyTime& operator+=(absl::Duration step) {
    since_zero_ += step;
    return *this;
  }
  friend SteadyTime operator+(SteadyTime at, absl::Duration step) { return SteadyTime(at.since_zero_ + step); }
  friend SteadyTime operator-(SteadyTime at, absl::Duration step) { return SteadyTime(at.since_zero_ - step); }
  friend absl::Duration operator-(SteadyTime later, SteadyTime at) { return later.since_zero_ - at.since_zero_; }
  friend bool operator==(SteadyTime a, SteadyTime b) { return a.since_zero_ == b.since_zero_; }
  friend bool operator!=(SteadyTime a, SteadyTime b) { return a.since_zero_ != b.since_zero_; }
  friend bool operator<(SteadyTime a, SteadyTime b) { return a.since_zero_ < b.since_zero_; }
  friend bool operator>(SteadyTime a, SteadyTime b) { return b < a; }
  friend bool operator<=(SteadyTime a, SteadyTime b) { return !(b < a); }
  friend bool operator>=(SteadyTime a, SteadyTime b) { return !(a < b); }

 private:
  explicit SteadyTime(absl::Duration since_zero) : since_zero_(since_zero) {}

  absl::Duration since_zero_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_STEADY_TIME_H_
