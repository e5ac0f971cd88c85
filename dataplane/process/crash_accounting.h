// Puts the balance right after a dataplane died: rx + originated = tx + passed + drops + held + handoff_held +
// to_kernel_held.
//
// A crash loses what the dead process had in hand, and hand-offs. The counters survive in the stats
// segment, and a lane's held gauge is computed anew from its rings (queue_pair.cc), so what is missing is
// a plain sum: taken when the segment is mapped, before anything is polled, less what each adopted lane
// still finds held. It becomes drops with DropReason::kCrash.
//
// Lane by lane the sum need not be positive: a frame handed over counts as received here, as sent there.
// So the total is what is dropped, booked on the lanes that have a surplus.
//
// Threads: the control thread.
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

  // `held` frames were found on the lane's rings when it was taken in, before it is polled. Only the
  // first time counts.
  void Adopt(uint32_t lane, uint64_t held);

  // What to drop on each lane. From then on nothing is owed. A negative total, which the order of counting
  // rules out (queue_pair.h), yields nothing to drop and is left in `unexplained`.
  struct Drops {
    std::array<uint64_t, kMaxLanes> by_lane{};
    int64_t unexplained = 0;
  };
  Drops Settle();

 private:
  std::array<int64_t, kMaxLanes> surplus_{};
  std::bitset<kMaxLanes> adopted_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_CRASH_ACCOUNTING_H_
