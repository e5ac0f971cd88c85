// Frames that are handled together: received on one port of one lane, in order of arrival.
//
// A burst lives on its lane and is used again every round. Fixed capacity, trivial types, nothing to
// free: the frames belong to the lane's Umem, and each leaves the burst by its verdict.
#ifndef SLUICE_DATAPLANE_FUNCTION_BURST_H_
#define SLUICE_DATAPLANE_FUNCTION_BURST_H_

#include <cstdint>
#include <type_traits>

#include "bpf/sluice_abi.h"
#include "dataplane/function/verdict.h"
#include "dataplane/net/flow_hash.h"
#include "dataplane/net/headers.h"

namespace sluice {

// Two of the kernel's copy-mode transmit batches (32, net/xdp/xsk.c: TX_BATCH_SIZE), and NAPI's own
// budget of 64 (include/linux/netdevice.h: NAPI_POLL_WEIGHT): what one receive poll can deliver.
inline constexpr uint32_t kBurstFrames = 64;

struct Frame {
  uint8_t* data;     // the Ethernet header
  uint64_t address;  // of `data` in the lane's UMEM
  uint32_t length_bytes;
  uint8_t in_port;
  Verdict verdict;
  bool may_offload = false;  // the function may decide for the whole flow (Burst::Offload)
};

struct Burst {
  uint32_t lane;
  uint32_t count;
  Frame frames[kBurstFrames];
  // headers[i] are those of frames[i] as received: neither the offsets nor the hash (net/flow_hash.h) follow when the
  // function rewrites the frame or moves its start. A frame that changes its index takes its headers along (Move),
  // which happens only while flows move; an index in Frame would cost every frame.
  Headers headers[kBurstFrames];

  // Fills in the headers of all frames. The lane does it as it receives them.
  void ParseHeaders() {
    for (uint32_t i = 0; i < count; ++i) {
      headers[i] = Parse(frames[i].data, frames[i].length_bytes);
    }
  }
  uint32_t IndexOf(const Frame& frame) const { return static_cast<uint32_t>(&frame - frames); }
  // Returns the hash of the frame as received. The first call computes it, and must come before the frame is rewritten;
  // most frames do without these 100 instructions. While frames leave by other lanes, the lane computes all hashes
  // before the function runs.
  uint32_t FlowHashOf(uint32_t index) {
    if (headers[index].flow_hash == 0) {
      headers[index].flow_hash = FlowHash(frames[index].data, frames[index].length_bytes, headers[index]);
    }
    return headers[index].flow_hash;
  }
  void HashFlows() {
    for (uint32_t i = 0; i < count; ++i) {
      FlowHashOf(i);
    }
  }
  // Gives a hash to the frames that have none, which the function made: from the bytes that it wrote.
  void HashOriginated() {
    for (uint32_t i = 0; i < count; ++i) {
      if (headers[i].flow_hash == 0) {
        headers[i] = Parse(frames[i].data, frames[i].length_bytes);
        FlowHashOf(i);
      }
    }
  }
  // Moves a frame to a lower index, whose frame has left.
  void Move(uint32_t from, uint32_t to) {
    frames[to] = frames[from];
    headers[to] = headers[from];
  }

  // Lets XDP take this action on each later packet of the frame's flow and direction, without asking again. Only for a
  // frame with `may_offload` that is transmitted, and only if no later packet could get another answer. The decision
  // lasts until the configuration changes or the flow has been idle (dataplane/offload/lane_offload.h).
  uint64_t offloaded;  // bit i: actions[i] is frame i's
  sluice_flow_action actions[kBurstFrames];
  void Offload(const Frame& frame, const sluice_flow_action& action) {
    const uint32_t index = IndexOf(frame);
    offloaded |= uint64_t{1} << index;
    actions[index] = action;
  }

  Frame* begin() { return frames; }
  Frame* end() { return frames + count; }
  const Frame* begin() const { return frames; }
  const Frame* end() const { return frames + count; }
};

static_assert(std::is_trivially_copyable_v<Burst>);
static_assert(sizeof(Frame) == 24, "a burst of descriptors is 24 cache lines");

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_BURST_H_
