// Holds the flow tables while flows are offloaded, and looks now and then which flows are idle.
//
// A flow leaves when it had no packet for some half a minute: it may come back for an entry at any time, so the time
// only has to be long against what a flow pauses and short against what a full table means. A large table is looked at
// more rarely, so that looking costs about a thousandth of a core.
//
// Threads: the control thread; lanes use the tables.
#ifndef SLUICE_DATAPLANE_PROCESS_FLOW_AGER_H_
#define SLUICE_DATAPLANE_PROCESS_FLOW_AGER_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/offload/lane_offload.h"
#include "dataplane/process/kernel.h"

namespace sluice {

class FlowAger {
 public:
  FlowAger(std::unique_ptr<FlowTables> tables, StatsCounter& carried)
      : tables_(std::move(tables)), carried_(&carried) {}

  FlowTables& tables() { return *tables_; }
  uint32_t epoch() const { return epoch_; }
  void set_epoch(uint32_t epoch) { epoch_ = epoch; }

  absl::Duration look_every() const {
    uint32_t entries = 0;
    for (const FlowTable& table : *tables_) {
      entries = std::max(entries, table.entries());
    }
    return kLookEvery * std::max(1U, entries / kEntriesALook);
  }

  // Looks if it is time.
  void Look(Kernel& kernel) {
    const absl::Duration every = look_every();
    if (const absl::Time now = absl::Now(); now - looked_ >= every) {
      looked_ = now;
      if (!kernel.WaitForRcuGracePeriod().ok()) {
        return;  // no flow is known to be idle
      }
      const auto idle_looks = static_cast<uint32_t>(std::max<int64_t>(1, kIdle / every));
      uint32_t carried = 0;
      for (FlowTable& table : *tables_) {
        carried += table.Age(epoch_, idle_looks);
      }
      carried_->Set(carried);
    }
  }

 private:
  static constexpr absl::Duration kIdle = absl::Seconds(30);
  static constexpr absl::Duration kLookEvery = absl::Seconds(1);
  static constexpr uint32_t kEntriesALook = 65536;  // a millisecond

  std::unique_ptr<FlowTables> tables_;
  StatsCounter* carried_;
  uint32_t epoch_ = 0;
  absl::Time looked_ = absl::Now();
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_FLOW_AGER_H_
