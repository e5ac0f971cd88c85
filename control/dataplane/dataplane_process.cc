#include "control/dataplane/dataplane_process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice {

UserIds DataplaneUser(const std::string& name) {
  if (const passwd* user = getpwnam(name.c_str()); user != nullptr) {
    return {user->pw_uid, user->pw_gid};
  }
  constexpr UserIds kNobody{65534, 65534};
  return kNobody;
}

absl::StatusOr<pid_t> ForkingLauncher::Launch() {
  // The child writes errno into the pipe when it fails before exec; exec itself closes it.
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
  }
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) {
    return absl::InternalError(absl::StrCat("fork: ", strerror(errno)));
  }
  if (pid == 0) {
    // Only async-signal-safe calls from here on. The dataplane gets none of the descriptors that other threads may have
    // opened (the metrics server accepts connections).
    (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    if (setsid() >= 0 && setgroups(0, nullptr) == 0 && setresgid(user_.gid, user_.gid, user_.gid) == 0 &&
        setresuid(user_.uid, user_.uid, user_.uid) == 0) {
      execl(binary_.c_str(), binary_.c_str(), "--socket", socket_path_.c_str(), static_cast<char*>(nullptr));
    }
    const int error = errno;
    (void)!write(writer.get(), &error, sizeof(error));
    _exit(127);
  }
  writer.Reset();
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
  return waitpid(child, nullptr, WNOHANG) == child;
}

void ForkingLauncher::End(pid_t child, bool kill) {
  if (kill) {
    (void)::kill(child, SIGKILL);
  }
  (void)waitpid(child, nullptr, 0);
}

UniqueFd WatchProcess(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace sluice
