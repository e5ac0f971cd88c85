// SPDX-License-Identifier: Apache-2.0
//
// Frames on their way from the dataplane to the kernel, packet by packet. tests/kernel/to_kernel_test.cc shows that
// real frames arrive, which BPF_PROG_TEST_RUN cannot: its packets have no sending socket.
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class ToKernel : public Programs {
 protected:
  void SetUp() override {
    Programs::SetUp();
    if (IsSkipped()) {
      return;
    }
    config_.bridge_mode = SLUICE_BRIDGE_DROP;
    config_.bridge_socket = ~uint64_t{0};
    std::copy(kToken.begin(), kToken.end(), config_.token);
    apply();
  }
  static constexpr std::array<uint32_t, SLUICE_TOKEN_WORDS> kToken = {1, 2, 3, 4};
  const Bytes packet_ = Packet().eth().ipv4("10.0.0.1", "10.0.0.9").tcp(1, 2).payload(100).bytes();
};

TEST_F(ToKernel, TheTokenLetsAFrameIntoTheStackUncounted) {
  EXPECT_EQ("OK -", tc(packet_, {.token = kToken}));
  EXPECT_EQ("SHOT DOWN_DROP", tc(packet_));
}

TEST_F(ToKernel, EachOfItsBitsCounts) {
  for (uint32_t bit = 0; bit < 32 * SLUICE_TOKEN_WORDS; ++bit) {
    auto other = kToken;
    other[bit / 32] ^= 1U << (bit % 32);
    EXPECT_EQ("SHOT DOWN_DROP", tc(packet_, {.token = other})) << bit;
  }
}

TEST_F(ToKernel, WithoutASocketThereIsNoToken) {
  config_.bridge_socket = 0;
  apply();
  EXPECT_EQ("SHOT DOWN_DROP", tc(packet_, {.token = kToken}));
  std::fill(std::begin(config_.token), std::end(config_.token), 0);
  apply();
  EXPECT_EQ("SHOT DOWN_DROP", tc(packet_))
      << "a packet without a token, that is with one of zeros, is not let through either";
}

TEST_F(ToKernel, RulesAndTheBlocklistAreForReceivedPackets) {
  set_rules({Rule().dst_port(2).drop()});
  block({"10.0.0.1/32"});
  EXPECT_EQ("OK -", tc(packet_, {.token = kToken}));
  EXPECT_EQ("SHOT BLOCKED", tc(packet_));
}

TEST_F(ToKernel, TheNearEndDropsAndCountsFramesOfOtherSockets) {
  const uint64_t before = to_kernel_counters().strays;
  EXPECT_EQ("SHOT", to_kernel(packet_));
  config_.bridge_socket = 0;
  apply();
  EXPECT_EQ("SHOT", to_kernel(packet_));
  config_.flags = 0;
  apply();
  EXPECT_EQ("SHOT", to_kernel(packet_)) << "the configuration is not ACTIVE";
  EXPECT_EQ(to_kernel_counters().strays, before + 3);
  EXPECT_EQ(to_kernel_counters().packets, 0U);
}

// The group bit in the source MAC lets frames for the kernel pass a generic program. A native one never sees them.
TEST_F(ToKernel, OnlyGenericXdpLetsFramesFromAGroupGoOn) {
  Bytes from_group = packet_;
  from_group[6] |= 1;
  const Bytes shorter(from_group.begin(), from_group.begin() + 14);
  set_rules({Rule().dst_port(2).drop()});
  EXPECT_EQ("DROP DROP", xdp(from_group));
  config_.flags |= SLUICE_CONFIG_GENERIC_XDP;
  apply();
  EXPECT_EQ("PASS -", xdp(from_group));
  EXPECT_EQ("PASS -", xdp(shorter));
  EXPECT_EQ("DROP DROP", xdp(packet_));
}

}  // namespace
}  // namespace sluice::bpf_test
