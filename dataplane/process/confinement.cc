#include "dataplane/process/confinement.h"

#include <cap-ng.h>
#include <linux/bpf.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Allowed with any arguments.
constexpr int kAllowed[] = {
    // Descriptors and the connection to the agent.
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fcntl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(connect),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(getsockopt),
    SCMP_SYS(eventfd2),
    SCMP_SYS(signalfd4),
    // Memory.
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    // Threads and their cores.
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // Time.
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    // Signals, and death by one.
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill),
    SCMP_SYS(restart_syscall),
    // Hash seeds of the libraries; a function's secret.
    SCMP_SYS(getrandom),
};

constexpr bpf_cmd kAllowedBpf[] = {BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM};

absl::Status AddRules(scmp_filter_ctx filter) {
  int error = 0;
  auto allow = [&](int call, auto... arguments) {
    const int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, sizeof...(arguments), arguments...);
    if (result != 0 && error == 0) {
      error = result;
    }
  };
  for (const int call : kAllowed) {
    allow(call);
  }
  for (const bpf_cmd command : kAllowedBpf) {
    allow(SCMP_SYS(bpf), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command)));
  }
  allow(SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
  allow(SCMP_SYS(setsockopt), SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET));
  allow(SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow(SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
  allow(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  if (error == 0) {
    // Its flags are in memory, where a filter cannot see them. On ENOSYS libc falls back to clone.
    error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  }
  return error == 0 ? absl::OkStatus()
                    : absl::InternalError(absl::StrCat("building the system call filter: ", strerror(-error)));
}

}  // namespace

absl::Status DropCapabilities() {
  // Dropping from the bounding set takes CAP_SETPCAP, which the process rarely has; libcap-ng would complain about
  // that. no_new_privs makes up for it, so a failure here does not matter.
  if (capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 1) {
    capng_clear(CAPNG_SELECT_BOTH);
    [[maybe_unused]] const int ignored = capng_apply(CAPNG_SELECT_BOUNDS);
  }
  capng_clear(CAPNG_SELECT_BOTH);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
    return absl::InternalError("the capabilities cannot be dropped");
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return absl::InternalError(absl::StrCat("clearing ambient capabilities: ", strerror(errno)));
  }
  if (capng_get_caps_process() != 0 || capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE) {
    return absl::InternalError("capabilities are left after dropping them");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return absl::InternalError(absl::StrCat("no_new_privs: ", strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status RestrictSystemCalls() {
  tzset();  // reads the time zone's file: the filter would refuse that when the first line is logged
  const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), &seccomp_release);
  if (filter == nullptr) {
    return absl::ResourceExhaustedError("no memory for the system call filter");
  }
  if (absl::Status status = AddRules(filter.get()); !status.ok()) {
    return status;
  }
  if (const int error = seccomp_load(filter.get()); error != 0) {
    return absl::InternalError(absl::StrCat("loading the system call filter: ", strerror(-error)));
  }
  return absl::OkStatus();
}

absl::Status Confine() {
  absl::Status status = DropCapabilities();
  return status.ok() ? RestrictSystemCalls() : status;
}

}  // namespace sluice
