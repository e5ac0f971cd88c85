// Decides whether a worker without work goes on looking for some or goes to sleep. It learns from past idle times
// whether a longer look would have paid.
//
// Looking costs the core; a wake-up costs the packet. To look for as long as a wake-up takes, and then to sleep, is
// never worse than twice the best choice, whatever the traffic does. But a stream whose packets are further apart than
// that pays both prices, every time. So each idle time, when it has ended, votes on whether a look would have seen its
// end, and the latest votes decide about the next idle time.
//
//   kSpinNs ≥ spacing of packets     votes rise     the worker keeps looking, and sleeps only when the stream ends
//   kSpinNs < spacing                votes fall     it sleeps at once
//
// A sleeping worker wakes late and finds several packets. So idle time divided by their number estimates the spacing.
//
// Threads: one, the worker's. Times are nanoseconds.
#ifndef SLUICE_DATAPLANE_WORKER_SPIN_POLICY_H_
#define SLUICE_DATAPLANE_WORKER_SPIN_POLICY_H_

#include <algorithm>
#include <cstdint>

namespace sluice {

class SpinPolicy {
 public:
  // The longest look. About the length of a wake-up: 40 to 60 microseconds where a guest's core has halted meanwhile,
  // of which 15 to 25 are the core's own time (tests/bench/run polling).
  static constexpr int64_t kSpinNs = 40'000;
  // At most this many frames count as evenly spaced. The frames of a long idle time are rather one burst.
  static constexpr uint32_t kMostSpaced = 4;
  // The number of votes that count. Small, so that the worker waits for a new stream within a millisecond or so.
  static constexpr int kVotes = 16;

  // True if the worker, having found nothing for `idle_ns`, should keep looking.
  bool KeepsSpinning(int64_t idle_ns) const { return votes_ > kVotes / 2 && idle_ns < kSpinNs; }

  // Learns that there was work again after `idle_ns` awake or asleep: `frames` frames, at least 1.
  void Learn(int64_t idle_ns, uint32_t frames) {
    const bool paid = idle_ns <= kSpinNs * std::min(frames, kMostSpaced);
    votes_ = std::clamp(votes_ + (paid ? 1 : -1), 0, kVotes);
  }

 private:
  int votes_ = kVotes / 2;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKER_SPIN_POLICY_H_
