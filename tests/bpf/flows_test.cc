// SPDX-License-Identifier: Apache-2.0
//
// Offloaded flows: the packets that XDP sends on by itself, and from when on it does.
#include "tests/bpf/flow_runs.h"

namespace sluice::bpf_test {
namespace {

using FlowsTest = FlowRuns;

Bytes udp(uint16_t port = 53) {
  return Packet().eth().ipv4("10.0.0.1", "10.0.0.2").udp(1000, port).payload(18).bytes();
}

TEST_F(FlowsTest, AnOffloadedFlowIsSentAndCounted) {
  const Entry flow = flow_of(udp(), SLUICE_FLOW_OFFLOADED);
  put(flow);
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
  EXPECT_EQ(2u, get(flow).flow.packets);
  EXPECT_EQ(2 * udp().size(), get(flow).flow.bytes);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp(54))) << "another flow";
}

TEST_F(FlowsTest, AFlowForBothIsNeverOffloaded) {
  put(flow_of(udp(), SLUICE_FLOW_OFFLOADED));
  set_rules({Rule().dst_port(53).both()});
  EXPECT_EQ("PASS -", xdp(udp()));
  EXPECT_EQ("PASS -", xdp(udp())) << "the first packet did not make XDP trust the entry";
  set_rules({Rule().dst_port(53).dataplane()});
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
}

TEST_F(FlowsTest, EveryWayOfBothBucketsIsLookedAt) {
  for (uint32_t way = 0; way < SLUICE_FLOW_PROBES * SLUICE_FLOW_WAYS; ++way) {
    const Entry flow = flow_of(udp(), SLUICE_FLOW_OFFLOADED);
    put(flow, way);
    EXPECT_EQ("TX OFFLOADED", xdp(udp())) << way;
    EXPECT_EQ(1u, get(flow, way).flow.packets) << way;
    put(flow_of(udp(), SLUICE_FLOW_FREE), way);
  }
}

TEST_F(FlowsTest, XdpSendsFlowsInTwoStatesAtOnce) {
  for (const uint32_t state :
       std::initializer_list<uint32_t>{SLUICE_FLOW_FREE, SLUICE_FLOW_CLAIMED, SLUICE_FLOW_SEEN, SLUICE_FLOW_PENDING,
                                       SLUICE_FLOW_GONE, SLUICE_FLOW_GONE + 1}) {
    put(flow_of(udp(), state));
    EXPECT_EQ("PASS NO_SOCKET", xdp(udp())) << state;
  }
  const Entry leaving = flow_of(udp(), SLUICE_FLOW_LEAVING);
  put(leaving);
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
  EXPECT_EQ(uint32_t{SLUICE_FLOW_OFFLOADED}, get(leaving).flow.state)
      << "a packet makes a LEAVING entry OFFLOADED again";
}

TEST_F(FlowsTest, NothingIsOffloadedInAnotherEpochOrWithoutOffload) {
  Entry flow = flow_of(udp(), SLUICE_FLOW_OFFLOADED);
  flow.flow.epoch = kEpoch - 1;
  put(flow);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp()));
  flow.flow.epoch = kEpoch;
  put(flow);
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
  config_.flags &= ~static_cast<uint32_t>(SLUICE_CONFIG_OFFLOAD);
  apply();
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp()));
}

TEST_F(FlowsTest, APendingFlowWaitsUntilItsLastPacketIsDone) {
  Entry flow = flow_of(udp(), SLUICE_FLOW_PENDING);
  const auto with_mark = [&](uint32_t mark, uint32_t queue_plus_one) {
    flow.detail.last_delivered = mark;
    flow.detail.last_queue = queue_plus_one;
    put(flow);
  };
  set_done(0, 5);
  with_mark(0, 0);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp())) << "no packet of the flow was given to the dataplane yet";
  with_mark(6, 1);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp())) << "packet 6 is not completed yet";
  with_mark(5, 2);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp())) << "the flow's last packet was on another queue";
  with_mark(5, 1);
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
  EXPECT_EQ(uint32_t{SLUICE_FLOW_OFFLOADED}, get(flow).flow.state);

  set_done(0, 2);  // numbers have wrapped
  with_mark(0xfffffffe, 1);
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
  set_done(0, 0xfffffffe);
  with_mark(2, 1);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp()));
}

TEST_F(FlowsTest, APacketWithoutASocketIsNotNumbered) {
  const Entry flow = flow_of(udp(), SLUICE_FLOW_PENDING);
  put(flow);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp()));
  EXPECT_EQ(0u, get(flow).detail.last_queue);
}

TEST_F(FlowsTest, APendingFlowWaitsWhileTheSocketOverflows) {
  Entry flow = flow_of(udp(), SLUICE_FLOW_PENDING);
  const uint32_t queue = 0;
  const sluice_queue_credit credit = {.delivered = 9, .completed = 5, .overflowing = 1};
  ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_credit, &queue, sizeof(queue), &credit, sizeof(credit), 0));
  put(flow);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp())) << "the dataplane has no packet of the flow";
  flow.detail.last_delivered = 6;
  flow.detail.last_queue = 1;
  put(flow);
  EXPECT_EQ("DROP OVERLOADED", xdp(udp()));
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp(54))) << "this flow is not offloaded";
  flow.detail.last_delivered = 5;
  put(flow);
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
  set_done(0, 0);
}

TEST_F(FlowsTest, OnlyThePortsMacIsOffloadedIfTheFunctionWantsThat) {
  config_.flags |= SLUICE_CONFIG_OWN_MAC_ONLY;
  std::copy(kPortMac.begin(), kPortMac.end(), config_.mac);
  apply();
  put(flow_of(udp(), SLUICE_FLOW_OFFLOADED));
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
  EXPECT_EQ("PASS -", xdp(Packet().eth(kOtherMac).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).payload(18).bytes()));
}

TEST_F(FlowsTest, APortThatIsNotThereLeavesThePacketToTheDataplane) {
  Entry flow = flow_of(udp(), SLUICE_FLOW_OFFLOADED);
  flow.flow.out_port = 3;
  put(flow);
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp()));
  EXPECT_EQ(0u, get(flow).flow.packets);
}

// Each packet differs from one of an offloaded flow in one respect, and takes the way of packets without such a flow.
TEST_F(FlowsTest, ExtraordinaryPacketsAreNotOffloaded) {
  const auto ipv4 = [](unsigned options, uint16_t fragment) {
    return Packet().eth().ipv4("10.0.0.1", "10.0.0.2", options, fragment);
  };
  put(flow_of(udp(), SLUICE_FLOW_OFFLOADED));
  put(flow_of(ipv4(0, 0).tcp(1000, 53).bytes(), SLUICE_FLOW_OFFLOADED));
  put(flow_of(Packet().eth().ipv6("2001:db8::1", "2001:db8::2").udp(1000, 53).payload(18).bytes(),
              SLUICE_FLOW_OFFLOADED));
  ASSERT_EQ("TX OFFLOADED", xdp(udp()));
  ASSERT_EQ("TX OFFLOADED", xdp(ipv4(0, 0).tcp(1000, 53).bytes()));

  const std::vector<std::pair<std::string, Packet>> rows = {
      {"IPv4 options", ipv4(1, 0).udp(1000, 53).payload(18)},
      {"first fragment", ipv4(0, 0x2000).udp(1000, 53).payload(18)},
      {"a tag", Packet().eth().vlan(10).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).payload(18)},
      {"two tags", Packet().eth().vlan(10).vlan(20).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).payload(18)},
      {"SCTP", ipv4(0, 0).sctp(1000, 53).payload(18)},
      {"extension header", Packet().eth().ipv6("2001:db8::1", "2001:db8::2").extension(0).udp(1000, 53).payload(18)},
      {"trailing bytes in the UDP packet", ipv4(0, 0).udp(1000, 53).poke(4, {0, 9}).payload(18)},
  };
  for (const auto& [name, packet] : rows) {
    EXPECT_EQ("PASS NO_SOCKET", xdp(packet.bytes())) << name;
  }
  EXPECT_EQ("DROP MALFORMED", xdp(ipv4(0, 0).tcp(1000, 53).poke(12, {0x40}).bytes())) << "TCP header too short";
  EXPECT_EQ("DROP MALFORMED", xdp(ipv4(0, 0).udp(1000, 53).poke(4, {0, 99}).payload(18).bytes())) << "UDP too long";
}

// A dataplane that was taken over can write any entry. What the agent's maps say of the packet comes first.
using ForgedFlowsTest = FlowRuns;

TEST_F(ForgedFlowsTest, NoEntryPassesARule) {
  for (const uint32_t state : std::initializer_list<uint32_t>{SLUICE_FLOW_OFFLOADED, SLUICE_FLOW_LEAVING}) {
    draw_secrets();
    put(flow_of(udp(), state));
    set_rules({Rule().proto(17).dst_port(53).drop()});
    EXPECT_EQ("DROP DROP", xdp(udp())) << state;
    EXPECT_EQ(0u, get(flow_of(udp(), state)).flow.packets);
    set_rules({Rule().proto(17).dst_port(53).pass()});
    EXPECT_EQ("PASS -", xdp(udp())) << state;
    set_rules({});
    EXPECT_EQ("TX OFFLOADED", xdp(udp())) << state;
  }
}

TEST_F(ForgedFlowsTest, NoEntryPassesTheBlocklist) {
  put(flow_of(udp(), SLUICE_FLOW_OFFLOADED));
  block({"10.0.0.0/24"});
  EXPECT_EQ("DROP BLOCKED", xdp(udp()));
  block({});
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
}

TEST_F(ForgedFlowsTest, NoEntryTakesTheGuestsOwnPackets) {
  add_local("10.0.0.2");
  put(flow_of(udp(), SLUICE_FLOW_OFFLOADED));
  EXPECT_EQ("PASS -", xdp(udp()));
  // Nor has them dropped by a socket that it says overflows.
  Entry pending = flow_of(udp(), SLUICE_FLOW_PENDING);
  pending.detail.last_delivered = 6;
  pending.detail.last_queue = 1;
  put(pending);
  const uint32_t queue = 0;
  const sluice_queue_credit credit = {.delivered = 9, .completed = 5, .overflowing = 1};
  ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_credit, &queue, sizeof(queue), &credit, sizeof(credit), 0));
  EXPECT_EQ("PASS -", xdp(udp()));
  set_done(0, 0);
}

TEST_F(ForgedFlowsTest, AnEntryThatIsTrustedCannotBecomeAnother) {
  set_rules({Rule().proto(17).dst_port(54).drop()});
  const Entry good = flow_of(udp(53), SLUICE_FLOW_OFFLOADED);
  const uint32_t bucket = sluice_flow_hash(&good.flow.key) & (config_.flow_buckets - 1);
  // A flow that the rule drops, and whose entry is at the same place.
  Bytes bad;
  for (uint16_t from = 1; bad.empty(); ++from) {
    const Bytes packet = Packet().eth().ipv4("10.0.0.1", "10.0.0.2").udp(from, 54).payload(18).bytes();
    const sluice_flow_key key = key_of(packet);
    bad = (sluice_flow_hash(&key) & (config_.flow_buckets - 1)) == bucket ? packet : Bytes();
  }
  put(good);
  EXPECT_EQ("TX OFFLOADED", xdp(udp(53)));
  EXPECT_EQ("TX OFFLOADED", xdp(udp(53)));
  put(flow_of(bad, SLUICE_FLOW_OFFLOADED));
  EXPECT_EQ("DROP DROP", xdp(bad));
  put(good);
  EXPECT_EQ("TX OFFLOADED", xdp(udp(53)));
}

TEST_F(ForgedFlowsTest, TrustEndsWithTheEpochAndItsSecrets) {
  put(flow_of(udp(), SLUICE_FLOW_OFFLOADED));
  ASSERT_EQ("TX OFFLOADED", xdp(udp()));
  // As the agent does it: other rules, another epoch and other secrets. The entry follows into the epoch.
  Entry forged = flow_of(udp(), SLUICE_FLOW_OFFLOADED);
  config_.flow_epoch = kEpoch + 1;
  draw_secrets();
  set_rules({Rule().proto(17).dst_port(53).drop()});
  EXPECT_EQ("DROP DROP", xdp(udp())) << "of the former epoch";
  forged.flow.epoch = kEpoch + 1;
  put(forged);
  EXPECT_EQ("DROP DROP", xdp(udp()));
  set_rules({});
  EXPECT_EQ("TX OFFLOADED", xdp(udp()));
}

TEST_F(ForgedFlowsTest, EveryEntryLeavesByAPortOfTheFunction) {
  config_.ifindex[0] = 1;
  apply();
  for (uint32_t port = 0; port < 0x10000; port += port < 16 ? 1 : 4093) {
    Entry forged = flow_of(udp(), SLUICE_FLOW_OFFLOADED);
    forged.flow.out_port = static_cast<uint16_t>(port);
    put(forged);
    EXPECT_EQ(port % SLUICE_MAX_PORTS == 0 ? "TX OFFLOADED" : "PASS NO_SOCKET", xdp(udp())) << port;
  }
}

}  // namespace
}  // namespace sluice::bpf_test
