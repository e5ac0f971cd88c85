// Waits for descriptors up to a deadline. Signals do not end a wait; at a deadline that has passed, descriptors are
// still looked at once. Any thread; blocks.
#ifndef SLUICE_DATAPLANE_BASE_POLL_UNTIL_H_
#define SLUICE_DATAPLANE_BASE_POLL_UNTIL_H_

#include <poll.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

// Waits until one of `fds` is ready, as poll(2) has it: `revents` are set, and an fd of -1 is none. Returns how many
// are; 0: the deadline passed. Internal when poll fails.
absl::StatusOr<int> PollUntil(absl::Span<pollfd> fds, SteadyTime deadline);

// Waits until `fd` is readable, or its peer has hung up. DeadlineExceeded, as "no WHAT in time".
absl::Status WaitReadable(int fd, SteadyTime deadline, absl::string_view what);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_POLL_UNTIL_H_
