// One end of the SOCK_SEQPACKET unix socket between agent and dataplane: each packet is a protobuf message, with file
// descriptors as SCM_RIGHTS.
//
// Ownership: SendMessage leaves the caller's descriptors open. ReceiveMessage gives the caller new ones. A message that
// is cut off or does not parse is an error, and its descriptors are closed: the peer is a program of ours, so the
// caller should drop the connection.
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

// Errors: Unavailable when the peer is gone (EPIPE, ECONNRESET); InvalidArgument for too many descriptors, or a message
// that is empty or too large; DeadlineExceeded when the socket has SO_SNDTIMEO and it has passed; Internal for the
// rest. All but InvalidArgument carry errno's text.
absl::Status SendMessage(int socket, const google::protobuf::MessageLite& message, absl::Span<const int> fds = {});

// Fills `message` and returns the descriptors that came with it. Errors: Unavailable when the peer has closed;
// DeadlineExceeded when the socket has SO_RCVTIMEO and it has passed; DataLoss for a message that is cut off or does
// not parse; Internal for the rest.
absl::StatusOr<std::vector<UniqueFd>> ReceiveMessage(int socket, google::protobuf::MessageLite& message);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTRACT_FD_CHANNEL_H_
