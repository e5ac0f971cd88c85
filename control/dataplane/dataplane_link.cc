#include "control/dataplane/dataplane_link.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "control/dataplane/dataplane_process.h"
#include "control/dataplane/plain_text.h"
#include "control/dataplane/watchdog.h"
#include "control/kernel/thread_state.h"
#include "control/wire/unix_socket.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/poll_until.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/contract/fd_channel.h"
#include "dataplane/contract/stats_segment.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Silent ones of the dataplane's user; the rest wait in the listener's queue.
constexpr size_t kMaxGreeters = 8;
constexpr size_t kMaxReasonBytes = 2000;

// Waits for the answer to a call.
absl::Status WaitForAnswer(int fd, SteadyTime deadline, DataplaneConnection::StillWorks still_works) {
  constexpr absl::Duration kAskEvery = absl::Milliseconds(Watchdog::kLookEveryMs);
  while (true) {
    absl::Status s = WaitReadable(fd, std::min(deadline, SteadyTime::Now() + kAskEvery), "answer from the dataplane");
    if (!absl::IsDeadlineExceeded(s) || SteadyTime::Now() >= deadline) {
      return s;
    }
    if (const absl::Status works = still_works(); !works.ok()) {
      return absl::DeadlineExceededError(works.message());
    }
  }
}

// SIGKILL through the pidfd meets no other process. Returns when its sockets and threads are gone, which they must be
// before a successor works on the same rings; or after a bound.
void Kill(int pidfd, pid_t pid) {
  constexpr absl::Duration kDeathBound = absl::Seconds(5);
  constexpr absl::Duration kLook = absl::Milliseconds(20);
  (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
  const SteadyTime bound = SteadyTime::Now() + kDeathBound;
  while (SteadyTime::Now() < bound && !WaitReadable(pidfd, SteadyTime::Now() + kLook, "end").ok() &&
         !EveryThreadHasEnded(pid)) {
  }
}

bool IsStopped(pid_t pid) {
  const std::vector<pid_t> threads = ThreadsOf(pid);
  return std::any_of(threads.begin(), threads.end(), [pid](pid_t thread) {
    const std::optional<ThreadState> state = ReadThreadState(pid, thread);
    return state.has_value() && state->stopped();
  });
}

// Returns what a reply says. A dataplane that answered is there, so none of the codes by which Call() says that the
// link is broken may come from it: its caller would end the process.
absl::Status ErrorOf(const dataplane::Reply& reply) {
  const absl::Status s(static_cast<absl::StatusCode>(reply.code()), PlainText(reply.message(), kMaxReasonBytes));
  return SaysLinkIsBroken(s) ? absl::InternalError(s.message()) : s;
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
  link.ready_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  if (fcntl(listener->get(), F_SETFL, O_NONBLOCK) != 0 ||
      epoll_ctl(link.ready_.get(), EPOLL_CTL_ADD, listener->get(), &event) != 0) {
    return absl::InternalError(absl::StrCat("waiting on ", path, ": ", strerror(errno)));
  }
  link.listener_ = *std::move(listener);
  link.uid_ = uid;
  return link;
}

absl::Status DataplaneLink::AcceptOne() {
  UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) {
    return errno == EAGAIN || errno == ECONNABORTED ? absl::OkStatus()
                                                    : absl::InternalError(absl::StrCat("accept: ", strerror(errno)));
  }
  const absl::StatusOr<ucred> peer = PeerOf(connection.get());
  if (!peer.ok()) {
    return peer.status();
  }
  if (peer->uid != uid_) {
    return absl::PermissionDeniedError(
        absl::StrCat("process ", peer->pid, " of uid ", peer->uid, " is not the dataplane's user ", uid_));
  }
  if (connected()) {
    return absl::AlreadyExistsError(absl::StrCat("process ", peer->pid, " wants to be a second dataplane while ", pid_,
                                                 " is connected; it was sent away"));
  }
  if (greeters_.size() == kMaxGreeters) {
    greeters_.pop_front();
  }
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(ready_.get(), EPOLL_CTL_ADD, connection.get(), &event) != 0) {
    return absl::InternalError(absl::StrCat("epoll_ctl: ", strerror(errno)));
  }
  greeters_.push_back({std::move(connection),
                       peer->pid,
                       WatchProcessOf(peer->pid, uid_),
                       MonotonicNs() + absl::ToInt64Nanoseconds(kGreetingBound),
                       {}});
  return absl::OkStatus();
}

// Returns true when its greeting is complete, false when more is to come.
absl::StatusOr<bool> DataplaneLink::ReadFrom(Greeter& greeter) const {
  // Not longer than a greeting is: the next turn goes on.
  for (uint32_t i = 0; i <= kMaxLanes; ++i) {
    pollfd readable{greeter.connection.get(), POLLIN, 0};
    if (poll(&readable, 1, 0) == 0) {
      break;
    }
    dataplane::Report report;
    absl::StatusOr<std::vector<UniqueFd>> fds = ReceiveMessage(greeter.connection.get(), report);
    if (!fds.ok()) {
      return fds.status();
    }
    absl::StatusOr<bool> complete = greeter.greeting.Take(report, *std::move(fds));
    if (!complete.ok() || *complete) {
      return complete;
    }
  }
  if (MonotonicNs() >= greeter.deadline_ns) {
    return absl::DeadlineExceededError(absl::StrCat("the dataplane (pid ", greeter.pid, ") does not greet"));
  }
  return false;
}

absl::StatusOr<std::optional<Greeting>> DataplaneLink::TakeIn() {
  refused_.Reset();
  pollfd connecting{listener_.get(), POLLIN, 0};
  while (poll(&connecting, 1, 0) > 0) {
    if (absl::Status s = AcceptOne(); !s.ok()) {
      return s;
    }
  }
  for (auto greeter = greeters_.begin(); greeter != greeters_.end();) {
    const absl::StatusOr<bool> complete = ReadFrom(*greeter);
    if (complete.ok() && !*complete) {
      ++greeter;
      continue;
    }
    Greeter one = std::move(*greeter);
    greeters_.erase(greeter);
    if (!complete.ok()) {
      if (!absl::IsUnavailable(complete.status())) {
        refused_ = std::move(one.process);
        refused_pid_ = one.pid;
      }
      return absl::Status(complete.status().code(), absl::StrCat(complete.status().message(), " (pid ", one.pid, ")"));
    }
    (void)epoll_ctl(ready_.get(), EPOLL_CTL_DEL, one.connection.get(), nullptr);
    greeters_.clear();  // it is the dataplane; the others connect again, and learn that there is one
    pid_ = one.pid;
    pidfd_ = std::move(one.process);
    connection_ = std::move(one.connection);
    return std::optional<Greeting>(one.greeting.Finish());
  }
  return std::optional<Greeting>();
}

absl::StatusOr<Greeting> DataplaneLink::Accept(SteadyTime deadline) {
  constexpr absl::Duration kLook = absl::Milliseconds(100);  // for greeters whose time is over
  while (true) {
    absl::StatusOr<std::optional<Greeting>> greeting = TakeIn();
    if (!greeting.ok()) {
      return greeting.status();
    }
    if (greeting->has_value()) {
      return *std::move(*greeting);
    }
    if (SteadyTime::Now() >= deadline) {
      return absl::DeadlineExceededError("no dataplane connected in time");
    }
    WaitReadable(ready_.get(), std::min(deadline, SteadyTime::Now() + kLook), "dataplane").IgnoreError();
  }
}

absl::StatusOr<std::optional<Greeting>> DataplaneLink::AcceptSurvivor(const Survivor& survivor,
                                                                      absl::FunctionRef<bool()> may_live,
                                                                      absl::Duration bound) {
  constexpr absl::Duration kLook = absl::Milliseconds(Watchdog::kLookEveryMs);
  constexpr int kStoppedLooks = Watchdog::kBoundNs / (1'000'000 * Watchdog::kLookEveryMs);
  const UniqueFd process = Watch(survivor);
  const auto lives = [&] {
    return process && absl::IsDeadlineExceeded(WaitReadable(process.get(), SteadyTime::Now(), "end"));
  };
  int stopped = 0;
  // As many looks as fit into `bound`: a pause of the machine does not count.
  for (absl::Duration waited; waited < bound && stopped < kStoppedLooks; waited += kLook) {
    if (!lives() && !may_live()) {
      return std::optional<Greeting>();
    }
    stopped = lives() && IsStopped(survivor.pid) ? stopped + 1 : 0;
    if (stopped > 0) {
      absl::SleepFor(kLook);  // it may have connected before it was stopped
      continue;
    }
    absl::StatusOr<Greeting> greeting = Accept(SteadyTime::Now() + kLook);
    if (greeting.ok()) {
      return greeting->hello.configured() ? std::optional<Greeting>(*std::move(greeting)) : std::optional<Greeting>();
    }
    if (absl::IsInternal(greeting.status())) {
      return greeting.status();
    }
    if (refused_ || !absl::IsDeadlineExceeded(greeting.status())) {
      spdlog::error("{}", std::string(greeting.status().message()));
      EndRefused();
    }
  }
  if (lives() && survivor.started != 0) {
    spdlog::error("the dataplane of an earlier agent (pid {}) {}; it is killed", survivor.pid,
                  stopped > 0 ? "is stopped" : "does not come back");
    Kill(process.get(), survivor.pid);
  }
  return std::optional<Greeting>();
}

// Returns an empty descriptor when it has ended.
UniqueFd DataplaneLink::Watch(const Survivor& survivor) const {
  UniqueFd process = survivor.pid > 0 ? WatchProcessOf(survivor.pid, uid_) : UniqueFd();
  // Read behind the pidfd's opening: if this is the survivor, the pidfd is its own.
  const std::optional<ThreadState> found = ReadThreadState(survivor.pid, survivor.pid);
  const bool is_another = !found.has_value() || (survivor.started != 0 && survivor.started != found->started);
  return is_another ? UniqueFd() : std::move(process);
}

void DataplaneLink::EndSurvivor(const Survivor& survivor) {
  if (const UniqueFd process = Watch(survivor); process && survivor.started != 0) {
    Kill(process.get(), survivor.pid);
  }
}

void DataplaneLink::EndRefused() {
  if (refused_) {
    Kill(refused_.get(), refused_pid_);
    refused_.Reset();
  }
}

absl::Status DataplaneLink::Call(dataplane::Request request, absl::Span<const int> fds, SteadyTime deadline,
                                 StillWorks still_works, dataplane::Reply& reply) {
  if (!connection_) {
    return absl::UnavailableError("no dataplane is connected");
  }
  request.set_id(next_id_++);
  if (absl::Status s = SendMessage(connection_.get(), request, fds); !s.ok()) {
    return s;
  }
  if (absl::Status s = WaitForAnswer(connection_.get(), deadline, still_works); !s.ok()) {
    return s;
  }
  dataplane::Report report;
  absl::StatusOr<std::vector<UniqueFd>> extra = ReceiveMessage(connection_.get(), report);
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
  if (pidfd_ && !WaitReadable(pidfd_.get(), SteadyTime::Now() + grace, "end").ok()) {
    Kill(pidfd_.get(), pid_);
  }
  connection_.Reset();
  pidfd_.Reset();
  pid_ = 0;
}

}  // namespace sluice
