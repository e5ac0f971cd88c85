#include "tests/kernel/netns_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

constexpr char kBpffs[] = "/sys/fs/bpf";

std::string Failed(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

// Gives this process its own mount namespace, bpffs and /run. Returns "", or the problem.
std::string PrivateMounts() {
  static const std::string kProblem = []() -> std::string {
    if (unshare(CLONE_NEWNS) != 0) {
      return Failed("unshare(CLONE_NEWNS)");
    }
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return Failed("making mounts private");
    }
    // xdp-loader locks a file in /run, and fails if another test's xdp-loader has the lock.
    if (mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0) {
      return Failed("mounting a /run");
    }
    return mount("bpf", kBpffs, "bpf", 0, "mode=0700") == 0 ? "" : Failed("mounting a bpf filesystem");
  }();
  return kProblem;
}

std::string FreshNetwork() {
  const UniqueFd bpffs(open_tree(AT_FDCWD, kBpffs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!bpffs) {
    return Failed("open_tree");
  }
  if (unshare(CLONE_NEWNET) != 0) {
    return Failed("unshare(CLONE_NEWNET)");
  }
  if (mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) {
    return Failed("mounting /sys");
  }
  return move_mount(bpffs.get(), "", AT_FDCWD, kBpffs, MOVE_MOUNT_F_EMPTY_PATH) == 0 ? "" : Failed("move_mount");
}

}  // namespace

void NetnsTest::SetUp() {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root: makes network namespaces and loads BPF programs";
  }
  std::string problem = PrivateMounts();
  if (problem.empty()) {
    problem = FreshNetwork();
  }
  if (!problem.empty()) {
    GTEST_SKIP() << "no network namespace here: " << problem;
  }
  Shell("ip link set lo up");
  std::filesystem::create_directory(std::string(kBpffs) + "/sluice");
  pin_dir_ = std::string(kBpffs) + "/sluice/" + testing::UnitTest::GetInstance()->current_test_info()->name();
}

void NetnsTest::TearDown() {
  std::error_code error;
  std::filesystem::remove_all(std::string(kBpffs) + "/sluice", error);
}

std::string Output(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  if (pipe == nullptr) {
    return "";
  }
  std::string output;
  std::array<char, 4096> chunk;
  while (const size_t n = fread(chunk.data(), 1, chunk.size(), pipe)) {
    output.append(chunk.data(), n);
  }
  const int status = pclose(pipe);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << "\n" << output;
  return output;
}

void Shell(const std::string& command) {
  Output(command);
}

void NetnsTest::MakePort(const std::string& port, const std::string& wire, int queues) {
  const std::string count = std::to_string(queues);
  const std::string size = " numtxqueues " + count + " numrxqueues " + count;
  Shell("ip link add " + port + size + " type veth peer name " + wire + size);
  for (const std::string& end : {port, wire}) {
    Shell("ip link set " + end + " addrgenmode none");  // no frames of the stack's own between the test's
    Shell("ip link set " + end + " up");
  }
}

void NetnsTest::LoadByXdpLoader(const std::string& netdev, const std::string& pin_dir) {
  std::filesystem::create_directories(pin_dir);
  Shell("xdp-loader load -m native -p " + pin_dir + " " + netdev + " " + SteerObject());
}

std::string ObjectDir() {
  const char* elsewhere = getenv("SLUICE_BPF_OBJECT_DIR");  // in a guest there is no build folder
  return elsewhere != nullptr ? elsewhere : SLUICE_BPF_OBJECT_DIR;
}
std::string SteerObject() {
  return ObjectDir() + "/sluice_steer.bpf.o";
}

}  // namespace sluice
