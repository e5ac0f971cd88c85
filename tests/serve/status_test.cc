#include "control/serve/status.h"

#include <optional>
#include <string>
#include <vector>

#include "control/serve/rule_requests.h"
#include "tests/serve/serve_fixture.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class StatusTest : public ServeTest {
 protected:
  std::vector<WorkerTimes> times_;
};

TEST_F(StatusTest, ShowsPortsQueuesAndWorkers) {
  Start(2);
  stats_->lanes[1].ports[0].rx_packets.Add(7);
  fakes_[0]->counters[1].packets[SLUICE_VERDICT_DATAPLANE] = 9;
  fakes_[0]->counters[1].packets[SLUICE_VERDICT_OVERLOADED] = 2;
  const wire::StatusResponse status = MakeStatus(served_, times_);
  EXPECT_EQ(status.dataplane().state(), "running");
  EXPECT_EQ(status.dataplane().function(), "reflect");
  ASSERT_EQ(status.ports_size(), 2);
  const wire::Port& port = status.ports(0);
  EXPECT_EQ(port.netdev(), "eth0");
  EXPECT_EQ(port.queue_pairs().current(), 2U);
  EXPECT_EQ(port.queue_pairs().max(), 8U);
  ASSERT_EQ(port.queues_size(), 2);
  EXPECT_EQ(port.queues(1).rx_packets(), 7U);
  EXPECT_EQ(port.queues(1).mode(), "copy");
  EXPECT_THAT(port.queues(1).xdp_packets(), UnorderedElementsAre(Pair("dataplane", 9), Pair("overloaded", 2)));
  EXPECT_THAT(port.queues(1).drops(), UnorderedElementsAre(Pair("overloaded", 2)));
  EXPECT_EQ(port.bridge().lane(), kBridgeLane);
  ASSERT_EQ(status.workers_size(), 2);
  EXPECT_THAT(status.workers(1).lanes(), ElementsAre(1));
  EXPECT_EQ(status.resizes_size(), 9) << "results that never happened are listed, too";
}

TEST_F(StatusTest, NamesTheKernelsDrops) {
  Start(1);
  kernel_.drops_of_each = {.rx_dropped = 1, .rx_ring_full = 2, .rx_invalid = 3, .tx_invalid = 4};
  const wire::StatsResponse stats = MakeStats(served_);
  EXPECT_THAT(stats.ports(1).queues(0).drops(),
              UnorderedElementsAre(Pair("kernel_rx_dropped", 1), Pair("kernel_rx_ring_full", 2),
                                   Pair("kernel_rx_invalid", 3), Pair("kernel_tx_invalid", 4)));
  EXPECT_EQ(DroppedInXdp(served_, 0), 3U);
  fakes_[0]->counters[5].packets[SLUICE_VERDICT_DROP] = 10;
  EXPECT_EQ(DroppedInXdp(served_, 0), 13U);
  const wire::StatusResponse status = MakeStatus(served_, times_);
  EXPECT_THAT(status.drop_reasons(), Contains("kernel_rx_invalid"));
  EXPECT_THAT(status.drop_reasons(), Contains("overloaded"));
}

TEST_F(StatusTest, QueuesThatWereClosedKeepTheirCounts) {
  Start(2);
  stats_->lanes[1].ports[0].rx_packets.Add(7);
  ASSERT_TRUE(Resize(1).ok());
  const wire::Port port = MakeStatus(served_, times_).ports(0);
  EXPECT_EQ(port.queues_size(), 1);
  ASSERT_EQ(port.closed_queues_size(), 1);
  EXPECT_EQ(port.closed_queues(0).rx_packets(), 7U);
}

TEST_F(StatusTest, ADeviceWithMoreQueuesThanSluiceHasNoMoreCounters) {
  Start(2);
  stats_->lanes[kBridgeLane].ports[0].rx_packets.Add(7);
  fakes_[0]->info().max_pairs = 4096;
  const wire::Port port = MakeStatus(served_, times_).ports(0);
  EXPECT_EQ(port.closed_queues_size(), 0) << "the bridge's counters are no queue's";
  EXPECT_EQ(port.bridge().rx_packets(), 7U);
  EXPECT_EQ(MakeStats(served_).ports(0).closed_queues_size(), 0);
}

TEST_F(StatusTest, TimesThatADataplaneSetsBackMakeNoShare) {
  Start(1);
  stats_->workers[0].busy_ns.Set(UINT64_MAX - 5);
  stats_->workers[0].idle_ns.Set(UINT64_MAX - 5);
  double ratio = MakeStatus(served_, times_).workers(0).busy_ratio();
  EXPECT_TRUE(ratio >= 0 && ratio <= 1) << ratio;
  stats_->workers[0].busy_ns.Set(3);
  EXPECT_EQ(MakeStatus(served_, times_).workers(0).busy_ratio(), 0.0);
}

TEST_F(StatusTest, TheBalanceCountsOffloadedPacketsAsReceived) {
  Start(1);
  stats_->lanes[0].ports[0].rx_packets.Add(5);
  stats_->lanes[0].ports[1].tx_packets.Add(5);
  fakes_[0]->counters[0].packets[SLUICE_VERDICT_OFFLOADED] = 100;
  const wire::Balance balance = MakeStatus(served_, times_).balance();
  EXPECT_EQ(balance.received(), 105U);
  EXPECT_EQ(balance.offloaded(), 100U);
  EXPECT_EQ(balance.unaccounted(), 0);
}

TEST_F(StatusTest, AWorkersShareIsOfTheTimeSinceTheLastAnswer) {
  Start(1);
  stats_->workers[0].busy_ns.Add(300);
  stats_->workers[0].idle_ns.Add(100);
  EXPECT_EQ(MakeStatus(served_, times_).workers(0).busy_ratio(), 0.75);
  stats_->workers[0].idle_ns.Add(100);
  EXPECT_EQ(MakeStatus(served_, times_).workers(0).busy_ratio(), 0.0);
  EXPECT_EQ(MakeStatus(served_, times_).workers(0).busy_ratio(), 0.0) << "no time has passed since the last answer";
}

TEST_F(StatusTest, RulesAreChangedAndListed) {
  Start(1);
  wire::ChangeRulesRequest request;
  auto& fields = *request.mutable_add()->mutable_fields();
  fields["proto"] = "udp";
  fields["action"] = "drop";
  absl::StatusOr<wire::RulesResponse> rules = ChangeRules(request, served_);
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(rules->rules_size(), 1);
  EXPECT_EQ(rules->rules(0).id(), 1U);
  fields["in_port"] = "elsewhere";
  EXPECT_THAT(std::string(ChangeRules(request, served_).status().message()), HasSubstr("in_port"));
  request.mutable_remove()->add_ids(1);
  EXPECT_EQ(ChangeRules(request, served_)->rules_size(), 0);
  EXPECT_TRUE(absl::IsNotFound(ChangeRules(request, served_).status()));
}

}  // namespace
}  // namespace sluice
