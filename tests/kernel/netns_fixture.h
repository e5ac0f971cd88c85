// A fresh network namespace for each test, with its own /sys and an empty bpf filesystem, so that nothing
// a test does reaches the host or another test:
//
//   process: private mount namespace, one bpffs (libxdp remembers its folders for a process), an empty /run
//   test:    new network namespace, /sys mounted anew (it shows the netdevs of the namespace that mounts it)
//
// The kernel takes everything away with the process. Tests are skipped, with the reason, without privileges.
#ifndef SLUICE_TESTS_KERNEL_NETNS_FIXTURE_H_
#define SLUICE_TESTS_KERNEL_NETNS_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>

namespace sluice {

// Runs a shell command; the test fails when it does.
void Shell(const std::string& command);
// The same, giving what it printed.
std::string Output(const std::string& command);

class NetnsTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A veth pair `port` <-> `wire`, both up, with this many queues each way.
  static void MakePort(const std::string& port, const std::string& wire, int queues);

  // sluice_steer by the tool users have, its maps pinned in `pin_dir`.
  static void LoadByXdpLoader(const std::string& netdev, const std::string& pin_dir);

  // Where this test pins maps.
  std::string pin_dir_;
};

// Folder of the compiled BPF objects.
std::string ObjectDir();
std::string SteerObject();

}  // namespace sluice

#endif  // SLUICE_TESTS_KERNEL_NETNS_FIXTURE_H_
