// What `sluicectl config apply` changes in a running Instance, besides the number of pairs and the rules.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/agent/instance.h"
#include "dataplane/base/cpu_list.h"

namespace sluice {

void Instance::SetDownPolicies(const std::vector<PortConfig>& ports) {
  for (const PortConfig& wanted : ports) {
    for (AgentPort& port : ports_) {
      if (port.config().name == wanted.name) {
        port.SetDownPolicy(wanted.on_dataplane_down);
      }
    }
    for (PortConfig& port : config_.ports) {
      if (port.name == wanted.name) {
        port.on_dataplane_down = wanted.on_dataplane_down;
      }
    }
  }
}

absl::Status Instance::CheckCores(const std::vector<uint32_t>& cores) {
  const absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  if (!online.ok()) {
    return online.status();
  }
  for (const uint32_t core : cores) {
    if (std::find(online->begin(), online->end(), core) == online->end()) {
      return absl::FailedPreconditionError(absl::StrCat("dataplane.cores: there is no core ", core, " online"));
    }
  }
  return absl::OkStatus();
}

absl::Status Instance::SetPlacement(std::optional<uint32_t> workers, std::vector<uint32_t> cores, absl::Time deadline) {
  const DataplaneConfig config_before = config_.dataplane;
  const std::vector<uint32_t> usable_before = usable_cores_;
  config_.dataplane.workers = workers;
  config_.dataplane.cores = std::move(cores);
  absl::StatusOr<std::vector<uint32_t>> usable = UsableCores();
  absl::Status s = usable.status();
  if (s.ok()) {
    usable_cores_ = *std::move(usable);
    s = PlaceAsConfigured(deadline);
  }
  if (!s.ok()) {
    config_.dataplane = config_before;
    usable_cores_ = usable_before;
  }
  return s;
}

absl::Status Instance::PlaceAsConfigured(absl::Time deadline) {
  const uint32_t workers = WorkersFor(CurrentState(), active_pairs_);
  if (std::equal(worker_cores_.begin(), worker_cores_.end(), usable_cores_.begin(), usable_cores_.begin() + workers)) {
    return absl::OkStatus();
  }
  if (down_) {
    return absl::FailedPreconditionError("the dataplane is down; it is being restarted, try again in a moment");
  }
  const absl::StatusOr<ResizePlan> plan = PlanWorkers(CurrentState(), workers);
  if (!plan.ok()) {
    return plan.status();
  }
  if (absl::Status s = StopOffload(); !s.ok()) {
    return s;
  }
  // As many workers on other cores are no resize.
  absl::Status s = plan->lever == Lever::kNone ? Place(workers) : RunResize(*plan, deadline);
  EndResize();
  return s;
}

}  // namespace sluice
