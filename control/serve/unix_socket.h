// Listening unix sockets and who is at their other end.
#ifndef SLUICE_CONTROL_SERVE_UNIX_SOCKET_H_
#define SLUICE_CONTROL_SERVE_UNIX_SOCKET_H_

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

// A socket left by a dead process is replaced; one that answers is AlreadyExists.
absl::StatusOr<UniqueFd> ListenUnix(const std::string& path, int type);

// SO_PEERCRED: the peer as it was when it connected.
absl::StatusOr<ucred> PeerOf(int connection);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_UNIX_SOCKET_H_
