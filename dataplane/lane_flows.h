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

  // The three steps; each needs the one before. What they are told is by pair.
  enum class Step { kNone, kReceive, kSend };
  bool wants_marks() const { return step_ == Step::kNone && wanted_; }
  Step step() const { return step_; }
  const RingMarks& marks() const { return marks_; }  // up to where must be received, or sent and completed, now
  void BeginAt(const RingMarks& received, const RingMarks& lost);
  void Received(const RingMarks& sent);
  void Publish(const RingMarks& ports, uint32_t pairs);

 private:
  struct Looked {
    sluice_flow* flow;
    uint32_t hash;  // 0: has no key
    sluice_flow_key key;
  };

  FlowTables* tables_ = nullptr;
  uint32_t epoch_ = 0;
  uint32_t queue_ = 0;
  std::unique_ptr<std::array<Looked, kBurstFrames>> scratch_;  // while it is on
  bool wanted_ = false;                                        // a flow waits for its packets to be done
  Step step_ = Step::kNone;
  RingMarks marks_{};
  RingMarks done_{};  // numbers, less the queues' bases, once that is so
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_FLOWS_H_
