#include "control/kernel/netdev_lock.h"

#include <net/if.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/kernel_error.h"
#include "control/kernel/process_name.h"

namespace sluice {
namespace {

constexpr uint32_t kNames = 8;

struct Name {
  sockaddr_un address{};
  socklen_t bytes = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

Name NameOf(uint32_t ifindex, uint32_t number) {
  const std::string text = absl::StrCat("sluice/netdev/", ifindex, "/", number);
  Name name;
  name.address.sun_family = AF_UNIX;
  text.copy(name.address.sun_path + 1, sizeof(name.address.sun_path) - 1);
  name.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  return name;
}

UniqueFd MakeSocket() {
  return UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// Returns the process that listens on the name; nullopt: none does.
std::optional<ucred> HolderOf(const Name& name) {
  const UniqueFd probe = MakeSocket();
  ucred holder{};
  socklen_t size = sizeof(holder);
  if (connect(probe.get(), name.get(), name.bytes) != 0) {
    // Its queue is full. Only its owner could tell whose it is, and that is most likely an agent.
    return errno == EAGAIN ? std::optional<ucred>({0, geteuid(), 0}) : std::nullopt;
  }
  return getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &holder, &size) == 0 ? std::optional(holder) : std::nullopt;
}

// As HolderOf, and waits a moment for a process that has bound the name and does not listen yet.
std::optional<ucred> HolderOfBound(const Name& name) {
  constexpr int kTries = 50;
  std::optional<ucred> holder = HolderOf(name);
  for (int i = 0; i < kTries && !holder.has_value(); ++i) {
    absl::SleepFor(absl::Milliseconds(2));
    holder = HolderOf(name);
  }
  return holder;
}

absl::Status TakenBy(const std::string& netdev, pid_t owner) {
  return owner == getpid()
             ? absl::InvalidArgumentError(absl::StrCat(netdev, " is the device of two ports, by two of its names"))
             : absl::AlreadyExistsError(absl::StrCat("another sluice-agent has ", netdev, ": ", ProcessName(owner),
                                                     "; stop it, or give this one another device"));
}

// FailedPrecondition: another user's process has the name, or had it just now.
absl::StatusOr<UniqueFd> TakeName(const std::string& netdev, const Name& name) {
  UniqueFd socket = MakeSocket();
  if (!socket) {
    return KernelError(errno, absl::StrCat("making the lock of ", netdev));
  }
  if (bind(socket.get(), name.get(), name.bytes) == 0) {
    if (listen(socket.get(), SOMAXCONN) != 0) {
      return KernelError(errno, absl::StrCat("taking the lock of ", netdev));
    }
    return socket;
  }
  if (errno != EADDRINUSE) {
    return KernelError(errno, absl::StrCat("taking the lock of ", netdev));
  }
  const std::optional<ucred> holder = HolderOfBound(name);
  if (holder.has_value() && holder->uid == geteuid()) {
    return TakenBy(netdev, holder->pid);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the lock of ", netdev, " is held by ",
                   holder.has_value() ? absl::StrCat(ProcessName(holder->pid), " of uid ", holder->uid)
                                      : std::string("a process that does not listen (ss -xlp shows it)"),
                   ", which is no agent; end it"));
}

}  // namespace

absl::StatusOr<NetdevLock> NetdevLock::Take(const std::string& netdev) {
  const uint32_t ifindex = if_nametoindex(netdev.c_str());
  if (ifindex == 0) {
    return KernelError(errno, absl::StrCat("looking up netdev ", netdev));
  }
  absl::StatusOr<UniqueFd> taken = absl::FailedPreconditionError("");
  uint32_t number = 0;
  while (absl::IsFailedPrecondition(taken.status()) && number < kNames) {
    taken = TakeName(netdev, NameOf(ifindex, number++));
  }
  if (!taken.ok()) {
    return taken.status();
  }
  // An agent may have one of the others, from the time when this one was another user's, or the other way round.
  for (uint32_t other = 0; other < kNames; ++other) {
    const std::optional<ucred> holder = other + 1 == number ? std::nullopt : HolderOf(NameOf(ifindex, other));
    if (holder.has_value() && holder->uid == geteuid()) {
      return TakenBy(netdev, holder->pid);
    }
  }
  return NetdevLock(*std::move(taken));
}

}  // namespace sluice
