// Gives up, for good, what a packet-handling process does not need. Called once, before any thread is
// made and before the first packet is seen.
//
//   capabilities   none: effective, permitted, inheritable and ambient sets empty; the bounding set, too,
//                  where the process may still do that
//   privileges     none to be gained: no_new_privs
//   system calls   those on a list (libseccomp); anything else answers EPERM. Of bpf() only looking up,
//                  updating and deleting map elements; sockets of the unix family only; no memory that
//                  can be executed; threads, but no processes
//
// What it holds it has by descriptor: sockets, UMEMs and maps that the agent passed.
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
