#include "control/lanes/handover.h"

#include <fcntl.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/lanes/lanes_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HandoverTest : public LanesTest {
 protected:
  HandoverTest() {
    for (const FakePort* port : fakes_) {
      config_.ports.push_back({port->name(), port->netdev()});
    }
    config_.function.type = "reflect";
  }

  // Returns the greeting of a dataplane that has lane 0 and the bridge lane.
  Greeting Survivor(const std::string& function) const {
    Greeting greeting;
    greeting.hello.set_configured(true);
    greeting.hello.mutable_configuration()->set_function(function);
    for (const PortConfig& port : config_.ports) {
      greeting.hello.mutable_configuration()->add_ports()->set_name(port.name);
    }
    greeting.hello.set_transmit_lanes(1);
    greeting.hello.add_cores(3);
    greeting.stats = UniqueFd(fcntl(dataplane_.stats().fd(), F_DUPFD_CLOEXEC, 0));
    for (const uint32_t index : {0U, kBridgeLane}) {
      SurvivingLane held;
      held.spec.set_index(index);
      held.spec.set_frame_count(64);
      held.fds.emplace_back(memfd_create("umem", MFD_CLOEXEC));
      for (uint32_t port = 0; port < kPorts; ++port) {
        held.spec.add_sockets()->set_port(port);
        held.fds.emplace_back(memfd_create("socket", MFD_CLOEXEC));
        held.fds.emplace_back(memfd_create("xskmap", MFD_CLOEXEC));
      }
      greeting.lanes.push_back(std::move(held));
    }
    return greeting;
  }

  Config config_;
  RcuWaiter rcu_{UniqueFd(), UniqueFd()};
  FunctionHost function_ = *FunctionHost::Make({.type = "reflect"});
  Handover handover_{config_, function_, rcu_, ports_, dataplane_, *placement_, *lanes_, *transmit_};
};

TEST_F(HandoverTest, AFreshDataplaneIsConfiguredThenLanesOpen) {
  ASSERT_TRUE(handover_.ToFresh(2, 2).ok());
  EXPECT_THAT(
      Logged("dataplane"),
      ElementsAre("dataplane: configure reflect with 3 fds", "dataplane: cores 0,1 lanes ",
                  "dataplane: share credit with 2 fds", "dataplane: add lane 0 unsteered with 5 fds",
                  "dataplane: add lane 1 unsteered with 5 fds", "dataplane: steer lane 0", "dataplane: steer lane 1",
                  "dataplane: transmit by 2, probing", "dataplane: add lane 64 unsteered with 5 fds",
                  "dataplane: steer lane 64", "dataplane: cores 0,1 lanes 0:0 1:1 64:0"));
}

TEST_F(HandoverTest, StopsAtTheFirstError) {
  connection_.refused["share credit with 2 fds"] = absl::InternalError("no");
  EXPECT_EQ(handover_.ToFresh(2, 2).message(), "no");
  EXPECT_THAT(Logged("add lane"), IsEmpty());
}

TEST_F(HandoverTest, ASuccessorGetsTheExistingLanes) {
  StartLanes(2);
  Die();
  connection_.alive = true;
  transmit_->Adopt(1);  // an interrupted resize left this number
  log_.clear();
  ASSERT_TRUE(handover_.ToSuccessor().ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: configure reflect with 3 fds", "dataplane: cores 0,1 lanes ",
                                "dataplane: share credit with 2 fds", "dataplane: add lane 0 with 5 fds",
                                "dataplane: add lane 1 with 5 fds", "dataplane: transmit by 2, probing",
                                "dataplane: add lane 64 with 5 fds", "dataplane: cores 0,1 lanes 0:0 1:1 64:0",
                                "eth0: queues on 0,1", "eth1: queues on 0,1", "dataplane: settle"));
}

TEST_F(HandoverTest, ASuccessorThatCannotMapTheirRingsGetsOtherLanes) {
  StartLanes(2);
  for (FakePort* port : fakes_) {
    port->pairs = 2;
  }
  Die();
  connection_.alive = true;
  connection_.refused["add lane 0 with 5 fds"] = absl::FailedPreconditionError("bound already");
  log_.clear();
  ASSERT_TRUE(handover_.ToSuccessor().ok());
  EXPECT_THAT(Logged("make"),
              ElementsAre("kernel: make sluice-lane-0", "kernel: make sluice-lane-1", "kernel: make sluice-bridge"));
  EXPECT_EQ(log_.back(), "dataplane: settle") << "frames that were in the old rings are counted as dropped";
}

TEST_F(HandoverTest, ASurvivorGivesItsLanesAndIsToldOfThePorts) {
  fakes_[0]->unread = 64;
  ASSERT_TRUE(handover_.FromSurvivor(Survivor("reflect")).ok());
  EXPECT_THAT(lanes_->All(), ElementsAre(0, kBridgeLane));
  EXPECT_EQ(transmit_->count(), 1U);
  EXPECT_THAT(placement_->worker_cores(), ElementsAre(3));
  EXPECT_THAT(log_, ElementsAre("kernel: check 2 sockets with 64 frames on eth0/0",
                                "kernel: check 2 sockets with 64 frames on far0/0", "eth0: bridge socket",
                                "eth1: bridge socket", "dataplane: share credit with 2 fds",
                                "dataplane: quarantine 64 on port 0"));
}

TEST_F(HandoverTest, ASurvivorOfAnotherFunctionIsLeftAlone) {
  const absl::Status s = handover_.FromSurvivor(Survivor("forward"));
  EXPECT_TRUE(absl::IsFailedPrecondition(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("SIGTERM to pid 4711"));
  EXPECT_THAT(lanes_->All(), IsEmpty());
  EXPECT_THAT(log_, IsEmpty());
  Greeting with_other_ports = Survivor("reflect");
  with_other_ports.hello.mutable_configuration()->mutable_ports(1)->set_name("dmz");
  EXPECT_TRUE(absl::IsFailedPrecondition(handover_.FromSurvivor(std::move(with_other_ports))));
}

TEST_F(HandoverTest, ASurvivorThatTheKernelContradictsIsRefused) {
  kernel_.held_is = absl::DataLossError("a socket that is not on queue 0 of eth0");
  const absl::Status s = handover_.FromSurvivor(Survivor("reflect"));
  EXPECT_TRUE(absl::IsDataLoss(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("lane 0 that the dataplane holds"));
  kernel_.held_is = absl::OkStatus();
  EXPECT_TRUE(absl::IsDataLoss(handover_.FromSurvivor(Survivor("teleport")))) << "there is no such function";
}

TEST_F(HandoverTest, ASurvivorWithBrokenCountersOrLanesIsRefused) {
  Greeting greeting = Survivor("reflect");
  greeting.stats = UniqueFd(memfd_create("small", MFD_CLOEXEC));
  EXPECT_TRUE(absl::IsDataLoss(handover_.FromSurvivor(std::move(greeting))));
  greeting = Survivor("reflect");
  greeting.lanes[1].spec.set_index(0);
  EXPECT_TRUE(absl::IsDataLoss(handover_.FromSurvivor(std::move(greeting))));
}

}  // namespace
}  // namespace sluice
