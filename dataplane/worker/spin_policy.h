// Whether a worker without work goes on looking for some or goes to sleep: learned from whether looking would have
// paid.
//
// Looking costs the core, being woken costs the packet. To look for as long as a wake-up takes, and then sleep, is
// never worse than twice the best choice, whatever the traffic does; but a stream whose packets are further apart than
// that pays both, every time. So each idle time, when it has ended, votes on whether such a look would have seen its
// end, and the latest of these votes decide about the next.
//
//   kSpinNs ≥ spacing of packets     votes rise     the worker looks on, and sleeps only when the stream ends
//   kSpinNs < spacing                votes fall     it sleeps at once
//
// Who sleeps hears of a packet late, so that the time alone says little about the packets' spacing; but then several
// have come, and the time for each of them is the spacing again.
//
// Threads: one, the worker's.
#ifndef SLUICE_DATAPLANE_WORKER_SPIN_POLICY_H_
#define SLUICE_DATAPLANE_WORKER_SPIN_POLICY_H_

#include <algorithm>
#include <cstdint>

namespace sluice {

class SpinPolicy {
 public:
  // The longest look. Of the size of a wake-up: 40 to 60 microseconds where a guest's core has halted meanwhile, of
  // which 15 to 25 are the core's own time (tests/bench/run polling).
  static constexpr int64_t kSpinNs = 40'000;
  // So many frames at most are taken as evenly spaced. Those of a long wait are rather one burst.
  static constexpr uint32_t kMostSpaced = 4;
  // Votes that count. Few, so that a stream that begins is waited for within a millisecond or so.
  static constexpr int kVotes = 16;

  // Goes on looking, having found nothing for `idle_ns`?
  bool KeepsSpinning(int64_t idle_ns) const { return votes_ > kVotes / 2 && idle_ns < kSpinNs; }

  // After `idle_ns` awake or asleep there was work again: `frames` of it, at least 1.
  void Learn(int64_t idle_ns, uint32_t frames) {
    const bool paid = idle_ns <= kSpinNs * std::min(frames, kMostSpaced);
    votes_ = std::clamp(votes_ + (paid ? 1 : -1), 0, kVotes);
  }

 private:
  int votes_ = kVotes / 2;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKER_SPIN_POLICY_H_
