// Corrects the balance after a dataplane has died: rx + originated = tx + passed + drops + held + handoff_held +
// to_kernel_held + function_held.
//
// A crash loses the frames in the dead process's memory, and those in hand-off rings. The counters survive in the stats
// segment, and a lane's held gauge is computed again from its rings (io/queue_pair.cc). So the number of lost frames is
// a sum over the counters, taken when the segment is mapped, before any lane is polled, less the frames that each
// adopted lane still finds held. They become drops with DropReason::kCrash.
//
// The sum of one lane may be negative: a frame that was handed over counts as received in one lane and as sent in
// another. So the total is dropped, and booked on the lanes that have a surplus.
//
// Pure, but for reading the segment. Threads: the control thread.
#ifndef SLUICE_DATAPLANE_PROCESS_CRASH_ACCOUNTING_H_
#define SLUICE_DATAPLANE_PROCESS_CRASH_ACCOUNTING_H_

#include <array>
#include <bitset>
#include <cstdint>

#include "dataplane/contract/stats_segment.h"

namespace sluice {

class CrashAccounting {
 public:
  // Before any lane of the segment is polled.
  explicit CrashAccounting(const StatsSegment& stats);

  // The lane's rings held `held` frames when it was taken in, before it was polled. Only the first call for a lane
  // counts.
  void Adopt(uint32_t lane, uint64_t held);

  // Returns how many frames to drop on each lane; a second call returns none. A negative total, which the order of
  // counting rules out (io/queue_pair.h), drops none and is returned in `unexplained`.
  struct Drops {
    std::array<uint64_t, kMaxLanes> by_lane{};
    int64_t unexplained = 0;
  };
  Drops CountDrops();

 private:
  std::array<int64_t, kMaxLanes> surplus_{};
  std::bitset<kMaxLanes> adopted_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_CRASH_ACCOUNTING_H_
