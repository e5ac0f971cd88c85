// Turns a status into Prometheus metrics.
#include "control/metrics/families.h"

#include <string>

#include <prometheus/text_serializer.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string TextOf(const wire::StatusResponse& status) {
  return prometheus::TextSerializer().Serialize(MetricFamilies(status, absl::Milliseconds(250)));
}

wire::StatusResponse RunningStatus() {
  wire::StatusResponse status;
  status.set_version("1.2.3");
  status.add_drop_reasons("tx_ring_full");
  status.add_drop_reasons("kernel_rx_dropped");
  status.mutable_dataplane()->set_state("running");
  status.mutable_dataplane()->set_function("reflect");
  status.mutable_dataplane()->set_restarts(2);
  wire::Port& port = *status.add_ports();
  port.set_name("wan");
  port.mutable_queue_pairs()->set_current(1);
  port.mutable_queue_pairs()->set_open(2);
  port.mutable_queue_pairs()->set_wanted(1);
  port.mutable_queue_pairs()->set_max(4);
  for (uint32_t index = 0; index < 2; ++index) {
    wire::Queue& queue = *port.add_queues();
    queue.set_index(index);
    queue.set_rx_packets(10 + index);
    queue.set_tx_packets(20 + index);
    (*queue.mutable_xdp_packets())["dataplane"] = 100;
    (*queue.mutable_xdp_packets())["pass"] = index;
  }
  (*port.mutable_queues(0)->mutable_drops())["tx_ring_full"] = 7;
  port.mutable_queues(1)->set_checksums_completed(6);
  wire::Queue& closed = *port.add_closed_queues();
  closed.set_index(3);
  closed.set_rx_packets(13);
  (*closed.mutable_xdp_packets())["dataplane"] = 50;
  port.mutable_bridge()->set_rx_packets(5);
  (*port.mutable_bridge()->mutable_drops())["kernel_rx_dropped"] = 3;
  return status;
}

TEST(MetricFamilies, QueuesAndBridgeHaveTheirOwnLabels) {
  const std::string text = TextOf(RunningStatus());
  EXPECT_THAT(text, HasSubstr("# TYPE sluice_rx_packets_total counter"));
  EXPECT_THAT(text, HasSubstr("sluice_rx_packets_total{port=\"wan\",queue=\"0\"} 10\n"));
  EXPECT_THAT(text, HasSubstr("sluice_rx_packets_total{port=\"wan\",queue=\"1\"} 11\n"));
  EXPECT_THAT(text, HasSubstr("sluice_rx_packets_total{port=\"wan\",queue=\"bridge\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("sluice_tx_packets_total{port=\"wan\",queue=\"1\"} 21\n"));
  EXPECT_THAT(text, HasSubstr("sluice_drops_total{port=\"wan\",queue=\"0\",reason=\"tx_ring_full\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("sluice_drops_total{port=\"wan\",queue=\"bridge\",reason=\"kernel_rx_dropped\"} 3\n"));
}

TEST(MetricFamilies, ReasonsForWhichNothingWasDroppedAreThere) {
  EXPECT_THAT(TextOf(RunningStatus()),
              HasSubstr("sluice_drops_total{port=\"wan\",queue=\"1\",reason=\"tx_ring_full\"} 0\n"));
}

TEST(MetricFamilies, ChecksumsCompleted) {
  const std::string text = TextOf(RunningStatus());
  EXPECT_THAT(text, HasSubstr("sluice_checksums_completed_total{port=\"wan\",queue=\"1\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("sluice_checksums_completed_total{port=\"wan\",queue=\"bridge\"} 0\n"));
}

TEST(MetricFamilies, CostsOfPackets) {
  wire::StatusResponse status = RunningStatus();
  status.mutable_ports(0)->mutable_queues(1)->set_tx_wakeups(8);
  wire::Worker& worker = *status.add_workers();
  worker.set_index(2);
  worker.set_busy_rounds(30);
  worker.set_sleeps(9);
  const std::string text = TextOf(status);
  EXPECT_THAT(text, HasSubstr("sluice_tx_wakeups_total{port=\"wan\",queue=\"1\"} 8\n"));
  EXPECT_THAT(text, HasSubstr("sluice_worker_busy_rounds_total{worker=\"2\"} 30\n"));
  EXPECT_THAT(text, HasSubstr("sluice_worker_sleeps_total{worker=\"2\"} 9\n"));
}

TEST(MetricFamilies, DropsOfTheDriverWhereItCountsThem) {
  wire::StatusResponse status = RunningStatus();
  EXPECT_THAT(TextOf(status), Not(HasSubstr("sluice_rx_drops_total{")));
  status.mutable_ports(0)->set_rx_drops(5);
  status.mutable_ports(0)->set_rx_xdp_drops(0);
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_rx_drops_total{port=\"wan\"} 5\n"));
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_rx_xdp_drops_total{port=\"wan\"} 0\n"));
}

TEST(MetricFamilies, FramesToTheKernelByPort) {
  wire::StatusResponse status = RunningStatus();
  status.mutable_ports(0)->set_to_kernel(7);
  status.mutable_ports(0)->set_to_kernel_strays(2);
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_to_kernel_packets_total{port=\"wan\"} 7\n"));
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_to_kernel_strays_total{port=\"wan\"} 2\n"));
}

TEST(MetricFamilies, ClosedQueuesKeepTheirCounters) {
  const std::string text = TextOf(RunningStatus());
  EXPECT_THAT(text, HasSubstr("sluice_rx_packets_total{port=\"wan\",queue=\"3\"} 13\n"));
  EXPECT_THAT(text, HasSubstr("sluice_xdp_packets_total{port=\"wan\",verdict=\"dataplane\"} 250\n"));
}

TEST(MetricFamilies, AgeOfTheStatus) {
  EXPECT_THAT(TextOf(RunningStatus()), HasSubstr("sluice_status_age_seconds 0.25\n"));
}

TEST(MetricFamilies, VerdictsAreSummedOverQueues) {
  const std::string text = TextOf(RunningStatus());
  EXPECT_THAT(text, HasSubstr("sluice_xdp_packets_total{port=\"wan\",verdict=\"dataplane\"} 250\n"));
  EXPECT_THAT(text, HasSubstr("sluice_xdp_packets_total{port=\"wan\",verdict=\"pass\"} 1\n"));
}

TEST(MetricFamilies, QueuePairsByState) {
  const std::string text = TextOf(RunningStatus());
  for (const char* line :
       {"state=\"current\"} 1\n", "state=\"max\"} 4\n", "state=\"open\"} 2\n", "state=\"wanted\"} 1\n"}) {
    EXPECT_THAT(text, HasSubstr(std::string("sluice_queue_pairs{port=\"wan\",") + line));
  }
}

TEST(MetricFamilies, AutoscaleWithEveryReason) {
  wire::StatusResponse status = RunningStatus();
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_autoscale_on 0\n"));
  wire::Autoscale& autoscale = *status.mutable_autoscale();
  autoscale.set_mode("auto");
  autoscale.set_pairs(2);
  autoscale.set_min(1);
  autoscale.set_max(4);
  (*autoscale.mutable_decisions())["full"] = 3;
  (*autoscale.mutable_decisions())["idle"] = 0;
  const std::string text = TextOf(status);
  for (const char* line :
       {"sluice_autoscale_on 1\n", "sluice_autoscale_pairs{which=\"target\"} 2\n",
        "sluice_autoscale_pairs{which=\"min\"} 1\n", "sluice_autoscale_pairs{which=\"max\"} 4\n",
        "sluice_autoscale_decisions_total{why=\"full\"} 3\n", "sluice_autoscale_decisions_total{why=\"idle\"} 0\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(MetricFamilies, DataplaneUpOrDown) {
  wire::StatusResponse status = RunningStatus();
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_dataplane_up 1\n"));
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_dataplane_restarts_total 2\n"));
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_info{version=\"1.2.3\",function=\"reflect\"} 1\n"));
  status.mutable_dataplane()->set_state("down");
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_dataplane_up 0\n"));
}

TEST(MetricFamilies, TheFunctionsCountersAreLabels) {
  wire::StatusResponse status = RunningStatus();
  EXPECT_THAT(TextOf(status), Not(HasSubstr("sluice_function_total"))) << "the function has no counters";
  status.mutable_function()->set_name("count");
  (*status.mutable_function()->mutable_counters())["sources_created"] = 7;
  (*status.mutable_function()->mutable_counters())["sources_expired"] = 0;
  const std::string text = TextOf(status);
  EXPECT_THAT(text, HasSubstr("sluice_function_total{function=\"count\",counter=\"sources_created\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("sluice_function_total{function=\"count\",counter=\"sources_expired\"} 0\n"));
}

TEST(MetricFamilies, BalanceIsTheAccountingLaw) {
  wire::StatusResponse status = RunningStatus();
  status.mutable_balance()->set_received(33);
  status.mutable_balance()->set_originated(1);
  status.mutable_balance()->set_transmitted(15);
  status.mutable_balance()->set_passed(4);
  status.mutable_balance()->set_offloaded(3);
  status.mutable_balance()->set_dropped(7);
  status.mutable_balance()->set_held(6);
  status.mutable_balance()->set_unaccounted(-1);
  const std::string text = TextOf(status);
  for (const char* line : {"sluice_received_packets_total 33\n", "sluice_originated_packets_total 1\n",
                           "sluice_transmitted_packets_total 15\n", "sluice_passed_packets_total 4\n",
                           "sluice_offloaded_packets_total 3\n", "sluice_dropped_packets_total 7\n",
                           "sluice_held_packets 6\n", "sluice_unaccounted_packets -1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(MetricFamilies, ResizesByMethodAndResult) {
  wire::StatusResponse status = RunningStatus();
  EXPECT_THAT(TextOf(status), Not(HasSubstr("sluice_last_resize")));
  wire::ResizeCount& done = *status.add_resizes();
  done.set_method("channels");
  done.set_result("done");
  done.set_count(3);
  done.set_blocked_ns(450'000'000);
  done.set_held(12);
  done.set_lost(1);
  done.set_reordered(2);
  wire::ResizeCount& undone = *status.add_resizes();
  undone.set_method("channels");
  undone.set_result("rolled back");
  undone.set_count(1);
  wire::LastResize& last = *status.mutable_last_resize();
  last.set_method("channels");
  last.set_from(1);
  last.set_to(4);
  last.set_blocked_ns(150'000'000);
  last.set_held(4);
  last.set_lost(1);
  last.set_reordered(2);
  last.set_result("done");
  const std::string text = TextOf(status);
  for (const char* line : {"sluice_resizes_total{method=\"channels\",result=\"done\"} 3\n",
                           "sluice_resizes_total{method=\"channels\",result=\"rolled back\"} 1\n",
                           "sluice_resize_blocked_seconds_count{method=\"channels\",result=\"done\"} 3\n",
                           "sluice_resize_held_packets_total{method=\"channels\",result=\"done\"} 12\n",
                           "sluice_resize_lost_packets_total{method=\"channels\",result=\"done\"} 1\n",
                           "sluice_resize_reordered_packets_total{method=\"channels\",result=\"done\"} 2\n",
                           "sluice_last_resize_info{method=\"channels\",from=\"1\",to=\"4\",result=\"done\"} 1\n",
                           "sluice_last_resize_held_packets 4\n", "sluice_last_resize_lost_packets 1\n",
                           "sluice_last_resize_reordered_packets 2\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, testing::ContainsRegex("sluice_resize_blocked_seconds_sum[^ ]* 0[.]4(5|49)"));
  EXPECT_THAT(text, testing::ContainsRegex("sluice_last_resize_blocked_seconds 0[.]1(5|49)"));
}

TEST(MetricFamilies, SayWhenTheConfigurationIsNotTheFile) {
  wire::StatusResponse status = RunningStatus();
  status.mutable_config()->set_state("file");
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_config_last_good 0\n"));
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_config_unconfirmed 0\n"));
  status.mutable_config()->set_state("last good");
  status.mutable_config()->mutable_pending()->set_file("f");
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_config_last_good 1\n"));
  EXPECT_THAT(TextOf(status), HasSubstr("sluice_config_unconfirmed 1\n"));
}

}  // namespace
}  // namespace sluice
