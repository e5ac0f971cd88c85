#include "dataplane/process/confinement.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <thread>

#include "dataplane/base/rcu.h"

namespace sluice {
namespace {

// Runs `body` confined, in a child process, and returns the child's exit status: the result of `body`, 100 if the
// confinement failed, 200 if a signal killed the child.
int Confined(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    const absl::Status status = Confine();
    if (!status.ok()) {
      fprintf(stderr, "%s\n", std::string(status.message()).c_str());
      _exit(100);
    }
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

int LoadProgram() {
  // r0 = 0; exit
  const bpf_insn program[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, nullptr, "GPL", program, 2, nullptr);
}

TEST(Confinement, LeavesNoCapability) {
  EXPECT_EQ(Confined([] {
              if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != -1) {
                return 1;  // the filter allows prctl only for naming threads
              }
              return errno == EPERM ? 0 : 2;
            }),
            0);
  EXPECT_EQ(Confined([] { return mkdir("/tmp/never", 0700) == -1 && errno == EPERM ? 0 : 1; }), 0);
}

TEST(Confinement, RefusesCallsThatAreNotOnTheList) {
  EXPECT_EQ(Confined([] { return socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM ? 0 : 1; }), 0);
  EXPECT_EQ(Confined([] { return fork() == -1 && errno == EPERM ? 0 : 1; }), 0);
  EXPECT_EQ(Confined([] { return execl("/bin/true", "true", nullptr) == -1 && errno == EPERM ? 0 : 1; }), 0);
}

TEST(Confinement, AllowsTheCallsThatTheDataplaneNeeds) {
  EXPECT_EQ(Confined([] { return socket(AF_UNIX, SOCK_SEQPACKET, 0) >= 0 ? 0 : 1; }), 0);
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer gives each thread a signal stack, a system call that is off the list";
#endif
  EXPECT_EQ(Confined([] {
              int answer = 1;
              std::thread([&] { answer = 0; }).join();
              return answer;
            }),
            0);
}

TEST(Confinement, AllowsWaitingForRcu) {
  const absl::StatusOr<RcuWaiter> rcu = RcuWaiter::Make();
  if (!rcu.ok()) {
    GTEST_SKIP() << "making maps needs root: " << rcu.status();
  }
  EXPECT_EQ(Confined([&] { return rcu->Wait().ok() ? 0 : 1; }), 0);
}

TEST(Confinement, AllowsMapElementsAndNoPrograms) {
  const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", 4, 4, 1, nullptr);
  if (map < 0) {
    GTEST_SKIP() << "making a map needs root: " << strerror(errno);
  }
  EXPECT_EQ(Confined([] { return LoadProgram() < 0 && errno == EPERM ? 0 : 1; }), 0);
  EXPECT_EQ(
      Confined([map] {
        const uint32_t key = 0;
        const uint32_t written = 42;
        uint32_t read = 0;
        if (bpf_map_update_elem(map, &key, &written, BPF_ANY) != 0 || bpf_map_lookup_elem(map, &key, &read) != 0) {
          return 1;
        }
        return read == written ? 0 : 2;
      }),
      0);
  EXPECT_EQ(Confined([] {
              return bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", 4, 4, 1, nullptr) < 0 && errno == EPERM ? 0 : 1;
            }),
            0);
  close(map);
}

}  // namespace
}  // namespace sluice
