#ifndef SLUICE_TESTS_TRAFFIC_CLOCK_H_
#define SLUICE_TESTS_TRAFFIC_CLOCK_H_

#include <cstdint>
#include <ctime>

namespace sluice::flowgen {

inline constexpr int64_t kNsPerSecond = 1'000'000'000;
inline constexpr int64_t kNsPerMs = 1'000'000;
inline constexpr int64_t kNsPerUs = 1'000;

inline int64_t ReadClockNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

inline int64_t NowNs() {
  return ReadClockNs(CLOCK_MONOTONIC);
}

// Returns CLOCK_REALTIME, in which the kernel stamps received frames, minus CLOCK_MONOTONIC. It changes when the
// machine's time is set.
inline int64_t RealtimeOffsetNs() {
  return ReadClockNs(CLOCK_REALTIME) - NowNs();
}

inline void SleepUntilNs(int64_t at_ns) {
  const timespec at = {.tv_sec = at_ns / kNsPerSecond, .tv_nsec = at_ns % kNsPerSecond};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_CLOCK_H_
