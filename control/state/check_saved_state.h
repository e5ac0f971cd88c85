// Checks a saved state before the agent uses it: the file may be of another time, of another machine, or anybody's. It
// is a hint; what can be seen in the kernel is looked up there. Pure, any thread.
#ifndef SLUICE_CONTROL_STATE_CHECK_SAVED_STATE_H_
#define SLUICE_CONTROL_STATE_CHECK_SAVED_STATE_H_

#include "absl/status/status.h"
#include "control/state/saved_state.pb.h"

namespace sluice {

// Prefixes of a change that waits to be confirmed; each change of the state writes them to the disk again.
inline constexpr int kMaxUndonePrefixes = 65536;

// DataLoss, with the first thing that no agent writes: too many of something, a number out of range, a name that is no
// device's, a device twice.
absl::Status CheckSavedState(const SavedState& state);

}  // namespace sluice

#endif  // SLUICE_CONTROL_STATE_CHECK_SAVED_STATE_H_
