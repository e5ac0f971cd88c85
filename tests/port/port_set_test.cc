#include "control/port/port_set.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "tests/port/fake_port.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PortSetTest : public testing::Test {
 protected:
  PortSetTest() {
    for (uint32_t index = 0; index < 3; ++index) {
      auto port = std::make_unique<FakePort>(FakePort::Info(index), 2, log_);
      fakes_.push_back(port.get());
      ports_.Add(std::move(port));
    }
  }

  Log log_;
  std::vector<FakePort*> fakes_;
  PortSet ports_;
};

TEST_F(PortSetTest, ChangesAllPortsInTheirOrder) {
  EXPECT_TRUE(ports_.SpreadOver(2, 4).ok());
  EXPECT_THAT(log_, ElementsAre("eth0: spread 4", "eth1: spread 4", "eth2: spread 4"));
}

TEST_F(PortSetTest, ChangesNoneWhenOneRefuses) {
  fakes_[2]->refused = {"spread 4"};
  const absl::Status s = ports_.SpreadOver(2, 4);
  EXPECT_EQ(s.message(), "eth2 refuses spread 4");
  EXPECT_THAT(log_,
              ElementsAre("eth0: spread 4", "eth1: spread 4", "eth2: spread 4", "eth1: spread 2", "eth0: spread 2"))
      << "changes are taken back in reverse order";
}

TEST_F(PortSetTest, NamesAPortThatCannotBePutBackAndGoesOn) {
  fakes_[2]->refused = {"flip"};
  int undone = 0;
  const absl::Status s =
      ports_.ForAllOrNone([](Port& port) { return port.FlipRules(); },
                          [&](Port& port) {
                            ++undone;
                            return &port == fakes_[1] ? absl::InternalError("eth1 is stuck") : absl::OkStatus();
                          });
  EXPECT_THAT(std::string(s.message()), HasSubstr("eth2 refuses flip; and putting it back: eth1 is stuck"));
  EXPECT_EQ(undone, 2);
}

TEST_F(PortSetTest, ForEachGoesOnPastErrorsAndReturnsTheFirst) {
  fakes_[0]->refused = fakes_[1]->refused = {"resteer"};
  EXPECT_EQ(ports_.ForEach([](Port& port) { return port.Resteer(); }).message(), "eth0 refuses resteer");
  EXPECT_EQ(log_.size(), 3U);
}

TEST_F(PortSetTest, PortsThatAgreeAreLeftAlone) {
  EXPECT_TRUE(ports_.MakePairsAgree().ok());
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(PortSetTest, PortsAgreeOnTheLowestNumberOfPairs) {
  fakes_[1]->pairs = 4;
  EXPECT_TRUE(ports_.MakePairsAgree().ok());
  EXPECT_THAT(log_, ElementsAre("eth1: xdp off", "eth1: pairs 2", "eth1: xdp on"));
  EXPECT_THAT(ports_.QueuePairs(), ElementsAre(2, 2, 2));
}

TEST_F(PortSetTest, PortsAgreeOnTheHighestWhereTheKernelKeepsQueues) {
  fakes_[1]->pairs = fakes_[1]->keeps_queues = 4;
  EXPECT_TRUE(ports_.MakePairsAgree().ok());
  EXPECT_THAT(ports_.QueuePairs(), ElementsAre(4, 4, 4));
  for (const FakePort* port : fakes_) {
    EXPECT_TRUE(port->xdp);
  }
}

TEST_F(PortSetTest, SaysWhyPortsCannotAgree) {
  fakes_[1]->pairs = fakes_[1]->keeps_queues = 4;
  fakes_[0]->refused = {"pairs 4"};
  const absl::Status s = ports_.MakePairsAgree();
  EXPECT_TRUE(absl::IsFailedPrecondition(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("eth0 refuses pairs 4"));
}

TEST_F(PortSetTest, WritesTheTablesOfDevicesThatHaveThem) {
  fakes_[1]->info().has_rss = true;
  EXPECT_TRUE(ports_.WriteRssTables(3).ok());
  EXPECT_THAT(log_, ElementsAre("eth1: spread 3"));
  EXPECT_FALSE(ports_.FlowsFollowTransmit()) << "one port spreads flows by its RSS table";
}

TEST_F(PortSetTest, FramesFitTheLargestMtu) {
  EXPECT_TRUE(ports_.FlowsFollowTransmit());
  EXPECT_EQ(ports_.frame_size_bytes(), 2048U);
  fakes_[2]->info().frame_size_bytes = 4096;
  EXPECT_EQ(ports_.frame_size_bytes(), 4096U);
}

TEST_F(PortSetTest, PoliciesAreSetByName) {
  ports_.SetDownPolicies({{"port2", "", OnDataplaneDown::kHold}, {"port0", "", OnDataplaneDown::kDrop}});
  EXPECT_EQ(fakes_[0]->policy, OnDataplaneDown::kDrop);
  EXPECT_EQ(fakes_[1]->policy, OnDataplaneDown::kPass);
  EXPECT_EQ(fakes_[2]->policy, OnDataplaneDown::kHold);
}

TEST_F(PortSetTest, SavesPortsAndForgetsThemAfterTakeDown) {
  SavedState state;
  state.add_ports()->set_netdev("of before");
  ports_.Save(state);
  ASSERT_EQ(state.ports_size(), 3);
  EXPECT_EQ(state.ports(2).netdev(), "eth2");
  fakes_[0]->refused = {"take down"};
  std::vector<std::string> put_back;
  EXPECT_EQ(ports_.TakeDown(put_back).message(), "eth0 refuses take down");
  EXPECT_THAT(put_back, ElementsAre("eth1", "eth2"));
  EXPECT_THAT(log_, ElementsAre("eth0: take down", "eth1: take down", "eth2: take down"));
  EXPECT_EQ(ports_.size(), 0U);
}

TEST(PairsToTry, AreOneWhenThePortsAgree) {
  EXPECT_THAT(PairsToTry({}), IsEmpty());
  EXPECT_THAT(PairsToTry({3, 3}), ElementsAre(3));
  EXPECT_THAT(PairsToTry({4, 2, 3}), ElementsAre(2, 4));
}

TEST(Port, SumsOneVerdictOverQueues) {
  Log log;
  FakePort port(FakePort::Info(0), 2, log);
  port.counters[0].packets[SLUICE_VERDICT_BRIDGED] = 1;
  port.counters[1].packets[SLUICE_VERDICT_BRIDGED] = 10;
  port.counters[1].packets[SLUICE_VERDICT_DROP] = 100;
  port.counters[2].packets[SLUICE_VERDICT_BRIDGED] = 1000;
  EXPECT_EQ(port.Packets(SLUICE_VERDICT_BRIDGED, 0, 2), 11U);
  EXPECT_EQ(port.Packets(SLUICE_VERDICT_BRIDGED, 2, 3), 1000U);
}

TEST_F(PortSetTest, DifferencesThatAreLeftHaveTheirPortsName) {
  EXPECT_TRUE(ports_.Reconcile(1, std::nullopt).ok());
  EXPECT_THAT(ports_.degraded(), IsEmpty());
  fakes_[1]->found.degraded = {"eth1 is down", "XDP: somebody else's"};
  fakes_[0]->found.repaired = {"the bridge"};
  EXPECT_TRUE(ports_.Reconcile(1, std::nullopt).ok());
  EXPECT_THAT(ports_.degraded(), ElementsAre("port1: eth1 is down", "port1: XDP: somebody else's"));
  fakes_[1]->found = {};
  EXPECT_TRUE(ports_.Reconcile(1, std::nullopt).ok());
  EXPECT_THAT(ports_.degraded(), IsEmpty());
}

TEST_F(PortSetTest, TakesBackTheDevicesThatAreThereAgain) {
  EXPECT_FALSE(ports_.TakeBack());
  EXPECT_THAT(log_, IsEmpty());
  fakes_[0]->is_gone = fakes_[2]->is_gone = true;
  fakes_[2]->refused = {"take back"};
  EXPECT_TRUE(ports_.TakeBack());
  EXPECT_TRUE(ports_.saved_changed());
  EXPECT_FALSE(ports_[0].gone());
  EXPECT_TRUE(ports_[2].gone());
  EXPECT_FALSE(ports_.TakeBack()) << "it is still not there";
}

// A virtio device stops using its table when XDP comes.
TEST_F(PortSetTest, RssTablesAreWrittenAgainAfterXdpWasPutBack) {
  for (FakePort* port : fakes_) {
    port->info().has_rss = true;
  }
  fakes_[0]->found.repaired = {"the bridge"};
  EXPECT_TRUE(ports_.Reconcile(3, std::nullopt).ok());
  EXPECT_THAT(log_, ElementsAre("eth0: reconcile", "eth1: reconcile", "eth2: reconcile"));
  log_.clear();
  fakes_[0]->found.attached_xdp = true;
  EXPECT_TRUE(ports_.Reconcile(3, std::nullopt).ok());
  EXPECT_THAT(log_, ElementsAre("eth0: reconcile", "eth1: reconcile", "eth2: reconcile", "eth0: spread 3",
                                "eth1: spread 3", "eth2: spread 3"));
}

}  // namespace
}  // namespace sluice
