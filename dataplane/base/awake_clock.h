// A monotonic clock that all but stands still while nobody reads it.
//
// A timeout must not count time in which the guest did not run. When the host stops a guest, or gives its core to
// another, the steady clock jumps, and all packets that were on their way arrive after the jump. So between two
// readings this clock advances by kLongestNapNs at most: a few times the interval between two rounds of a lane that
// waits for something (Lane::SleepBound).
//
// Threads: one at a time. Times are nanoseconds since some moment before the first reading, never 0.
#ifndef SLUICE_DATAPLANE_BASE_AWAKE_CLOCK_H_
#define SLUICE_DATAPLANE_BASE_AWAKE_CLOCK_H_

#include <algorithm>
#include <cstdint>

namespace sluice {

class AwakeClock {
 public:
  static constexpr int64_t kLongestNapNs = 5'000'000;

  using Source = int64_t (*)();  // monotonic nanoseconds (clock.h: MonotonicNs)

  explicit AwakeClock(Source source) : source_(source), last_look_ns_(source()) {}

  int64_t NowNs() {
    const int64_t now_ns = source_();
    awake_ns_ += std::min(now_ns - last_look_ns_, kLongestNapNs);
    last_look_ns_ = now_ns;
    return awake_ns_;
  }

 private:
  const Source source_;
  int64_t last_look_ns_;
  int64_t awake_ns_ = 1;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_AWAKE_CLOCK_H_
