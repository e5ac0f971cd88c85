// SPDX-License-Identifier: Apache-2.0
//
// The self-test's frame in XDP: only a port that does not steer yet looks for it, and only for the token of the test
// that runs.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>

#include "bpf/sluice_steer.skel.h"
#include "dataplane/contract/self_test_frame.h"
#include "tests/bpf/network.h"
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class SelfTest : public Programs {
 protected:
  void SetUp() override {
    SetUpDevices(
        "ip link add port numrxqueues 2 numtxqueues 2 type veth peer name wire numrxqueues 2 numtxqueues 2 && "
        "ip link set port up && ip link set wire up");
    if (IsSkipped()) {
      return;
    }
    port_ = if_nametoindex("port");
    ASSERT_EQ(0, bpf_xdp_attach(static_cast<int>(port_), bpf_program__fd(steer()->progs.sluice_steer), 0, nullptr));
    config_.flags = 0;
    apply();
  }
  void TearDown() override {
    for (const uint32_t queue : {0U, 1U}) {
      expect(queue, {});
      bpf_map__delete_elem(steer()->maps.sluice_xsks, &queue, sizeof(queue), 0);
    }
  }

  void expect(uint32_t queue, const SelfTestToken& token, bool live = false) {
    sluice_self_test test{};
    std::copy(token.begin(), token.end(), test.token);
    test.is_live = live ? 1 : 0;
    ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_selftest, &queue, sizeof(queue), &test, sizeof(test), 0));
  }
  sluice_self_test noted(uint32_t queue) const {
    sluice_self_test test{};
    bpf_map__lookup_elem(steer()->maps.sluice_selftest, &queue, sizeof(queue), &test, sizeof(test), 0);
    return test;
  }
  uint32_t delivered(uint32_t queue) const {
    sluice_queue_credit credit{};
    bpf_map__lookup_elem(steer()->maps.sluice_credit, &queue, sizeof(queue), &credit, sizeof(credit), 0);
    return credit.delivered;
  }
  void enter(uint32_t queue, int socket) {
    ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_xsks, &queue, sizeof(queue), &socket, sizeof(socket), 0));
  }
  static Bytes frame(const SelfTestToken& token) {
    const sluice_self_test_frame made = MakeSelfTestFrame({2, 0, 0, 0, 0, 1}, token);
    const auto* bytes = reinterpret_cast<const uint8_t*>(&made);
    return {bytes, bytes + sizeof(made)};
  }

  const SelfTestToken token_ = {1, 2, 3, 4};
  uint32_t port_ = 0;
};

TEST_F(SelfTest, NotesTheSocketOfTheQueueAndRedirects) {
  const Descriptor socket = bind_xsk(port_, 1);
  ASSERT_TRUE(socket) << strerror(errno);
  expect(1, token_);
  EXPECT_EQ("DROP -", xdp(frame(token_), port_, 1));
  EXPECT_EQ(1u, noted(1).seen);
  EXPECT_EQ(0u, noted(1).has_socket) << "nothing is in the XSKMAP";
  enter(1, socket.get());
  const uint32_t before = delivered(1);
  EXPECT_EQ("REDIRECT -", xdp(frame(token_), port_, 1)) << "no verdict: it is no packet";
  EXPECT_EQ(2u, noted(1).seen);
  EXPECT_EQ(1u, noted(1).has_socket);
  EXPECT_EQ(1u, noted(1).socket_queue);
  EXPECT_EQ(before, delivered(1)) << "this run delivers nothing";
  expect(1, token_, /*live=*/true);
  EXPECT_EQ("REDIRECT -", xdp(frame(token_), port_, 1));
  EXPECT_EQ(before + 1, delivered(1));
}

TEST_F(SelfTest, NotesASocketOfAnotherQueue) {
  const Descriptor socket = bind_xsk(port_, 1);
  ASSERT_TRUE(socket) << strerror(errno);
  enter(0, socket.get());
  expect(0, token_);
  EXPECT_EQ("REDIRECT -", xdp(frame(token_), port_, 0));
  EXPECT_EQ(1u, noted(0).socket_queue);
}

TEST_F(SelfTest, OtherFramesPassAndLeaveNoNote) {
  const SelfTestToken other = {1, 2, 3, 5};
  Bytes untagged = frame(token_);
  untagged[12] = 0x88;
  Bytes other_ethertype = frame(token_);
  other_ethertype[17] = 0xb6;
  Bytes shorter = frame(token_);
  shorter.pop_back();
  expect(0, token_);
  for (const Bytes& packet : {frame(other), untagged, other_ethertype, shorter}) {
    EXPECT_EQ("PASS -", xdp(packet, port_, 0));
  }
  EXPECT_EQ("PASS -", xdp(frame(token_), port_, 1)) << "queue 1 is not tested";
  EXPECT_EQ(0u, noted(0).seen);
}

TEST_F(SelfTest, NoStrangerUsesItWhileNoTestRuns) {
  EXPECT_EQ("PASS -", xdp(frame({0, 0, 0, 0}), port_, 0)) << "a map of zeros";
  EXPECT_EQ("PASS -", xdp(frame({0, 2, 3, 4}), port_, 0));
  expect(0, token_);
  config_.flags = SLUICE_CONFIG_ACTIVE;
  apply();
  EXPECT_EQ("PASS NO_SOCKET", xdp(frame(token_), port_, 0)) << "a port that steers takes it for a packet";
  EXPECT_EQ(0u, noted(0).seen);
}

}  // namespace
}  // namespace sluice::bpf_test
