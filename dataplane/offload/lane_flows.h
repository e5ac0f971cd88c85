// A lane's part in deciding flows: which frames the function is asked to decide, what becomes of its answers, and up to
// where what XDP gave the lane is out (bpf/flows.h: why).
//
//      Receive ─► Look ─► function ─► Keep ─► Dispatch
//                 │                   │ PENDING
//                 │ asks from the     ▼
//                 │ fourth packet on  FlowTable ◄─ numbers that are done ── Lane::FollowMarks
//                 └─────────────────────────────── a PENDING flow's packet came: it waits for its number
//
// What is done: where the receive rings end is looked up (1), after what their sockets have lost; what they hold until
// there is handled, then the transmit rings' ends are looked up (2); what those hold until there is completed (3). As
// many packets as the former rings had got, and lost, are done then. What was lost later only makes the number smaller.
// Several such looks may be under way at once, one begun each round at most.
//
// Off without tables: then none of it costs anything. Only for lanes whose frames leave by their own queues.
//
// Threads: whoever polls the lane; Set between its rounds.
#ifndef SLUICE_DATAPLANE_OFFLOAD_LANE_FLOWS_H_
#define SLUICE_DATAPLANE_OFFLOAD_LANE_FLOWS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/sluice_abi.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/offload/flow_table.h"

namespace sluice {

// Places in the rings of one kind, by pair.
using RingMarks = std::array<uint32_t, kMaxPorts>;

using FlowTables = std::vector<FlowTable>;  // by port

class LaneFlows {
 public:
  // A flow is decided with this packet of its: short ones are not worth an entry.
  static constexpr uint32_t kDecideWith = 4;

  // The lane's pairs: the queue that all of them have, their ports, and how many packets their sockets have lost.
  struct Pairs {
    uint32_t queue = 0;
    uint32_t count = 0;
    RingMarks ports{};
    RingMarks lost{};
  };
  // Decisions are of that epoch from now on; nullptr: off.
  void Set(FlowTables* tables, uint32_t epoch, const Pairs& pairs);
  bool on() const { return scratch_ != nullptr; }

  // Before the function has them: finds each frame's flow, and asks about those whose turn it is.
  void Look(Burst& burst);
  // After: what it decided is in the table.
  void Keep(const Burst& burst);

  // The three steps; each needs the one before. What they are told and tell is by pair.
  bool wants_look() const { return wanted_ && begun_ - done_ < kLooks; }
  void Begin(const RingMarks& received, const RingMarks& lost);
  // Up to where must be received for the second step of the oldest look that waits for it, or sent for the third.
  const RingMarks* to_receive() const { return begun_ == received_ ? nullptr : &looks_[received_ % kLooks].marks; }
  void Received(const RingMarks& sent) { looks_[received_++ % kLooks].marks = sent; }
  const RingMarks* to_send() const { return received_ == done_ ? nullptr : &looks_[done_ % kLooks].marks; }
  void Sent();

 private:
  bool LostSome(uint32_t pair, uint32_t lost);

  struct Looked {
    sluice_flow* flow;
    uint32_t hash;  // 0: has no key
    sluice_flow_key key;
  };

  FlowTables* tables_ = nullptr;
  uint32_t epoch_ = 0;
  Pairs pairs_;
  std::unique_ptr<std::array<Looked, kBurstFrames>> scratch_;  // while it is on
  RingMarks shed_{};                                           // what XDP dropped for want of room, by pair
  bool wanted_ = false;                                        // a flow waits for its packets to be done
  struct Marks {
    RingMarks marks;    // what must have been received or sent for the next step
    RingMarks packets;  // done then, less the queues' bases
  };
  static constexpr uint32_t kLooks = 16;  // a power of two
  std::array<Marks, kLooks> looks_{};
  uint32_t begun_ = 0;  // looks so far, and those of them that...
  uint32_t received_ = 0;
  uint32_t done_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_OFFLOAD_LANE_FLOWS_H_
