// Gives up, for good, all rights that a packet-handling process does not need. The process works on the descriptors
// that the agent passes: sockets, UMEMs and maps.
//
//   capabilities   none: effective, permitted, inheritable and ambient sets are empty; the bounding set, too, where the
//                  process may still empty it
//   privileges     can never be gained: no_new_privs
//   system calls   those on a list (libseccomp); any other answers EPERM. bpf() may look up, update and delete map
//                  elements, and no more; sockets of the unix family only; no executable memory; threads, but no
//                  processes
//
// Threads: the main thread, once, before there is another thread and before the first packet.
// Errors: Internal with the text of the failed call; ResourceExhausted when there is no memory for the filter.
#ifndef SLUICE_DATAPLANE_PROCESS_CONFINEMENT_H_
#define SLUICE_DATAPLANE_PROCESS_CONFINEMENT_H_

#include "absl/status/status.h"

namespace sluice {

absl::Status DropCapabilities();
absl::Status RestrictSystemCalls();

// Both, in this order.
absl::Status Confine();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_CONFINEMENT_H_
