#include "tests/bench/lookup/offloaded_flows.h"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "bpf/flow_key.h"
#include "tests/lib/packet.h"

namespace sluice::bench {
namespace {

// The same as liveload's (tests/bench/load/live_frames.h): source ports 1024 to 61023, then the next source address.
constexpr uint32_t kFirstSource = 0xc6120001;  // 198.18.0.1
constexpr uint32_t kFirstPort = 1024;
constexpr uint32_t kFlowsPerAddress = 60000;

constexpr size_t kSourceAt = 26;
constexpr size_t kPortAt = 34;

// Returns a frame to port 9 of 198.19.0.1; Write fills in the source. No code reads the checksums, so they are 0.
const SmallFrame& FrameWithoutSource() {
  static const SmallFrame kFrame = [] {
    SmallFrame frame;
    const Bytes bytes = Packet().eth().ipv4("0.0.0.0", "198.19.0.1").udp(0, 9).payload(18).bytes();
    std::copy(bytes.begin(), bytes.end(), frame.bytes.begin());
    return frame;
  }();
  return kFrame;
}

}  // namespace

uint32_t OffloadedFlows::BucketsFor(uint32_t flows) {
  return std::bit_ceil(2 * flows) / SLUICE_FLOW_WAYS;
}

OffloadedFlows::OffloadedFlows(FlowTable& table, uint32_t flows) {
  numbers_.reserve(flows);
  SmallFrame frame;
  for (uint32_t number = 0; numbers_.size() < flows; ++number) {
    Write(number, frame);
    const sluice_flow_key key = KeyOf(frame);
    sluice_flow* entry = table.FindOrClaim(key, sluice_flow_hash(&key), kEpoch);
    if (entry == nullptr) {
      ++left_out_;
      continue;
    }
    table.Offload(*entry, key, kEpoch, {.changes = SLUICE_FLOW_SWAP_MACS});
    numbers_.push_back(number);
  }
}

sluice_flow_key OffloadedFlows::KeyOf(const SmallFrame& frame) {
  sluice_flow_key key{};
  sluice_flow_key_of(frame.bytes.begin(), frame.bytes.end(), frame.bytes.size(), &key);
  return key;
}

void OffloadedFlows::Write(uint32_t number, SmallFrame& frame) {
  const uint32_t source = htonl(kFirstSource + number / kFlowsPerAddress);
  const uint16_t port = htons(static_cast<uint16_t>(kFirstPort + number % kFlowsPerAddress));
  frame = FrameWithoutSource();
  std::memcpy(&frame.bytes[kSourceAt], &source, sizeof(source));
  std::memcpy(&frame.bytes[kPortAt], &port, sizeof(port));
}

}  // namespace sluice::bench
