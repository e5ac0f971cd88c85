#include "dataplane/process/flow_ager.h"
#include "dataplane/base/steady_time.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(1);
// A look at this many entries takes about a millisecond.
constexpr uint32_t kEntriesALook = 65536;

}  // namespace

FlowAger::FlowAger(std::unique_ptr<FlowTables> tables, StatsCounter& offloaded, SteadyTime now)
    : tables_(std::move(tables)), offloaded_(&offloaded), looked_at_(now) {}

absl::Duration FlowAger::look_every() const {
  uint32_t entries = 0;
  for (const FlowTable& table : *tables_) {
    entries = std::max(entries, table.entries());
  }
  return kLookEvery * std::max(1U, entries / kEntriesALook);
}

void FlowAger::Look(Kernel& kernel, SteadyTime now) {
  const absl::Duration every = look_every();
  if (now - looked_at_ < every) {
    return;
  }
  looked_at_ = now;
  if (!kernel.WaitForRcuGracePeriod().ok()) {
    return;  // no flow is known to be idle
  }
  const auto idle_looks = static_cast<uint32_t>(std::max<int64_t>(1, kIdle / every));
  uint32_t offloaded = 0;
  for (FlowTable& table : *tables_) {
    offloaded += table.Age(epoch_, idle_looks);
  }
  offloaded_->Set(offloaded);
}

}  // namespace sluice
