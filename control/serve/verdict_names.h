// The verdicts of the steering programs (bpf/sluice_abi.h) with the names that users see. Pure; any thread.
#ifndef SLUICE_CONTROL_SERVE_VERDICT_NAMES_H_
#define SLUICE_CONTROL_SERVE_VERDICT_NAMES_H_

#include "bpf/sluice_abi.h"

namespace sluice {

// Returns "" for a number that is no verdict.
const char* VerdictName(sluice_verdict verdict);

// True if the packet leaves XDP to a socket, the bridge, the stack or another port. All other verdicts are drops in
// XDP.
bool LeavesXdp(sluice_verdict verdict);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_VERDICT_NAMES_H_
