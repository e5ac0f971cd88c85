// A fresh network namespace for each test, with its own /sys and an empty bpf filesystem, so that a test affects
// neither the host nor another test:
//
//   process: private mount namespace, one bpffs (libxdp remembers its folders for a process), an empty /run
//   test:    new network namespace, a new mount of /sys (it shows the netdevs of the namespace that mounts it)
//
// The kernel removes all of it when the process ends. Without privileges tests are skipped, and say why.
#ifndef SLUICE_TESTS_KERNEL_NETNS_FIXTURE_H_
#define SLUICE_TESTS_KERNEL_NETNS_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>

namespace sluice {

// Runs a shell command. The test fails if the command fails.
void Shell(const std::string& command);
// Runs a shell command like Shell and returns its output.
std::string Output(const std::string& command);

class NetnsTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Makes a veth pair `port` <-> `wire`, both up, with `queues` queues in each direction.
  static void MakePort(const std::string& port, const std::string& wire, int queues);

  // Attaches sluice_steer with xdp-loader, as a user may, and pins its maps in `pin_dir`.
  static void LoadByXdpLoader(const std::string& netdev, const std::string& pin_dir);

  // The folder in which this test pins maps.
  std::string pin_dir_;
};

// The folder of the compiled BPF objects.
std::string ObjectDir();
std::string SteerObject();

}  // namespace sluice

#endif  // SLUICE_TESTS_KERNEL_NETNS_FIXTURE_H_
