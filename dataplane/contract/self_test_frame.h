// The frame by which the agent tests the way from XDP to a lane before a port steers (bpf/self_test.h). Pure.
#ifndef SLUICE_DATAPLANE_CONTRACT_SELF_TEST_FRAME_H_
#define SLUICE_DATAPLANE_CONTRACT_SELF_TEST_FRAME_H_

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "bpf/header_numbers.h"
#include "bpf/sluice_abi.h"

namespace sluice {

// Random, but for the first word, which is not 0.
using SelfTestToken = std::array<uint32_t, SLUICE_TOKEN_WORDS>;

inline sluice_self_test_frame MakeSelfTestFrame(const std::array<uint8_t, 6>& mac, const SelfTestToken& token) {
  sluice_self_test_frame frame{};
  std::copy(mac.begin(), mac.end(), frame.dst_mac);
  std::copy(mac.begin(), mac.end(), frame.src_mac);
  frame.tpid_be = htons(SLUICE_ETHERTYPE_VLAN);
  frame.vlan_be = htons(1);
  frame.ethertype_be = htons(SLUICE_ETHERTYPE_EXPERIMENTAL);
  std::memcpy(frame.token, token.data(), sizeof(frame.token));
  return frame;
}

// True if it is this test's, with its tag still in it.
inline bool IsSelfTestFrame(const uint8_t* data, uint32_t length_bytes, const SelfTestToken& token) {
  sluice_self_test_frame frame;
  if (length_bytes != sizeof(frame)) {
    return false;
  }
  std::memcpy(&frame, data, sizeof(frame));
  return frame.tpid_be == htons(SLUICE_ETHERTYPE_VLAN) && frame.vlan_be == htons(1) &&
         frame.ethertype_be == htons(SLUICE_ETHERTYPE_EXPERIMENTAL) &&
         std::memcmp(frame.token, token.data(), sizeof(frame.token)) == 0;
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTRACT_SELF_TEST_FRAME_H_
