#include "control/kernel/change_watch.h"

#include <poll.h>

#include <optional>
#include <string>
#include <utility>

#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

class ChangeWatchTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    MakePort("port0", "wire0", 1);
    absl::StatusOr<ChangeWatch> watch = ChangeWatch::Open();
    ASSERT_OK(watch);
    watch_.emplace(*std::move(watch));
  }

  bool Readable() {
    pollfd fd{watch_->fd(), POLLIN, 0};
    return poll(&fd, 1, 0) == 1;
  }
  // Returns the changes that a command makes.
  Changes After(const std::string& command) {
    while (Readable()) {
      watch_->Take();
    }
    Shell(command);
    EXPECT_TRUE(Readable()) << command;
    return watch_->Take();
  }

  std::optional<ChangeWatch> watch_;
};

TEST_F(ChangeWatchTest, HearsOfDevicesAndAddresses) {
  for (const char* command :
       {"ip link set port0 mtu 1400", "ip link set port0 promisc on", "tc qdisc add dev port0 clsact",
        "tc filter add dev port0 ingress bpf bytecode '1,6 0 0 0,' flowid 1:1", "tc filter del dev port0 ingress",
        "tc qdisc del dev port0 clsact", "ip link del port0"}) {
    EXPECT_TRUE(After(command).devices) << command;
  }
  for (const char* command : {"ip addr add 10.9.0.1/24 dev lo", "ip addr del 10.9.0.1/24 dev lo"}) {
    const Changes changes = After(command);
    EXPECT_TRUE(changes.addresses) << command;
    EXPECT_FALSE(changes.devices) << command;
  }
  EXPECT_FALSE(Readable());
  const Changes none = watch_->Take();
  EXPECT_FALSE(none.devices || none.addresses);
}

TEST_F(ChangeWatchTest, AnOverrunIsAChangeOfEverything) {
  const Changes changes =
      After("for i in $(seq 3000); do echo link set port0 mtu $((1300 + i % 100)); done | ip -batch -");
  EXPECT_TRUE(changes.devices && changes.addresses);
  while (Readable()) {
    watch_->Take();
  }
  EXPECT_TRUE(After("ip addr add 10.9.0.1/24 dev lo").addresses) << "it goes on";
}

}  // namespace
}  // namespace sluice
