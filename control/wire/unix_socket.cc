#include "control/wire/unix_socket.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "dataplane/base/unix_address.h"

namespace sluice {

absl::StatusOr<UniqueFd> ListenUnix(const std::string& path, int type) {
  const absl::StatusOr<UnixAddress> address = UnixAddress::Of(path);
  if (!address.ok()) {
    return address.status();
  }
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is there and is no socket; name another"));
  }
  // Without waiting: a process that is busy, or stopped, leaves its queue full.
  UniqueFd probe(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe && (connect(probe.get(), address->get(), address->size_bytes()) == 0 || errno == EAGAIN)) {
    return absl::AlreadyExistsError(
        absl::StrCat("another agent answers on ", path, "; stop it, or give this one another --socket"));
  }
  UniqueFd listener(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!listener) {
    return absl::InternalError(absl::StrCat("socket: ", strerror(errno)));
  }
  constexpr int kBacklog = 64;
  (void)unlink(path.c_str());
  if (bind(listener.get(), address->get(), address->size_bytes()) != 0 || listen(listener.get(), kBacklog) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", path, ": ", strerror(errno)));
  }
  return listener;
}

absl::StatusOr<ucred> PeerOf(int connection) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return absl::InternalError(absl::StrCat("SO_PEERCRED: ", strerror(errno)));
  }
  return peer;
}

}  // namespace sluice
