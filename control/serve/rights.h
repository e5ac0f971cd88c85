// The rights of a process that asks the agent: root and members of group `sluice-admin` may change, members of `sluice`
// may read. Any thread; blocks while the user database is asked.
#ifndef SLUICE_CONTROL_SERVE_RIGHTS_H_
#define SLUICE_CONTROL_SERVE_RIGHTS_H_

#include <sys/socket.h>

#include "absl/status/status.h"

namespace sluice {

enum class Rights { kNone, kRead, kChange };

// Asks the groups of the peer's user, and of its process the first one.
Rights RightsOf(const ucred& peer);

// PermissionDenied says which group is missing.
absl::Status CheckRights(Rights rights, bool changes);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_RIGHTS_H_
