#include "control/wire/stream_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "dataplane/base/clock.h"

namespace sluice {
namespace {

constexpr int kSoPassRights = 83;  // include/uapi/asm-generic/socket.h of Linux 6.16, inherited by each connection
constexpr size_t kReadBytes = size_t{64} << 10;
constexpr int64_t kNsPerByte = 1'000'000'000 / (int64_t{8} << 20);
constexpr int64_t kAcceptPauseNs = 100'000'000;
// Newcomers may come without end; those who are there have their turn in between.
constexpr int kAcceptsPerRound = 16;

int64_t Ns(absl::Duration duration) {
  return absl::ToInt64Nanoseconds(duration);
}

// Sends as much as there is room for, and forgets the rest.
void SendAtOnce(int socket, const std::string& bytes) {
  if (!bytes.empty()) {
    (void)send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

bool TryAgain() {
  return errno == EAGAIN || errno == EINTR;
}

}  // namespace

size_t StreamServer::ShareOfDescriptors(size_t most) {
  constexpr size_t kLeast = 4;
  constexpr size_t kSixteenth = 16;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return most;
  }
  return std::clamp(static_cast<size_t>(limit.rlim_cur) / kSixteenth, kLeast, most);
}

absl::StatusOr<std::unique_ptr<StreamServer>> StreamServer::Start(UniqueFd listener, Limits limits,
                                                                  Protocol& protocol) {
  const int off = 0;
  (void)setsockopt(listener.get(), SOL_SOCKET, kSoPassRights, &off, sizeof(off));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake || fcntl(listener.get(), F_SETFL, O_NONBLOCK) != 0) {
    return absl::InternalError(absl::StrCat("serving clients: ", strerror(errno)));
  }
  return std::unique_ptr<StreamServer>(new StreamServer(std::move(listener), std::move(wake), limits, protocol));
}

StreamServer::StreamServer(UniqueFd listener, UniqueFd wake, Limits limits, Protocol& protocol)
    : listener_(std::move(listener)), limits_(limits), protocol_(protocol), wake_(std::move(wake)), thread_([this] {
        Run();
      }) {}

StreamServer::~StreamServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  (void)eventfd_write(wake_.get(), 1);
  thread_.join();
}

void StreamServer::Answer(uint64_t id, std::string bytes) {
  {
    const std::lock_guard lock(mutex_);
    answers_.emplace_back(id, std::move(bytes));
  }
  (void)eventfd_write(wake_.get(), 1);
}

void StreamServer::Run() {
  std::vector<pollfd> fds;
  std::vector<uint64_t> ids;
  for (bool stopping = false; !stopping;) {
    const int64_t now_ns = MonotonicNs();
    fds = {{wake_.get(), POLLIN, 0}, {now_ns >= accept_at_ns_ ? listener_.get() : -1, POLLIN, 0}};
    ids.clear();
    for (const auto& [id, connection] : connections_) {
      fds.push_back({connection.fd.get(), EventsOf(connection), 0});
      ids.push_back(id);
    }
    (void)poll(fds.data(), fds.size(), PollTimeoutMs(now_ns));
    {
      const std::lock_guard lock(mutex_);
      stopping = stopping_;
    }
    TakeAnswers();
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto found = connections_.find(ids[i]);
      if (found != connections_.end() && fds[i + 2].revents != 0 && !Step(ids[i], found->second)) {
        Close(found);
      }
    }
    for (auto it = connections_.begin(); it != connections_.end();) {
      const auto connection = it++;
      if (connection->second.state != State::kWaiting && MonotonicNs() >= connection->second.deadline_ns &&
          !Expire(connection->second)) {
        Close(connection);
      }
    }
    if (fds[1].revents != 0 && !stopping) {
      Accept();
    }
  }
}

short StreamServer::EventsOf(const Connection& connection) const {
  switch (connection.state) {
    case State::kReading:
      return POLLIN;
    case State::kWaiting:
      return 0;  // a peer that hung up is reported all the same
    case State::kWriting:
      return POLLOUT;
    case State::kDiscarding:
      return connection.discarded_bytes < limits_.discarded_bytes ? POLLIN : 0;
  }
  return 0;
}

int StreamServer::PollTimeoutMs(int64_t now_ns) const {
  constexpr int64_t kNsPerMs = 1'000'000;
  constexpr int64_t kNever = INT64_MAX;
  int64_t next_ns = accept_at_ns_ > now_ns ? accept_at_ns_ : kNever;
  for (const auto& [id, connection] : connections_) {
    if (connection.state != State::kWaiting) {
      next_ns = std::min(next_ns, connection.deadline_ns);
    }
  }
  return next_ns == kNever ? -1 : static_cast<int>(std::max<int64_t>(0, next_ns - now_ns) / kNsPerMs + 1);
}

void StreamServer::TakeAnswers() {
  eventfd_t count = 0;
  (void)eventfd_read(wake_.get(), &count);
  std::vector<std::pair<uint64_t, std::string>> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  for (auto& [id, bytes] : answers) {
    const auto found = connections_.find(id);
    if (found != connections_.end() && !Reply(found->second, std::move(bytes))) {
      Close(found);
    }
  }
}

void StreamServer::Accept() {
  for (int n = 0; n < kAcceptsPerRound; ++n) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        accept_at_ns_ = MonotonicNs() + kAcceptPauseNs;
      }
      return;
    }
    Guest guest = protocol_.Admit(fd.get());
    if (guest.refusal.has_value()) {
      SendAtOnce(fd.get(), *guest.refusal);
      continue;
    }
    if (!FindPlace(guest)) {
      SendAtOnce(fd.get(), protocol_.Farewell(Reason::kFull));
      continue;
    }
    const uint64_t id = next_id_++;
    const auto place = connections_.emplace(id, Connection()).first;
    Connection& connection = place->second;
    connection.fd = std::move(fd);
    connection.guest = std::move(guest);
    connection.accepted_ns = MonotonicNs();
    connection.deadline_ns = connection.accepted_ns + Ns(limits_.to_ask);
    // Most have asked already: so no later newcomer takes their place.
    if (!Step(id, connection)) {
      Close(place);
    }
  }
}

bool StreamServer::FindPlace(const Guest& guest) {
  size_t of_this_peer = 0;
  for (const auto& [id, connection] : connections_) {
    of_this_peer += connection.guest.peer == guest.peer ? 1 : 0;
  }
  if (of_this_peer >= limits_.of_one_peer) {
    return Evict(guest.peer);
  }
  return connections_.size() < limits_.connections || Evict(std::nullopt);
}

bool StreamServer::Evict(std::optional<uint64_t> peer) {
  const auto has_asked = [](const Connection& connection) {
    return connection.state == State::kWaiting || connection.state == State::kWriting;
  };
  if (!peer.has_value()) {
    std::map<uint64_t, size_t> idle;  // connections of each peer that have not asked
    for (const auto& [id, connection] : connections_) {
      idle[connection.guest.peer] += has_asked(connection) ? 0 : 1;
    }
    peer = std::max_element(idle.begin(), idle.end(), [](const auto& a, const auto& b) {
             return a.second < b.second;
           })->first;
  }
  const auto oldest = std::find_if(connections_.begin(), connections_.end(), [&](const auto& entry) {
    return entry.second.guest.peer == *peer && !has_asked(entry.second);
  });
  if (oldest == connections_.end()) {
    return false;
  }
  if (oldest->second.state == State::kReading) {
    SendAtOnce(oldest->second.fd.get(), protocol_.Farewell(Reason::kFull));
  }
  Close(oldest);
  return true;
}

bool StreamServer::Step(uint64_t id, Connection& connection) {
  switch (connection.state) {
    case State::kReading:
      return Read(id, connection);
    case State::kWaiting:
      return false;  // nothing but a hang-up is waited for
    case State::kWriting:
      return Write(connection);
    case State::kDiscarding:
      return Discard(connection);
  }
  return false;
}

bool StreamServer::Read(uint64_t id, Connection& connection) {
  // The look at nothing tells how many bytes may come.
  while (true) {
    Progress progress = protocol_.Look(connection.guest, connection.in);
    if (progress.state == Progress::State::kRefused) {
      return Reply(connection, std::move(progress.refusal));
    }
    if (progress.state == Progress::State::kComplete) {
      connection.state = State::kWaiting;
      protocol_.Take(id, connection.guest, std::move(connection.in));
      connection.in.clear();
      return true;
    }
    connection.total_bytes = progress.total_bytes;
    connection.deadline_ns =
        connection.accepted_ns + Ns(limits_.to_ask) + static_cast<int64_t>(progress.total_bytes) * kNsPerByte;
    if (ReservedBytes() > limits_.request_bytes) {
      return Reply(connection, protocol_.Farewell(Reason::kNoMemory));
    }
    const size_t had = connection.in.size();
    const size_t wanted = std::min(kReadBytes, progress.total_bytes - had);
    connection.in.resize(had + wanted);
    const ssize_t n = recv(connection.fd.get(), connection.in.data() + had, wanted, MSG_DONTWAIT);
    connection.in.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n <= 0) {
      return n < 0 && TryAgain();
    }
  }
}

bool StreamServer::Reply(Connection& connection, std::string bytes) {
  connection.in = {};
  connection.total_bytes = 0;
  connection.out = std::move(bytes);
  connection.state = State::kWriting;
  connection.deadline_ns = MonotonicNs() + Ns(limits_.to_take);
  return Write(connection);
}

bool StreamServer::Write(Connection& connection) {
  while (connection.sent_bytes < connection.out.size()) {
    const ssize_t n = send(connection.fd.get(), connection.out.data() + connection.sent_bytes,
                           connection.out.size() - connection.sent_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      return TryAgain();
    }
    connection.sent_bytes += static_cast<size_t>(n);
  }
  if (limits_.discarded_bytes == 0 || shutdown(connection.fd.get(), SHUT_WR) != 0) {
    return false;
  }
  connection.out = {};
  connection.state = State::kDiscarding;
  connection.deadline_ns = MonotonicNs() + Ns(limits_.to_take);
  return Discard(connection);
}

bool StreamServer::Discard(Connection& connection) const {
  if (connection.discarded_bytes >= limits_.discarded_bytes) {
    return false;  // it hung up
  }
  char bytes[kReadBytes];
  while (connection.discarded_bytes < limits_.discarded_bytes) {
    const ssize_t n = recv(connection.fd.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n <= 0) {
      return n < 0 && TryAgain();
    }
    connection.discarded_bytes += static_cast<size_t>(n);
  }
  // The window fills up, and the peer finds the answer when it cannot send on.
  return true;
}

bool StreamServer::Expire(Connection& connection) {
  return connection.state == State::kReading && Reply(connection, protocol_.Farewell(Reason::kSlow));
}

void StreamServer::Close(Connections::iterator connection) {
  if (connection->second.state == State::kWaiting) {
    protocol_.Gone(connection->first);
  }
  connections_.erase(connection);
}

size_t StreamServer::ReservedBytes() const {
  size_t bytes = 0;
  for (const auto& [id, connection] : connections_) {
    bytes += connection.total_bytes;
  }
  return bytes;
}

}  // namespace sluice
