#include "dataplane/process/agent_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/poll_until.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unix_address.h"
#include "dataplane/contract/fd_channel.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A restarting agent may have its socket again after the first pause; an operator does not notice the longest one.
constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);
// An agent that does not read for this long counts as gone.
constexpr absl::Duration kSendBound = absl::Seconds(5);

// Tells whether the agent can take the message in. If not, it would end this process, which carries traffic.
absl::Status CheckReadable(const dataplane::Report& report) {
  const std::string bytes = report.SerializeAsString();
  if (bytes.size() > kMaxMessageBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the answer has ", bytes.size(), " bytes, more than the ",
                                                     kMaxMessageBytes, " of a message; ask for less at a time"));
  }
  if (!dataplane::Report().ParseFromString(bytes)) {
    return absl::InternalError("the answer holds text that is not UTF-8");
  }
  return absl::OkStatus();
}

}  // namespace

AgentLink::AgentLink(Dataplane& dataplane, std::string socket_path, int termination_fd)
    : dataplane_(dataplane), socket_path_(std::move(socket_path)), termination_fd_(termination_fd) {}

void AgentLink::Serve() {
  absl::Duration pause = kFirstPause;
  std::string last_failure;
  while (!told_to_end_ && !dataplane_.shut_down()) {
    absl::Status status;
    absl::StatusOr<UniqueFd> socket = Connect();
    if (socket.ok()) {
      pause = kFirstPause;
      last_failure.clear();
      spdlog::info("connected to the agent at {}", socket_path_);
      status = Greet(socket->get());
      if (status.ok()) {
        status = ServeRequests(socket->get());
      }
    } else {
      status = socket.status();
    }
    if (status.ok()) {
      continue;
    }
    if (const std::string failure(status.message()); failure != last_failure) {
      spdlog::warn("no agent: {}; the dataplane tries again", failure);
      last_failure = failure;
    }
    WaitFor(-1, pause);
    dataplane_.Tick(SteadyTime::Now());
    pause = std::min(2 * pause, kLongestPause);
  }
}

absl::StatusOr<UniqueFd> AgentLink::Connect() const {
  const absl::StatusOr<UnixAddress> address = UnixAddress::Of(socket_path_);
  if (!address.ok()) {
    return address.status();
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) {
    return absl::InternalError(absl::StrCat("socket: ", strerror(errno)));
  }
  if (connect(fd.get(), address->get(), address->size_bytes()) != 0) {
    return absl::UnavailableError(absl::StrCat(socket_path_, ": ", strerror(errno)));
  }
  const timeval bound = absl::ToTimeval(kSendBound);
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound)) != 0) {
    return absl::InternalError(absl::StrCat("SO_SNDTIMEO: ", strerror(errno)));
  }
  return fd;
}

absl::Status AgentLink::Greet(int socket) const {
  dataplane::Report report;
  *report.mutable_hello() = dataplane_.hello();
  std::vector<int> fds;
  for (const UniqueFd& fd : dataplane_.memory_fds()) {
    fds.push_back(fd.get());
  }
  absl::Status status = SendMessage(socket, report, fds);
  for (const HeldLanes::Report& held : dataplane_.held_lanes()) {
    if (!status.ok()) {
      return status;
    }
    *report.mutable_held_lane() = held.message;
    status = SendMessage(socket, report, held.fds);
  }
  return status;
}

absl::Status AgentLink::ServeRequests(int socket) {
  while (!dataplane_.shut_down() && !told_to_end_) {
    // In every round: an agent that asks without a pause must not keep flows from ageing.
    dataplane_.Tick(SteadyTime::Now());
    if (!WaitFor(socket, dataplane_.tick_every())) {
      continue;
    }
    if (absl::Status status = Answer(socket); !status.ok()) {
      dataplane_.AgentLost();
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status AgentLink::Answer(int socket) {
  dataplane::Request request;
  absl::StatusOr<std::vector<UniqueFd>> fds = ReceiveMessage(socket, request);
  if (!fds.ok()) {
    return fds.status();
  }
  dataplane::Report report;
  dataplane::Reply& reply = *report.mutable_reply();
  const absl::Status done = dataplane_.Execute(request, *std::move(fds), &reply);
  reply.set_id(request.id());
  reply.set_code(static_cast<uint32_t>(done.code()));
  if (!done.ok()) {
    const std::string why(done.message());
    reply.set_message(why);
    spdlog::warn("request {} refused: {}", request.id(), why);
  }
  if (const absl::Status fits = CheckReadable(report); !fits.ok()) {
    spdlog::error("request {}: {}", request.id(), std::string(fits.message()));
    reply.Clear();
    reply.set_id(request.id());
    reply.set_code(static_cast<uint32_t>(fits.code()));
    reply.set_message(std::string(fits.message()));
  }
  return SendMessage(socket, report);
}

bool AgentLink::WaitFor(int fd, absl::Duration bound) {
  pollfd fds[] = {{termination_fd_, POLLIN, 0}, {fd, POLLIN, 0}};
  const absl::StatusOr<int> ready = PollUntil(absl::MakeSpan(fds), SteadyTime::Now() + bound);
  if ((fds[0].revents & POLLIN) != 0) {
    told_to_end_ = true;
    return false;
  }
  return ready.ok() && *ready > 0;
}

}  // namespace sluice
