// One end of the SOCK_SEQPACKET unix socket between agent and dataplane: a protobuf message per
// packet, file descriptors beside it.
//
// Ownership: Send() leaves the caller's descriptors open; Receive() gives the caller new ones, closed
// when their UniqueFd goes. A message that does not parse, or is cut off, closes its descriptors and is
// an error: the peer is our own program, so the connection should then be dropped.
//
// Threads: one thread sends, one receives; both may be the same. Blocking, unless the socket is not.
// Limits: kMaxMessageBytes a message; kMaxFds descriptors (SCM_MAX_FD, include/net/scm.h).
#ifndef SLUICE_DATAPLANE_CONTRACT_FD_CHANNEL_H_
#define SLUICE_DATAPLANE_CONTRACT_FD_CHANNEL_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "dataplane/base/unique_fd.h"
#include "google/protobuf/message_lite.h"

namespace sluice {

inline constexpr size_t kMaxMessageBytes = 64 * 1024;
inline constexpr size_t kMaxFds = 253;

// Errors: Unavailable when the peer is gone (EPIPE, ECONNRESET), InvalidArgument for more than kMaxFds
// descriptors or too large a message, Internal for the rest, each with errno's text.
absl::Status SendMessage(int socket, const google::protobuf::MessageLite& message, absl::Span<const int> fds = {});

// Fills `message` and returns the descriptors that came with it. Errors: Unavailable when the peer has
// closed; DeadlineExceeded when the socket has SO_RCVTIMEO and it passed; DataLoss for a message that
// is cut off or does not parse.
absl::StatusOr<std::vector<UniqueFd>> ReceiveMessage(int socket, google::protobuf::MessageLite& message);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTRACT_FD_CHANNEL_H_
