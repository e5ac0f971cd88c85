// Steering probes: frames of our own that bring a flow to another queue pair when nothing answers it.
//
// A virtio-net device without RSS gives a flow to the queue pair that a packet with the same hash was last sent on
// (drivers/net/tun.c: tun_flow_update, tun_automq_select_queue). Replies do that by themselves. A one-way flow needs a
// probe: a frame with the flow's own headers, since that hash does not tell the two directions apart
// (net/core/flow_dissector.c: __skb_get_hash_symmetric). Nobody takes it for a packet:
//
//   - it goes to 01:80:c2:00:00:01, which no bridge forwards (IEEE 802.1Q table 8-1; net/bridge/br_input.c:
//     br_handle_frame);
//   - an IPv4 header's checksum is wrong, an IPv6 header's payload longer than the frame, and nothing follows the
//     ports: any stack that sees it drops it (ip_rcv_core, ip6_rcv_core).
//
// Threads: MakeSteeringProbe any; a ProbedFlows belongs to one lane, and so to the thread that polls it.
#ifndef SLUICE_DATAPLANE_LANE_STEERING_PROBE_H_
#define SLUICE_DATAPLANE_LANE_STEERING_PROBE_H_

#include <cstdint>
#include <vector>

#include "dataplane/net/headers.h"

namespace sluice {

// Ethernet with three tags, an IPv6 header, and 132 bytes for extension headers and ports.
inline constexpr uint32_t kMaxProbeBytes = 198;

// Writes the probe for the flow of a frame as received; `headers` are the frame's. `probe` has room for kMaxProbeBytes.
// Returns the probe's length, or 0 when there is none for such a frame: it is not IP, or its headers are too long.
uint32_t MakeSteeringProbe(const uint8_t* frame, uint32_t length_bytes, const Headers& headers, uint8_t* probe);

// Decides when a flow that still comes here is due for a probe: at its first packet, its second, fourth, eighth and so
// on, as a probe can be lost. Two flows on one slot take turns, and are probed too often.
class ProbedFlows {
 public:
  bool Due(uint32_t flow_hash) {
    Slot& slot = slots_[flow_hash % kSlots];
    if (slot.packets == 0 || slot.flow_hash != flow_hash) {
      slot = {flow_hash, 0};
    }
    ++slot.packets;
    return (slot.packets & (slot.packets - 1)) == 0;
  }
  void Reset() { slots_.assign(kSlots, Slot{}); }

 private:
  struct Slot {
    uint32_t flow_hash = 0;
    uint32_t packets = 0;  // since it was first seen; wraps after 4 billion, and starts again
  };
  // A quarter of the flows that tun.c remembers (MAX_TAP_FLOWS), for each lane: 8 KB.
  static constexpr uint32_t kSlots = 1024;

  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_STEERING_PROBE_H_
