// Listening unix sockets, and the identity of the process at the other end of a connection. Any thread.
#ifndef SLUICE_CONTROL_WIRE_UNIX_SOCKET_H_
#define SLUICE_CONTROL_WIRE_UNIX_SOCKET_H_

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

// Replaces a socket that a dead process left. AlreadyExists when a process has it;
// FailedPrecondition when the path is no socket's.
absl::StatusOr<UniqueFd> ListenUnix(const std::string& path, int type);

// SO_PEERCRED: the peer as it was when it connected.
absl::StatusOr<ucred> PeerOf(int connection);

}  // namespace sluice

#endif  // SLUICE_CONTROL_WIRE_UNIX_SOCKET_H_
