#include "control/dataplane/dataplane_process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/thread_state.h"

namespace sluice {

absl::StatusOr<UserIds> DataplaneUser(const std::string& name) {
  constexpr uid_t kNobody = 65534;
  UserIds ids;
  if (const passwd* user = getpwnam(name.c_str()); user != nullptr) {
    ids = {user->pw_uid, user->pw_gid};
  } else if (uid_t number = 0; absl::SimpleAtoi(name, &number) && number != static_cast<uid_t>(-1)) {
    ids = {number, number};
  } else {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no user ", name, ", as which the dataplane is to run; make it: useradd --system ",
                     "--user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ", name));
  }
  if (ids.uid == 0 || ids.gid == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the dataplane cannot run as ", name, ", since it must have no rights; name another --user"));
  }
  if (ids.uid == kNobody) {
    return absl::InvalidArgumentError(absl::StrCat("the dataplane cannot run as ", name,
                                                   ": other programs run as this user, too, and each of them ",
                                                   "could kill it or take its place; name a --user of its own"));
  }
  return ids;
}

absl::StatusOr<pid_t> ForkingLauncher::Launch(absl::FunctionRef<void(pid_t)> born) {
  // The child writes errno into the pipe when it fails before exec; exec itself closes it. It waits for a byte on the
  // other one, which it does not get from a parent that has died.
  int ends[2], go_ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
  }
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  if (pipe2(go_ends, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
  }
  UniqueFd go_reader(go_ends[0]);
  UniqueFd go_writer(go_ends[1]);
  const pid_t pid = fork();
  if (pid < 0) {
    return absl::InternalError(absl::StrCat("fork: ", strerror(errno)));
  }
  if (pid == 0) {
    // Only async-signal-safe calls from here on. The dataplane gets none of the descriptors that other threads may have
    // opened (the metrics server accepts connections).
    (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    char go = 0;
    (void)close(go_writer.get());
    if (read(go_reader.get(), &go, sizeof(go)) != sizeof(go)) {
      _exit(0);
    }
    if (setsid() >= 0 && setgroups(0, nullptr) == 0 && setresgid(user_.gid, user_.gid, user_.gid) == 0 &&
        setresuid(user_.uid, user_.uid, user_.uid) == 0) {
      execl(binary_.c_str(), binary_.c_str(), "--socket", socket_path_.c_str(), static_cast<char*>(nullptr));
    }
    const int error = errno;
    (void)!write(writer.get(), &error, sizeof(error));
    _exit(127);
  }
  writer.Reset();
  born(pid);
  (void)!write(go_writer.get(), "", 1);
  int error = 0;
  ssize_t got;
  do {
    got = read(reader.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof(error))) {
    (void)waitpid(pid, nullptr, 0);
    return absl::FailedPreconditionError(
        absl::StrCat("cannot start ", binary_, " as uid ", user_.uid, ": ", strerror(error)));
  }
  return pid;
}

bool ForkingLauncher::HasEnded(pid_t child) {
  std::erase_if(traced_, [](pid_t one) { return waitpid(one, nullptr, WNOHANG) != 0; });
  if (waitpid(child, nullptr, WNOHANG) == child) {
    return true;
  }
  if (!EveryThreadHasEnded(child)) {
    return false;
  }
  traced_.push_back(child);
  return true;
}

void ForkingLauncher::Kill(pid_t child) {
  (void)::kill(child, SIGKILL);
}

void ForkingLauncher::End(pid_t child, bool kill) {
  if (kill) {
    Kill(child);
  }
  constexpr absl::Duration kLook = absl::Milliseconds(1);
  while (!HasEnded(child)) {
    absl::SleepFor(kLook);
  }
}

UniqueFd WatchProcess(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

UniqueFd WatchProcessOf(pid_t pid, uid_t uid) {
  UniqueFd process = WatchProcess(pid);
  // After the descriptor: from here on the number is this process's, or the process has ended.
  struct stat owner {};
  const bool is_anothers = stat(absl::StrCat("/proc/", pid).c_str(), &owner) == 0 && owner.st_uid != uid;
  return is_anothers ? UniqueFd() : std::move(process);
}

}  // namespace sluice
