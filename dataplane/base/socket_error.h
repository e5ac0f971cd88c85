// Says what an error of a socket means for its user, for the sockets between our own programs. Any thread.
#ifndef SLUICE_DATAPLANE_BASE_SOCKET_ERROR_H_
#define SLUICE_DATAPLANE_BASE_SOCKET_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// `error` is an errno, `doing` the call: "recv: Connection reset by peer". Unavailable when the peer is gone (EPIPE,
// ECONNRESET, ENOTCONN); DeadlineExceeded when SO_RCVTIMEO or SO_SNDTIMEO has passed (EAGAIN); Internal for the rest.
absl::Status SocketError(int error, absl::string_view doing);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_SOCKET_ERROR_H_
