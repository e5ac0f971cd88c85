// Holds the flow tables while flows are offloaded, and ages them: entries of idle flows leave.
//
// A flow goes when it has had no packet for about half a minute. It may get an entry again at any time, so this time
// only has to be long against the pauses of a flow, and short against the harm of a full table. A large table is looked
// at less often, so that looking costs about a thousandth of a core.
//
// Ownership: it owns the tables; lanes use them until OffloadFlows has told them otherwise. `offloaded` is the gauge of
// the stats segment, written here only.
//
// Threads: the control thread.
#ifndef SLUICE_DATAPLANE_PROCESS_FLOW_AGER_H_
#define SLUICE_DATAPLANE_PROCESS_FLOW_AGER_H_

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/offload/lane_offload.h"
#include "dataplane/process/kernel.h"

namespace sluice {

class FlowAger {
 public:
  // The time that a flow may be idle, rounded down to whole looks.
  static constexpr absl::Duration kIdle = absl::Seconds(30);

  // `now`: the first look is due look_every() later.
  FlowAger(std::unique_ptr<FlowTables> tables, StatsCounter& offloaded, SteadyTime now);

  FlowTables& tables() { return *tables_; }
  // Looks at flows of this epoch from now on.
  void set_epoch(uint32_t epoch) { epoch_ = epoch; }

  // The time between two looks: a second, or more for tables of more than 64 Ki entries.
  absl::Duration look_every() const;
  // Looks at every flow, if a look is due. Waits for an RCU grace period first, so that no XDP program that ran at the
  // last look is still running (FlowTable::Age).
  void Look(Kernel& kernel, SteadyTime now);

 private:
  std::unique_ptr<FlowTables> tables_;
  StatsCounter* offloaded_;
  uint32_t epoch_ = 0;
  SteadyTime looked_at_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_FLOW_AGER_H_
