#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_split.h"
#include "control/cli/output.h"
#include "control/cli/rates.h"
#include "control/cli/render_config.h"
#include "control/cli/render_doctor.h"
#include "control/cli/render_resize.h"
#include "control/cli/render_stats.h"
#include "control/cli/render_status.h"
#include "control/cli/table.h"

namespace sluice::cli {
namespace {

template <typename T>
T Message(const std::string& text) {
  T message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

constexpr Style kPlain{false};

const char* const kStatus = R"(
  version: "0.1.0"
  dataplane { state: "running" pid: 42 function: "forward" restarts: 1 }
  ports {
    name: "wan" netdev: "eth1" driver: "virtio_net"
    queue_pairs { current: 2 max: 4 wanted: 2 open: 2 }
    xdp { mode: "native" attached_by: "sluice-agent" other_programs: 1 }
    queues { index: 0 lane: 0 worker: 0 mode: "copy" mode_reason: "device has no zero-copy"
             rx_packets: 1000 tx_packets: 900
             drops { key: "function" value: 3 } drops { key: "kernel_rx_full" value: 4 } }
    queues { index: 1 lane: 1 worker: 1 mode: "copy" mode_reason: "device has no zero-copy"
             rx_packets: 5 tx_packets: 6 }
    bridge { lane: 64 worker: 0 mode: "copy" rx_packets: 2 }
  }
  workers { index: 0 core: 2 busy_ratio: 0.125 lanes: 0 lanes: 64 }
  workers { index: 1 core: 3 busy_ratio: 1 lanes: 1 }
  workers { index: 2 core: 4 }
  balance { received: 1005 transmitted: 906 dropped: 7 held: 92 }
  last_resize { method: "channels" from: 4 to: 2 blocked_ns: 98234567 held: 12 lost: 0 result: "done" })";

TEST(RenderTest, Status) {
  wire::StatsResponse before = Message<wire::StatsResponse>(
      "monotonic_ns: 0 ports { name: 'wan' queues { index: 0 rx_packets: 1000 tx_packets: 1 } }");
  wire::StatsResponse after = Message<wire::StatsResponse>(
      "monotonic_ns: 500000000 ports { name: 'wan' queues { index: 0 rx_packets: 1101000 tx_packets: 1 } }");
  EXPECT_EQ(RenderStatus(Message<wire::StatusResponse>(kStatus), Rates(before, after), kPlain),
            R"(sluice 0.1.0, dataplane running, pid 42, function forward, restarted 1 time

PORT  NETDEV  DRIVER      PAIRS  OPEN  MAX  WANTED  XDP
wan   eth1    virtio_net      2     2    4       2  native by sluice-agent +1 other

PORT   QUEUE  LANE  WORKER  MODE  RX PACKETS   RX/S  TX PACKETS  TX/S  DROPS
wan        0     0       0  copy        1000  2.20M         900     0      7
wan        1     1       1  copy           5      -           6     -      0
wan   bridge    64       0  copy           2      -           0     -      0
copy: device has no zero-copy (wan 0, wan 1)

WORKER  CORE  BUSY  LANES
     0     2   12%  0,64
     1     3  100%  1
     2     4    0%  none

received 1005 + originated 0 = transmitted 906 + passed 0 + offloaded 0 + dropped 7 + held 92
balanced

last resize: channels from 4 to 2, done: XDP was off for 98.2ms; 0 by the bridge, 12 held, 0 lost, 0 reordered
)");
}

TEST(RenderTest, StatusNamesRareConditions) {
  wire::StatusResponse status = Message<wire::StatusResponse>(kStatus);
  wire::Port& port = *status.mutable_ports(0);
  port.set_rx_drops(0);
  port.set_rx_xdp_drops(0);
  EXPECT_THAT(RenderStatus(status, Rates(), kPlain), testing::Not(testing::HasSubstr("rx_drops")));
  port.set_rx_drops(12);
  port.mutable_queues(0)->set_checksums_completed(40);
  port.add_closed_queues()->set_checksums_completed(2);
  EXPECT_THAT(RenderStatus(status, Rates(), kPlain),
              testing::HasSubstr("copy: device has no zero-copy (wan 0, wan 1)\n"
                                 "wan: rx_drops 12, xdp_drops 0 by virtio_net's own count; `sluicectl doctor wan` says "
                                 "more\n"
                                 "wan: 42 packets had a partial checksum, which was completed\n\n"));
}

TEST(RenderTest, StatusNamesTheQueuesWithHugePages) {
  wire::StatusResponse status = Message<wire::StatusResponse>(kStatus);
  EXPECT_THAT(RenderStatus(status, Rates(), kPlain), testing::Not(testing::HasSubstr("memory")));
  status.mutable_ports(0)->mutable_queues(1)->set_huge_pages(true);
  EXPECT_THAT(RenderStatus(status, Rates(), kPlain),
              testing::HasSubstr("(wan 0, wan 1)\nmemory: huge pages (wan 1)\n\n"));
}

TEST(RenderTest, StatusSaysWhyThereAreSoManyPairs) {
  wire::StatusResponse status = Message<wire::StatusResponse>(kStatus);
  status.mutable_autoscale()->set_mode("off");
  status.mutable_autoscale()->set_why("queue_pairs is a number");
  EXPECT_THAT(RenderStatus(status, Rates(), kPlain), testing::Not(testing::HasSubstr("queue_pairs")));
  *status.mutable_autoscale() =
      Message<wire::Autoscale>("mode: 'auto' pairs: 2 min: 1 max: 4 why: 'work for 1.3 cores, 2 pairs carry it'");
  const std::string line = "other\nauto: 2 of 1..4, work for 1.3 cores, 2 pairs carry it\n\n";
  EXPECT_THAT(RenderStatus(status, Rates(), kPlain), testing::HasSubstr(line));
  EXPECT_THAT(RenderQueues(status, kPlain), testing::HasSubstr(line.substr(6)));
  status.mutable_autoscale()->set_mode("hold");
  EXPECT_THAT(RenderStatus(status, Rates(), kPlain), testing::HasSubstr("hold: 2 of 1..4, "));
}

TEST(RenderTest, StatusOfAnAgentWithNothing) {
  const std::string text = RenderStatus(Message<wire::StatusResponse>("dataplane { state: 'down' }"), Rates(), kPlain);
  EXPECT_THAT(text, testing::HasSubstr("dataplane down, restarted 0 times"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("last resize")));
}

TEST(RenderTest, Queues) {
  wire::StatusResponse status = Message<wire::StatusResponse>(kStatus);
  EXPECT_EQ(RenderQueues(status, kPlain),
            R"(PORT  NETDEV  CURRENT  MAX  WANTED  OPEN  LEVER
wan   eth1          2    4       2     2  channels

PORT  QUEUE  LANE  WORKER  MODE
wan       0     0       0  copy
wan       1     1       1  copy
copy: device has no zero-copy (wan 0, wan 1)
)");
  status.mutable_ports(0)->mutable_queue_pairs()->set_open(4);
  EXPECT_THAT(RenderQueues(status, kPlain), testing::HasSubstr("4  spread"));
}

TEST(TableTest, ColumnsThatDoNotFitStandBelowWithTheirKeys) {
  Table table({{"PORT"}, {"QUEUE", true}, {"MODE"}, {"RX", true}, {"TX", true}}, /*keys=*/2);
  table.Add({"wan", "0", "zerocopy", "1000000", "2"});
  table.Add({"lan", "1", "copy", "3", "4000000000"});
  const std::string wide =
      "PORT  QUEUE  MODE           RX          TX\n"
      "wan       0  zerocopy  1000000           2\n"
      "lan       1  copy            3  4000000000\n";
  EXPECT_EQ(table.Text(kPlain), wide);
  EXPECT_EQ(table.Text({.columns = 42}), wide);
  EXPECT_EQ(table.Text({.columns = 41}),
            "PORT  QUEUE  MODE           RX\n"
            "wan       0  zerocopy  1000000\n"
            "lan       1  copy            3\n"
            "\n"
            "PORT  QUEUE          TX\n"
            "wan       0           2\n"
            "lan       1  4000000000\n");
  // No column fits next to the keys: each gets its own table, and none is lost.
  const std::string narrow = table.Text({.columns = 1});
  EXPECT_EQ(std::count(narrow.begin(), narrow.end(), '\n'), 3 * 3 + 2);
  EXPECT_THAT(narrow, testing::HasSubstr("zerocopy"));
}

TEST(RenderTest, TextKeepsToANarrowTerminal) {
  const Style narrow{.columns = 40};
  const std::string text = RenderStatus(Message<wire::StatusResponse>(kStatus), Rates(), narrow);
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    EXPECT_LE(line.size(), 40u) << line;
  }
}

TEST(RenderTest, BalanceNamesEveryTerm) {
  EXPECT_EQ(RenderBalance(Message<wire::Balance>("received: 10 originated: 2 transmitted: 3 passed: 4 offloaded: 1 "
                                                 "dropped: 2 held: 2"),
                          kPlain),
            "received 10 + originated 2 = transmitted 3 + passed 4 + offloaded 1 + dropped 2 + held 2\nbalanced\n");
}

TEST(RenderTest, BalanceThatDoesNotAddUp) {
  EXPECT_THAT(RenderBalance(Message<wire::Balance>("received: 5 unaccounted: -2"), kPlain),
              testing::EndsWith("\nunaccounted: -2\n"));
}

TEST(RenderTest, Plan) {
  EXPECT_EQ(RenderResize(Message<wire::ResizeResponse>(
                             "method: 'channels' steps: 'detach XDP from wan' steps: 'set 2 channels on wan' "
                             "warnings: 'the device offers guest offloads'"),
                         kPlain),
            "warning: the device offers guest offloads\n"
            "plan by channels:\n"
            "   1. detach XDP from wan\n"
            "   2. set 2 channels on wan\n");
}

TEST(RenderTest, NothingToDo) {
  EXPECT_EQ(RenderResize(Message<wire::ResizeResponse>("method: 'none'"), kPlain),
            "nothing to do: this is the current state\n");
}

TEST(RenderTest, Outcome) {
  EXPECT_EQ(RenderResize(Message<wire::ResizeResponse>(
                             "method: 'spread' outcome { method: 'spread' from: 4 to: 2 result: 'done' reordered: 3 "
                             "steps { step: 'set the RSS table of wan' took_ns: 1200000 } }"),
                         kPlain),
            "spread from 4 to 2, done: XDP stayed on; 0 by the bridge, 0 held, 0 lost, at most 3 reordered\n"
            "     1.2ms  set the RSS table of wan\n");
  EXPECT_EQ(RenderResize(Message<wire::ResizeResponse>("method: 'channels' outcome { method: 'channels' from: 4 to: 2 "
                                                       "result: 'rolled back' blocked_ns: 1 error: 'wan: busy' }"),
                         kPlain),
            "channels from 4 to 2, rolled back: XDP was off for 1ns; 0 by the bridge, 0 held, 0 lost, "
            "0 reordered\n  wan: busy\n");
  EXPECT_EQ(RenderResize(Message<wire::ResizeResponse>(
                             "method: 'spread' outcome { method: 'spread' from: 4 to: 2 result: 'done' lost: 5 "
                             "lost_by { key: 'tx_ring_full' value: 3 } lost_by { key: 'no_frame' value: 2 } }"),
                         kPlain),
            "spread from 4 to 2, done: XDP stayed on; 0 by the bridge, 0 held, 5 lost (2 no_frame, 3 tx_ring_full), "
            "0 reordered\n");
}

TEST(RenderTest, Stats) {
  const wire::StatsResponse before = Message<wire::StatsResponse>(
      "monotonic_ns: 1000000000 ports { name: 'wan' queues { index: 0 rx_packets: 100 drops { key: 'function' value: 9 "
      "} } }");
  const wire::StatsResponse after = Message<wire::StatsResponse>(
      "monotonic_ns: 2000000000 ports { name: 'wan' queues { index: 0 rx_packets: 300 tx_packets: 5 drops { key: "
      "'function' value: 10 } drops { key: 'no_frame' } xdp_packets { key: 'dataplane' value: 301 } } "
      "queues { index: 1 drops { key: 'function' value: 1 } checksums_completed: 4 } bridge { rx_packets: 7 } "
      "rx_drops: 3 rx_xdp_drops: 0 } balance { received: 300 }");
  EXPECT_EQ(RenderStats(after, Rates(before, after), kPlain),
            R"(PORT   QUEUE  RX PACKETS  RX/S  TX PACKETS  TX/S  DROPS  DROPS/S
wan        0         300   200           5     5     10        1
wan        1           0     -           0     -      1        -
wan   bridge           7     -           0     -      0        -

PORT  KIND      NAME       PACKETS
wan   xdp       dataplane      301
wan   drop      function        11
wan   checksum  completed        4
wan   driver    rx_drops         3

received 300 + originated 0 = transmitted 0 + passed 0 + offloaded 0 + dropped 0 + held 0
balanced
)");
}

TEST(RatesTest, CounterThatWentBackIsNoRate) {
  const wire::StatsResponse high =
      Message<wire::StatsResponse>("monotonic_ns: 1 ports { name: 'a' bridge { rx_packets: 10 } }");
  const wire::StatsResponse low =
      Message<wire::StatsResponse>("monotonic_ns: 1000000001 ports { name: 'a' bridge { rx_packets: 1 } }");
  EXPECT_EQ(Rates(high, low).Get("a", kBridgeIndex)->rx_pps, 0);
  EXPECT_FALSE(Rates(low, high).Get("a", kBridgeIndex).has_value());
  EXPECT_FALSE(Rates(high, high).Get("a", kBridgeIndex).has_value());
  EXPECT_FALSE(Rates().Get("a", 0).has_value());
}

const char* const kDoctor = R"(
  findings { check: "kernel" severity: SEVERITY_OK what: "kernel 6.12.0" }
  findings { check: "guest_offloads" port: "wan" severity: SEVERITY_NOTE what: "the device offers guest_csum"
             cost: "a channels resize takes XDP off for a moment; they come back then, "
                   "and attaching again drops what is queued"
             fix: "QEMU: -device virtio-net-pci,guest_csum=off\nlibvirt: <guest csum='off'/>" }
  findings { check: "napi_tx" port: "wan" severity: SEVERITY_ERROR what: "napi_tx=0" })";

TEST(RenderTest, Doctor) {
  const wire::DoctorResponse doctor = Message<wire::DoctorResponse>(kDoctor);
  EXPECT_EQ(RenderDoctor(doctor, kPlain), R"(machine
  ok       kernel           kernel 6.12.0

port wan
  note     guest_offloads   the device offers guest_csum
           cost: a channels resize takes XDP off for a moment; they come back then, and
                 attaching again drops what is queued
           fix:  QEMU: -device virtio-net-pci,guest_csum=off
                 libvirt: <guest csum='off'/>
  ERROR    napi_tx          napi_tx=0

1 error, 0 warnings, 1 note, 1 ok
)");
  EXPECT_TRUE(HasErrors(doctor));
  EXPECT_FALSE(HasErrors(wire::DoctorResponse()));
}

TEST(RenderTest, ColoursOnlyWhenAsked) {
  const wire::DoctorResponse doctor = Message<wire::DoctorResponse>(kDoctor);
  EXPECT_EQ(RenderDoctor(doctor, kPlain).find('\033'), std::string::npos);
  EXPECT_THAT(RenderDoctor(doctor, Style{true}), testing::HasSubstr("\033[31mERROR\033[0m    napi_tx"));
}

TEST(TableTest, WrapKeepsWordsAndLineBreaks) {
  EXPECT_EQ(Wrap("a: ", "b c\nd"), "a: b c\n   d\n");
  EXPECT_EQ(Wrap("", ""), "\n");
  const std::string word(200, 'x');
  EXPECT_EQ(Wrap("- ", "a " + word), "- a\n  " + word + "\n");
  const std::vector<std::string> lines = absl::StrSplit(Wrap("> ", std::string(500, 'x').replace(50, 1, " ")), '\n');
  EXPECT_EQ(lines[0].size(), 52u);
}

TEST(TableTest, Numbers) {
  EXPECT_EQ(Short(0), "0");
  EXPECT_EQ(Short(999), "999");
  EXPECT_EQ(Short(1234), "1.23k");
  EXPECT_EQ(Short(12345), "12.3k");
  EXPECT_EQ(Short(123456), "123k");
  EXPECT_EQ(Short(1.5e6), "1.50M");
  EXPECT_EQ(Short(2e9), "2.00G");
  EXPECT_EQ(DurationText(0), "0");
  EXPECT_EQ(DurationText(1'234), "1.234us");
  EXPECT_EQ(DurationText(98'234'567), "98.2ms");
  EXPECT_EQ(DurationText(1'600'000'000), "1.6s");
}

TEST(JsonTest, OriginalNamesZeroesIncludedCountersAsStrings) {
  const std::string json = ToJson(Message<wire::StatusResponse>(kStatus), JsonLayout::kOneLine);
  EXPECT_THAT(json, testing::HasSubstr(R"("queue_pairs":{"current":2,"max":4,"wanted":2,"open":2})"));
  EXPECT_THAT(json, testing::HasSubstr(R"("rx_packets":"1000")"));
  EXPECT_THAT(json, testing::HasSubstr(R"("busy_ratio":0.125)"));
  EXPECT_THAT(json, testing::HasSubstr(R"("reordered":"0")"));
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 1);
}

TEST(RenderTest, ConfigChanges) {
  EXPECT_EQ(RenderChanges(Message<wire::ConfigResponse>(R"(
      changes { key: "dataplane.queue_pairs" before: "1" after: "2" }
      changes { key: "function.type" before: "reflect" after: "forward" needs_restart: true }
      rules { change: "removed" from: 3 rule: "proto=tcp -> pass" }
      rules { change: "added" to: 1 rule: "everything -> drop" }
      rules { change: "moved" from: 1 to: 2 rule: "vlan = 7 -> pass" })"),
                          kPlain),
            R"(KEY                    RUNNING  FILE     CHANGES
dataplane.queue_pairs  1        2        live
function.type          reflect  forward  by a restart
- rule 3: proto=tcp -> pass
+ rule 1: everything -> drop
  rule 1 becomes rule 2: vlan = 7 -> pass
)");
  EXPECT_EQ(RenderChanges(wire::ConfigResponse(), kPlain), "no differences\n");
}

TEST(RenderTest, ConfigStatus) {
  EXPECT_EQ(RenderConfigStatus(wire::ConfigStatus(), kPlain), "");
  EXPECT_EQ(RenderConfigStatus(Message<wire::ConfigStatus>(R"(
      file: "/last-good.toml" state: "last good" problems: "/f.toml:3: x: unknown key"
      pending { file: "/g.toml" seconds_left: 7 })"),
                               kPlain),
            R"(configuration /last-good.toml
  /f.toml:3: x: unknown key
  not confirmed: rolled back in 7 s without `sluicectl config confirm`
)");
  EXPECT_EQ(RenderConfigStatus(
                Message<wire::ConfigStatus>("file: '/f' pending { file: '/g' error: 'rules: no memory' }"), kPlain),
            "configuration /f\n  /g is being rolled back, which did not work yet: rules: no memory\n");
}

}  // namespace
}  // namespace sluice::cli
