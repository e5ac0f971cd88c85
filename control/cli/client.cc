#include "control/cli/client.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "control/wire/framing.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/base/unix_address.h"

namespace sluice::cli {
namespace {

std::string NextStep(int error) {
  switch (error) {
    case ENOENT:
    case ECONNREFUSED:
      return "no agent listens there. Start sluice-agent (systemctl start sluice-agent, or sluice-agent --config "
             "FILE), or name its socket with --socket or SLUICE_SOCKET";
    case EACCES:
    case EPERM:
      return "not allowed. Use sudo, or join group sluice to look, sluice-admin to change (usermod -aG)";
    default:
      return "see the log of sluice-agent (journalctl -u sluice-agent)";
  }
}

absl::StatusOr<UniqueFd> Connect(const std::string& path, absl::Duration timeout) {
  const absl::StatusOr<UnixAddress> address = UnixAddress::Of(path);
  if (!address.ok()) {
    return address.status();
  }
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) {
    return absl::ErrnoToStatus(errno, "socket");
  }
  const timeval limit = absl::ToTimeval(timeout);
  if (setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 ||
      setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0) {
    return absl::ErrnoToStatus(errno, "setsockopt");
  }
  if (connect(socket.get(), address->get(), address->size_bytes()) != 0) {
    const int error = errno;
    return absl::UnavailableError(absl::StrCat("agent at ", path, ": ", strerror(error), ": ", NextStep(error)));
  }
  return socket;
}

}  // namespace

absl::StatusOr<wire::Response> Call(const std::string& socket_path, const wire::Request& request,
                                    absl::Duration timeout) {
  absl::StatusOr<UniqueFd> socket = Connect(socket_path, timeout);
  if (!socket.ok()) {
    return socket.status();
  }
  wire::Response response;
  const absl::Status sent = WriteFrame(socket->get(), request, kMaxChangeBytes);
  // An agent that refuses the client says so before it has the request, and hangs up.
  absl::Status status = sent.ok() || absl::IsUnavailable(sent) ? ReadFrame(socket->get(), response) : sent;
  if (status.ok()) {
    return response;
  }
  const char* next = "";
  switch (status.code()) {
    case absl::StatusCode::kDeadlineExceeded:
      next = "; it may still be busy: ask `sluicectl status`";
      break;
    case absl::StatusCode::kUnavailable:
      next = "; see its log (journalctl -u sluice-agent)";
      break;
    default:
      next = "; are sluicectl and sluice-agent of one version? (sluicectl --version, sluice-agent --version)";
  }
  return absl::Status(status.code(), absl::StrCat("agent at ", socket_path, ": ", std::string(status.message()), next));
}

}  // namespace sluice::cli
