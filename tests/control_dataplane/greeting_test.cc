#include "control/dataplane/greeting.h"

#include <gmock/gmock.h>
#include <sys/mman.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/contract/stats_segment.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::vector<UniqueFd> Descriptors(size_t count) {
  std::vector<UniqueFd> fds;
  for (size_t i = 0; i < count; ++i) {
    fds.emplace_back(memfd_create("greeting_test", MFD_CLOEXEC));
  }
  return fds;
}

// A dataplane of two ports that holds lane 3 and the bridge lane.
dataplane::Report GoodHello() {
  dataplane::Report report;
  dataplane::Hello& hello = *report.mutable_hello();
  hello.set_contract_version(dataplane::CONTRACT_VERSION_CURRENT);
  hello.set_configured(true);
  hello.set_held_lanes(2);
  hello.set_transmit_lanes(1);
  hello.add_cores(0);
  hello.mutable_configuration()->set_function("reflect");
  hello.mutable_configuration()->add_ports()->set_name("wan");
  hello.mutable_configuration()->add_ports()->set_name("lan");
  return report;
}

dataplane::Report GoodLane(uint32_t index) {
  dataplane::Report report;
  dataplane::LaneSpec& lane = *report.mutable_held_lane()->mutable_lane();
  lane.set_index(index);
  lane.set_kind(index == kBridgeLane ? dataplane::LANE_KIND_BRIDGE : dataplane::LANE_KIND_PAIR);
  lane.set_frame_count(16384);
  lane.set_frame_size_bytes(2048);
  for (uint32_t port = 0; port < 2; ++port) {
    dataplane::LaneSocket& socket = *lane.add_sockets();
    socket.set_port(port);
    socket.set_xskmap_key(index == kBridgeLane ? 0 : index);
    socket.set_fill_size(2048);
    socket.set_completion_size(2048);
    socket.set_rx_size(2048);
    socket.set_tx_size(2048);
  }
  return report;
}

TEST(Greeting, IsCompleteWithItsLastLane) {
  GreetingParser parser;
  EXPECT_EQ(parser.Take(GoodHello(), Descriptors(2)), absl::StatusOr<bool>(false));
  EXPECT_EQ(parser.Take(GoodLane(3), Descriptors(5)), absl::StatusOr<bool>(false));
  EXPECT_EQ(parser.Take(GoodLane(kBridgeLane), Descriptors(5)), absl::StatusOr<bool>(true));
  const Greeting greeting = parser.Finish();
  EXPECT_TRUE(greeting.stats && greeting.state);
  ASSERT_EQ(greeting.lanes.size(), 2U);
  EXPECT_EQ(greeting.lanes[1].spec.index(), kBridgeLane);
  EXPECT_EQ(greeting.lanes[1].fds.size(), 5U);
}

TEST(Greeting, OfAFreshDataplaneIsOneMessage) {
  dataplane::Report report;
  report.mutable_hello()->set_contract_version(dataplane::CONTRACT_VERSION_CURRENT);
  EXPECT_EQ(GreetingParser().Take(report, {}), absl::StatusOr<bool>(true));
  EXPECT_TRUE(absl::IsDataLoss(GreetingParser().Take(report, Descriptors(1)).status()));
  report.mutable_hello()->set_held_lanes(1);
  EXPECT_TRUE(absl::IsDataLoss(GreetingParser().Take(report, {}).status()));
}

TEST(Greeting, AHelloThatLiesIsRefused) {
  const struct {
    const char* words;
    std::function<void(dataplane::Hello&)> lie;
    size_t descriptors = 1;
  } cases[] = {
      {"4000000000 lanes", [](auto& hello) { hello.set_held_lanes(4'000'000'000); }},
      {"66 lanes", [](auto& hello) { hello.set_held_lanes(kMaxLanes + 1); }},
      {"65 to transmit by", [](auto& hello) { hello.set_transmit_lanes(kMaxPairLanes + 1); }},
      {"core has an impossible number", [](auto& hello) { hello.set_cores(0, 1 << 20); }},
      {"65 workers", [](auto& hello) { hello.mutable_cores()->Resize(kMaxWorkers + 1, 0); }},
      {"0 ports", [](auto& hello) { hello.mutable_configuration()->clear_ports(); }},
      {"5 ports",
       [](auto& hello) {
         for (int i = 0; i < 3; ++i) {
           hello.mutable_configuration()->add_ports();
         }
       }},
      {"name of 5000 bytes",
       [](auto& hello) { hello.mutable_configuration()->mutable_ports(0)->set_name(std::string(5000, 'x')); }},
      {"settings are too long",
       [](auto& hello) {
         for (int i = 0; i < 1000; ++i) {
           (*hello.mutable_configuration()->mutable_settings())[std::to_string(i)] = "x";
         }
       }},
      {"setting is too long",
       [](auto& hello) { (*hello.mutable_configuration()->mutable_settings())["x"] = std::string(5000, 'x'); }},
      {"0 descriptors", [](auto&) {}, 0},
      {"3 descriptors", [](auto&) {}, 3},
  };
  for (const auto& c : cases) {
    dataplane::Report report = GoodHello();
    c.lie(*report.mutable_hello());
    const absl::Status s = GreetingParser().Take(report, Descriptors(c.descriptors)).status();
    EXPECT_TRUE(absl::IsDataLoss(s)) << c.words;
    EXPECT_THAT(std::string(s.message()), HasSubstr(c.words));
  }
}

TEST(Greeting, ALaneThatLiesIsRefused) {
  const struct {
    const char* words;
    std::function<void(dataplane::HeldLane&)> lie;
    size_t descriptors = 5;
  } cases[] = {
      {"no lane 65", [](auto& held) { held.mutable_lane()->set_index(kMaxLanes); }},
      {"no lane 4294967295", [](auto& held) { held.mutable_lane()->set_index(UINT32_MAX); }},
      {"another kind", [](auto& held) { held.mutable_lane()->set_kind(dataplane::LANE_KIND_BRIDGE); }},
      {"another kind", [](auto& held) { held.mutable_lane()->set_index(kBridgeLane); }},
      {"lane 0 twice", [](auto& held) { held = GoodLane(0).held_lane(); }},
      {"no worker 64", [](auto& held) { held.set_worker(kMaxWorkers); }},
      {"of port 1000000", [](auto& held) { held.mutable_lane()->mutable_sockets(1)->set_port(1'000'000); }},
      {"socket 1 of lane 3 is of port 0", [](auto& held) { held.mutable_lane()->mutable_sockets(1)->set_port(0); }},
      {"1 sockets for 2 ports", [](auto& held) { held.mutable_lane()->mutable_sockets()->RemoveLast(); }},
      {"entry 4 of its XSKMAP", [](auto& held) { held.mutable_lane()->mutable_sockets(0)->set_xskmap_key(4); }},
      {"frames of 1024 bytes", [](auto& held) { held.mutable_lane()->set_frame_size_bytes(1024); }},
      {"frames of 4294967295 bytes", [](auto& held) { held.mutable_lane()->set_frame_size_bytes(UINT32_MAX); }},
      {"0 frames", [](auto& held) { held.mutable_lane()->set_frame_count(0); }},
      {"4294967295 frames", [](auto& held) { held.mutable_lane()->set_frame_count(UINT32_MAX); }},
      {"impossible sizes", [](auto& held) { held.mutable_lane()->mutable_sockets(1)->set_fill_size(0); }},
      {"impossible sizes", [](auto& held) { held.mutable_lane()->mutable_sockets(1)->set_rx_size(100); }},
      {"impossible sizes", [](auto& held) { held.mutable_lane()->mutable_sockets(1)->set_tx_size(1U << 31); }},
      {"came with 4 descriptors", [](auto&) {}, 4},
      {"came with 0 descriptors", [](auto&) {}, 0},
      {"came with 6 descriptors", [](auto&) {}, 6},
  };
  for (const auto& c : cases) {
    GreetingParser parser;
    ASSERT_TRUE(parser.Take(GoodHello(), Descriptors(1)).ok());
    ASSERT_TRUE(parser.Take(GoodLane(0), Descriptors(5)).ok());
    dataplane::Report report = GoodLane(3);
    c.lie(*report.mutable_held_lane());
    const absl::Status s = parser.Take(report, Descriptors(c.descriptors)).status();
    EXPECT_TRUE(absl::IsDataLoss(s)) << c.words;
    EXPECT_THAT(std::string(s.message()), HasSubstr(c.words));
  }
}

TEST(Greeting, BeginsWithHelloAndHasLanesThen) {
  EXPECT_TRUE(absl::IsDataLoss(GreetingParser().Take(GoodLane(0), Descriptors(5)).status()));
  EXPECT_TRUE(absl::IsDataLoss(GreetingParser().Take({}, {}).status()));
  GreetingParser parser;
  ASSERT_TRUE(parser.Take(GoodHello(), Descriptors(1)).ok());
  EXPECT_TRUE(absl::IsDataLoss(parser.Take(GoodHello(), Descriptors(1)).status()));
}

}  // namespace
}  // namespace sluice
