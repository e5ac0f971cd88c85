#include "control/dataplane/dataplane_link.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/dataplane/dataplane_process.h"
#include "control/wire/unix_socket.h"
#include "dataplane/base/poll_until.h"
#include "dataplane/contract/fd_channel.h"

namespace sluice {
namespace {

absl::StatusOr<std::vector<UniqueFd>> ReceiveReport(int fd, absl::Time deadline, dataplane::Report& report) {
  if (absl::Status s = WaitReadable(fd, deadline, "answer from the dataplane"); !s.ok()) {
    return s;
  }
  return ReceiveMessage(fd, report);
}

// Returns what a reply says. A dataplane that answered is there, so none of the codes by which Call() says that the
// link is broken may come from it: its caller would end the process.
absl::Status ErrorOf(const dataplane::Reply& reply) {
  const absl::Status s(static_cast<absl::StatusCode>(reply.code()), reply.message());
  return SaysLinkIsBroken(s) ? absl::InternalError(reply.message()) : s;
}

}  // namespace

absl::StatusOr<DataplaneLink> DataplaneLink::Listen(const std::string& path, uid_t uid) {
  absl::StatusOr<UniqueFd> listener = ListenUnix(path, SOCK_SEQPACKET);
  if (!listener.ok()) {
    return listener.status();
  }
  constexpr mode_t kOwnerOnly = 0600;
  if (chmod(path.c_str(), kOwnerOnly) != 0 || chown(path.c_str(), uid, static_cast<gid_t>(-1)) != 0) {
    return absl::InternalError(absl::StrCat("rights of ", path, ": ", strerror(errno)));
  }
  DataplaneLink link;
  link.listener_ = *std::move(listener);
  link.uid_ = uid;
  return link;
}

absl::StatusOr<Greeting> DataplaneLink::Accept(absl::Time deadline) {
  if (absl::Status s = WaitReadable(listener_.get(), deadline, "dataplane connected"); !s.ok()) {
    return s;
  }
  UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) {
    return absl::InternalError(absl::StrCat("accept: ", strerror(errno)));
  }
  absl::StatusOr<ucred> peer = PeerOf(connection.get());
  if (!peer.ok()) {
    return peer.status();
  }
  if (connected()) {
    return absl::AlreadyExistsError(absl::StrCat("process ", peer->pid, " wants to be a second dataplane while ", pid_,
                                                 " is connected; it was sent away"));
  }
  if (peer->uid != uid_ && peer->uid != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("process ", peer->pid, " of uid ", peer->uid, " is not the dataplane's user ", uid_));
  }
  Greeting greeting;
  dataplane::Report report;
  absl::StatusOr<std::vector<UniqueFd>> fds = ReceiveReport(connection.get(), deadline, report);
  if (!fds.ok()) {
    return fds.status();
  }
  if (!report.has_hello()) {
    return absl::DataLossError("the dataplane did not begin with Hello");
  }
  greeting.hello = report.hello();
  if (greeting.hello.contract_version() != dataplane::CONTRACT_VERSION_CURRENT) {
    return absl::FailedPreconditionError(
        absl::StrCat("the dataplane speaks contract version ", greeting.hello.contract_version(), ", the agent ",
                     static_cast<int>(dataplane::CONTRACT_VERSION_CURRENT), "; end it (pid ", peer->pid,
                     ") so that one of this version takes over its sockets"));
  }
  if (greeting.hello.configured()) {
    if (fds->empty() || fds->size() > 2) {
      return absl::DataLossError(absl::StrCat("the dataplane's greeting came with ", fds->size(),
                                              " descriptors instead of a stats segment and perhaps state memory"));
    }
    greeting.stats = std::move(fds->front());
    greeting.state = fds->size() == 2 ? std::move(fds->back()) : UniqueFd();
  }
  for (uint32_t i = 0; i < greeting.hello.held_lanes(); ++i) {
    absl::StatusOr<std::vector<UniqueFd>> lane_fds = ReceiveReport(connection.get(), deadline, report);
    if (!lane_fds.ok()) {
      return lane_fds.status();
    }
    const size_t expected = 1 + 2 * static_cast<size_t>(report.held_lane().lane().sockets_size());
    if (!report.has_held_lane() || lane_fds->size() != expected) {
      return absl::DataLossError("the dataplane's list of lanes is broken");
    }
    greeting.lanes.push_back({report.held_lane().lane(), report.held_lane().worker(), *std::move(lane_fds)});
  }
  pid_ = peer->pid;
  pidfd_ = WatchProcess(pid_);
  connection_ = std::move(connection);
  return greeting;
}

absl::StatusOr<std::optional<Greeting>> DataplaneLink::AcceptSurvivor(pid_t pid, absl::Duration bound) {
  const UniqueFd process = WatchProcess(pid);
  if (!process) {
    return std::optional<Greeting>();
  }
  pollfd either[] = {{listener_.get(), POLLIN, 0}, {process.get(), POLLIN, 0}};
  if (const absl::StatusOr<int> ready = PollUntil(absl::MakeSpan(either), absl::Now() + bound); !ready.ok()) {
    return ready.status();
  }
  if ((either[0].revents & POLLIN) == 0) {
    return std::optional<Greeting>();
  }
  absl::StatusOr<Greeting> greeting = Accept(absl::Now() + bound);
  if (absl::IsDeadlineExceeded(greeting.status())) {
    return std::optional<Greeting>();
  }
  if (!greeting.ok()) {
    return greeting.status();
  }
  return greeting->hello.configured() ? std::optional<Greeting>(*std::move(greeting)) : std::optional<Greeting>();
}

absl::Status DataplaneLink::Call(dataplane::Request request, absl::Span<const int> fds, absl::Time deadline,
                                 dataplane::Reply& reply) {
  if (!connection_) {
    return absl::UnavailableError("no dataplane is connected");
  }
  request.set_id(next_id_++);
  if (absl::Status s = SendMessage(connection_.get(), request, fds); !s.ok()) {
    return s;
  }
  dataplane::Report report;
  absl::StatusOr<std::vector<UniqueFd>> extra = ReceiveReport(connection_.get(), deadline, report);
  if (!extra.ok()) {
    return extra.status();
  }
  if (!report.has_reply() || report.reply().id() != request.id()) {
    return absl::DataLossError("the dataplane answered something else than it was asked");
  }
  reply = std::move(*report.mutable_reply());
  return ErrorOf(reply);
}

void DataplaneLink::Drop(absl::Duration grace) {
  if (pidfd_ && !WaitReadable(pidfd_.get(), absl::Now() + grace, "end").ok()) {
    (void)syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    // Its sockets and threads must be gone before a successor works on the same rings.
    constexpr absl::Duration kDeathBound = absl::Seconds(5);
    WaitReadable(pidfd_.get(), absl::Now() + kDeathBound, "end").IgnoreError();
  }
  connection_.Reset();
  pidfd_.Reset();
  pid_ = 0;
}

}  // namespace sluice
