#include "control/resize/quiet_wait.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

QuietWait::QuietWait(bool host_queues_by_pair, LaneCounts counts, SteadyTime now)
    : signs_wanted_(host_queues_by_pair ? kSigns : 0), bound_(now + kBound), last_(counts), quiet_since_(now) {}

bool QuietWait::Over(LaneCounts counts, SteadyTime now) {
  if (counts.staying != last_.staying) {
    ++signs_;
  }
  if (counts.going != last_.going) {
    received_ = true;
    quiet_since_ = now;
    signs_ = 0;
  }
  last_ = counts;
  const absl::Duration quiet = now - quiet_since_;
  if (quiet >= (signs_ < signs_wanted_ ? kLongQuiet : kQuiet)) {
    return true;
  }
  still_receiving_ = now >= bound_ && received_ && quiet < kQuiet;
  return now >= bound_;
}

}  // namespace sluice
