// Reads the facts of the machine that the tests run on, and checks that they are consistent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "control/doctor/doctor.h"

namespace sluice {
namespace {

TEST(FactsTest, Machine) {
  const absl::StatusOr<MachineFacts> machine = CollectMachineFacts();
  ASSERT_TRUE(machine.ok()) << machine.status();
  EXPECT_THAT(machine->kernel_release, testing::MatchesRegex("[0-9]+\\.[0-9]+.*"));
  EXPECT_EQ(machine->online_cpus, sysconf(_SC_NPROCESSORS_ONLN));
  EXPECT_GE(machine->possible_cpus, machine->online_cpus);
}

TEST(FactsTest, Loopback) {
  const absl::StatusOr<PortFacts> port = CollectPortFacts({"p", "lo", 2, 4096, 7});
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_EQ(port->name, "p");
  EXPECT_EQ(port->netdev, "lo");
  EXPECT_EQ(port->queue_pairs_wanted, 2u);
  EXPECT_EQ(port->frame_size_bytes, 4096u) << "as the agent says, whatever the MTU";
  EXPECT_EQ(port->dropped_in_xdp, 7u);
  EXPECT_TRUE(port->up && port->carrier);
  EXPECT_GT(port->mtu_bytes, 0u);
  EXPECT_FALSE(port->virtio.has_value());
  EXPECT_FALSE(port->has_rss);
}

TEST(FactsTest, PortThatIsNotThereIsAFinding) {
  EXPECT_FALSE(CollectPortFacts({"wan", "no-such-device", 1}).ok());
  const PortToExamine ports[] = {{"wan", "no-such-device", 1}};
  const absl::StatusOr<std::vector<wire::Finding>> findings = Examine(ports);
  ASSERT_TRUE(findings.ok()) << findings.status();
  const auto netdev = std::find_if(findings->begin(), findings->end(),
                                   [](const wire::Finding& finding) { return finding.check() == "netdev"; });
  ASSERT_NE(netdev, findings->end());
  EXPECT_EQ(netdev->port(), "wan");
  EXPECT_EQ(netdev->severity(), wire::SEVERITY_ERROR);
  EXPECT_THAT(netdev->what(), testing::HasSubstr("no-such-device"));
}

}  // namespace
}  // namespace sluice
