// A lane's part in deciding flows: which frames the function is asked to decide, what becomes of its answers, and up to
// where what XDP gave the lane is out (bpf/flows.h: why).
//
//      Receive ─► Look ─► function ─► Keep ─► Dispatch ─► NoteSent                   Reclaim ─► Publish
//                 │                   │                    │                                    │
//                 │ asks from the     │ PENDING            │ numbers received until now,        │ those are done when
//                 │ fourth packet on  ▼                    ▼ where the transmit rings end       ▼ that far is completed
//                 └──────────────► FlowTable ◄─────────────────────────────────────────────────┘
//
// Off without tables: then none of it costs anything. Only for lanes whose frames leave by their own queues.
//
// Threads: whoever polls the lane; Set between its rounds.
#ifndef SLUICE_DATAPLANE_LANE_FLOWS_H_
#define SLUICE_DATAPLANE_LANE_FLOWS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/sluice_abi.h"
#include "dataplane/burst.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/flow_table.h"

namespace sluice {

// Places in the rings of one kind, by pair.
using RingMarks = std::array<uint32_t, kMaxPorts>;

using FlowTables = std::vector<FlowTable>;  // by port

class LaneFlows {
 public:
  // A flow is decided with this packet of its: short ones are not worth an entry.
  static constexpr uint32_t kDecideWith = 4;

  // Decisions are of that epoch from now on. `queue` is the one that all pairs of the lane have; nullptr: off.
  void Set(FlowTables* tables, uint32_t epoch, uint32_t queue);
  bool on() const { return scratch_ != nullptr; }

  // Before the function has them: finds each frame's flow, and asks about those whose turn it is.
  void Look(Burst& burst);
  // After: what it decided is in the table.
  void Keep(const Burst& burst);

  // After what was received has been sent, or not: `sent` is where the transmit rings end now.
  void NoteSent(const RingMarks& sent);
  // Numbers that wait for being done, and what must be completed for that.
  bool waits() const { return waits_; }
  const RingMarks& sent() const { return sent_; }
  // It is.
  void Publish();

 private:
  struct Looked {
    sluice_flow* flow;
    uint32_t hash;  // 0: has no key
    sluice_flow_key key;
  };

  void ReadMark(const Frame& frame, uint32_t hash);

  FlowTables* tables_ = nullptr;
  uint32_t epoch_ = 0;
  uint32_t queue_ = 0;
  std::unique_ptr<std::array<Looked, kBurstFrames>> scratch_;  // while it is on
  bool waits_ = false;
  std::array<uint32_t, kMaxPorts> received_{};  // last number, by port it was received on; 0: none
  std::array<uint32_t, kMaxPorts> waiting_{};   // those that wait
  std::array<uint32_t, kMaxPorts> done_{};      // those published
  RingMarks sent_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_FLOWS_H_
