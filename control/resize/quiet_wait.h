// Decides when lanes that are about to close have stopped receiving.
//
// A flow moves as soon as one packet of its other direction left by its new lane (drivers/net/tun.c: tun_flow_update).
// Packets that still come by a closing lane after kBound belong to flows that nothing answers; they take the bridge, or
// the tap throws them away (tun_queue_purge).
//
// The caller gives it packet counts and the time; it neither sleeps nor reads a clock. One thread.
#ifndef SLUICE_CONTROL_RESIZE_QUIET_WAIT_H_
#define SLUICE_CONTROL_RESIZE_QUIET_WAIT_H_

#include <cstdint>

#include "absl/time/time.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

// Packets received so far, by the lanes that close and by those that stay.
struct LaneCounts {
  uint64_t going = 0;
  uint64_t staying = 0;
};

class QuietWait {
 public:
  static constexpr absl::Duration kBound = absl::Milliseconds(500);
  static constexpr absl::Duration kQuiet = absl::Milliseconds(20);
  // A host that does not run brings no packets either. Where the host queues packets by pair, kQuiet is enough only
  // when the lanes that stay received at this many looks in that time; otherwise kLongQuiet is needed.
  static constexpr int kSigns = 3;
  static constexpr absl::Duration kLongQuiet = absl::Milliseconds(200);

  QuietWait(bool host_queues_by_pair, LaneCounts counts, SteadyTime now);

  // Returns true when waiting is over: it was quiet, or kBound passed.
  bool Over(LaneCounts counts, SteadyTime now);

  // True if it ended at the bound: the device does not move some flows.
  bool still_receiving() const { return still_receiving_; }

 private:
  const int signs_wanted_;
  const SteadyTime bound_;
  LaneCounts last_;
  SteadyTime quiet_since_;
  int signs_ = 0;
  bool received_ = false;  // by the lanes that close
  bool still_receiving_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_QUIET_WAIT_H_
