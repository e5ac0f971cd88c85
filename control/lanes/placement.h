// The placement of work on cores: worker w runs on core w of the usable ones, polls the lanes whose index modulo the
// number of workers is w, and handles the interrupts of their queues.
//
// A core is usable if the configuration allows it, it is online, and the process that works on it may run there
// (taskset, cpusets). When there is no such core, all online ones that the process may run on are usable. One thread.
#ifndef SLUICE_CONTROL_LANES_PLACEMENT_H_
#define SLUICE_CONTROL_LANES_PLACEMENT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/dataplane/dataplane_client.h"
#include "control/port/port_set.h"
#include "control/state/state_file.h"

namespace sluice {

// The wish of the configuration; sluicectl may change it.
struct PlacementWish {
  std::optional<uint32_t> workers;  // nullopt: one for each active pair, as far as the cores go
  std::vector<uint32_t> cores;      // empty: every CPU that the workers may run on
};

class Placement {
 public:
  // Returns the online CPUs that workers may run on, ascending (dataplane/base/cpu_list.h).
  using WorkerCpus = std::function<absl::StatusOr<std::vector<uint32_t>>()>;

  // Borrows the first three.
  Placement(PortSet& ports, DataplaneClient& dataplane, StateFile& state, PlacementWish wish, WorkerCpus worker_cpus)
      : ports_(ports),
        dataplane_(dataplane),
        state_(state),
        wish_(std::move(wish)),
        worker_cpus_(std::move(worker_cpus)) {}

  const PlacementWish& wish() const { return wish_; }
  const std::vector<uint32_t>& usable_cores() const { return usable_cores_; }
  const std::vector<uint32_t>& worker_cores() const { return worker_cores_; }
  // The CPU to which the interrupts of each queue go; empty: not known.
  const std::vector<uint32_t>& queue_cpus() const { return queue_cpus_; }
  uint32_t workers() const { return static_cast<uint32_t>(worker_cores_.size()); }
  // The bridge lane, which is idle but for the window of a resize, is worker 0's.
  uint32_t WorkerOf(uint32_t lane) const;

  // FailedPrecondition for a core that is not online, or that workers may not run on.
  absl::Status CheckCores(const std::vector<uint32_t>& cores) const;
  // Cores that are usable now.
  absl::StatusOr<std::vector<uint32_t>> FindUsableCores() const;
  void SetUsableCores(std::vector<uint32_t> cores) { usable_cores_ = std::move(cores); }
  // Finds and sets them. After a dataplane has connected they may be others than before.
  absl::Status FollowUsableCores();
  void SetWish(PlacementWish wish) { wish_ = std::move(wish); }

  // Takes over the workers that a surviving dataplane has.
  void Adopt(std::vector<uint32_t> worker_cores) { worker_cores_ = std::move(worker_cores); }
  // Has a dataplane without lanes make `workers` workers, or one for each usable core if those are fewer.
  absl::Status StartWorkers(uint32_t workers);
  // Places these lanes on `workers` workers, or on one for each usable core if those are fewer, and the interrupts and
  // XPS of the ports' queues after them. Flows must not be offloaded: XDP would bring them to other queues. An error
  // has changed nothing.
  absl::Status Place(uint32_t workers, const std::vector<uint32_t>& lanes);
  // Tells whether each worker runs on its core and on no other (taskset moves threads).
  bool WorkersAreInPlace() const;

 private:
  void PlaceQueues(const std::vector<uint32_t>& lanes);

  PortSet& ports_;
  DataplaneClient& dataplane_;
  StateFile& state_;
  PlacementWish wish_;
  WorkerCpus worker_cpus_;
  std::vector<uint32_t> usable_cores_;
  std::vector<uint32_t> worker_cores_;  // worker w runs on worker_cores_[w]
  std::vector<uint32_t> queue_cpus_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_PLACEMENT_H_
