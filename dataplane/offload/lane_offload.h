// A lane's part in offloading flows to XDP (bpf/flows.h has the protocol): finds each frame's flow, stores the
// function's actions, and publishes up to which packet the queue has been sent.
//
//      Receive ─► Lookup ─► function ─► Store ─► transmit
//                 │                     │ PENDING
//                 │ may_offload from    ▼
//                 │ the fourth packet   FlowTable ◄─ numbers of completed packets ── Lane::AcknowledgeSent
//                 └──────────────────────────────── a PENDING flow's packet came: it waits for its number
//
// A snapshot finds out which packets are completed, in three steps.
//   1. Begin notes the ends of the receive rings, after the packets that their sockets had dropped by then.
//   2. Received, once everything up to there has been received and handled, notes the ends of the transmit rings.
//   3. Sent, once everything up to there has been completed, publishes
//      completed = receive ring position of step 1 + packets that the socket had dropped by then (a lower bound).
// Up to kSnapshots run at once; each round begins one at most.
//
// Without tables it is off and costs nothing. Only for lanes whose frames leave by their own queues.
//
// Threads: the thread that polls the lane; Set between its rounds.
#ifndef SLUICE_DATAPLANE_OFFLOAD_LANE_OFFLOAD_H_
#define SLUICE_DATAPLANE_OFFLOAD_LANE_OFFLOAD_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/sluice_abi.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/io/ring_positions.h"
#include "dataplane/offload/flow_table.h"

namespace sluice {

using FlowTables = std::vector<FlowTable>;  // by port

class LaneOffload {
 public:
  // A flow may be offloaded from this packet on: short flows are not worth an entry.
  static constexpr uint32_t kOffloadAfterPackets = 4;

  // The lane's pairs: their common queue, their ports, and the packets their sockets have dropped.
  struct Pairs {
    uint32_t queue = 0;
    uint32_t count = 0;
    RingPositions ports{};
    RingPositions lost{};
  };
  // Offloads in `epoch` from now on; nullptr: not at all. The tables stay the caller's.
  void Set(FlowTables* tables, uint32_t epoch, const Pairs& pairs);
  bool on() const { return scratch_ != nullptr; }

  // Before the function runs: finds each frame's flow, and sets may_offload.
  void Lookup(Burst& burst);
  // After: enters the flows that the function offloaded.
  void Store(const Burst& burst);

  // The three steps of a snapshot, in order. Positions are by pair.
  bool wants_snapshot() const { return wanted_ && begun_ - sent_ < kSnapshots; }
  void Begin(const RingPositions& receive_ends, const RingPositions& lost);
  // Receive positions that the oldest snapshot waits for in step 2; nullptr: none waits.
  const RingPositions* to_receive() const {
    return begun_ == received_ ? nullptr : &snapshots_[received_ % kSnapshots].wait_for;
  }
  void Received(const RingPositions& transmit_ends) { snapshots_[received_++ % kSnapshots].wait_for = transmit_ends; }
  // Transmit positions that the oldest snapshot waits for in step 3; nullptr: none waits.
  const RingPositions* to_send() const {
    return received_ == sent_ ? nullptr : &snapshots_[sent_ % kSnapshots].wait_for;
  }
  void Sent();

 private:
  struct Found {
    sluice_flow* flow;
    uint32_t hash;  // 0: the frame has no key
    sluice_flow_key key;
  };
  struct Snapshot {
    RingPositions wait_for;   // of the next step
    RingPositions completed;  // to be published by step 3, relative to the queues' bases
  };
  static constexpr uint32_t kSnapshots = 16;  // a power of two

  // True if the pair's socket, or XDP for want of credit, dropped packets since the last call.
  bool DroppedSome(uint32_t pair, uint32_t lost);

  FlowTables* tables_ = nullptr;
  uint32_t epoch_ = 0;
  Pairs pairs_;
  std::unique_ptr<std::array<Found, kBurstFrames>> scratch_;  // while it is on
  RingPositions shed_{};                                      // packets that XDP shed, by pair
  bool wanted_ = false;                                       // a PENDING flow waits for its packets
  std::array<Snapshot, kSnapshots> snapshots_{};
  uint32_t begun_ = 0;     // snapshots after step 1,
  uint32_t received_ = 0;  // after step 2,
  uint32_t sent_ = 0;      // after step 3; free-running
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_OFFLOAD_LANE_OFFLOAD_H_
