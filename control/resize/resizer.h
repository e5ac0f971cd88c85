// Resizes the running network function: changes the number of queue pairs that get traffic, of pairs that there are,
// and of workers. Plans (resize_plan.h), runs the plan (live_resize.h), and reports the costs.
//
// While a resize runs, the state file names it, so that the next agent can report one that a crash cut short, after it
// has repaired the lanes (lane_repair.h).
//
// One thread, so no two resizes run at the same time. A call blocks until its plan has run or was rolled back.
#ifndef SLUICE_CONTROL_RESIZE_RESIZER_H_
#define SLUICE_CONTROL_RESIZE_RESIZER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/offload/offload.h"
#include "control/resize/resize_costs.h"
#include "control/resize/resize_objects.h"
#include "control/resize/resize_plan.h"
#include "control/resize/resize_run.h"
#include "control/state/state_file.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

struct FinishedResize {
  Lever lever = Lever::kNone;
  uint32_t from = 0;
  uint32_t to = 0;
  ResizeOutcome outcome;
  ResizeCosts costs;
};

// Of all resizes that ended the same way.
struct ResizeTotals {
  uint64_t count = 0;
  absl::Duration blocked;
  ResizeCosts costs;
};

class Resizer {
 public:
  // For callers whose users name no bound. Far above any resize measured, so that it only ends one that hangs.
  static constexpr absl::Duration kBound = absl::Seconds(30);

  // Borrows all. `possible_cpus` is nr_cpu_ids.
  Resizer(const ResizeObjects& objects, Offload& offload, StateFile& state, uint32_t possible_cpus)
      : o_(objects), offload_(offload), state_(state), possible_cpus_(possible_cpus) {}

  // Pairs that get traffic, and pairs that users want to: those differ after a resize that was rolled back.
  uint32_t active_pairs() const { return active_pairs_; }
  uint32_t wanted_pairs() const { return wanted_pairs_; }
  // Workers for that many pairs, by the configuration.
  uint32_t WorkersFor(uint32_t pairs) const { return sluice::WorkersFor(CurrentState(), pairs); }

  // Plans and, unless `dry_run`, runs. Returns the plan in both cases; its outcome is last_resize(). An error is a
  // refusal: nothing was begun.
  absl::StatusOr<ResizePlan> Resize(const ResizeWish& wish, bool dry_run, SteadyTime deadline);
  absl::StatusOr<ResizePlan> SetWorkers(uint32_t workers, SteadyTime deadline);
  // Places workers and cores as wished, or changes nothing.
  absl::Status SetPlacement(PlacementWish wish, SteadyTime deadline);
  // Once a second or so: places the lanes again when CPUs came or went, or workers were moved. Errors are logged.
  void FollowCpus();

  // The last that ended, of this agent or reported for the one before it.
  const std::optional<FinishedResize>& last_resize() const { return last_resize_; }
  const std::map<std::pair<Lever, ResizeOutcome::State>, ResizeTotals>& totals() const { return totals_; }

  // At the start: all pairs that the ports have get traffic.
  void StartWith(uint32_t pairs);
  // Takes over lanes that an agent before us left, and repairs them.
  absl::Status TakeOver();
  // Makes lanes anew whose sockets are bound to no device any more, as after a device was deleted and made again.
  absl::Status RemakeLanes();
  // Reports a resize that the agent before us began and did not end. Once, after TakeOver() or a fresh start.
  void ReportInterrupted();
  // Writes which pairs get traffic.
  void Save();

 private:
  ResizeState CurrentState() const;
  absl::Status Run(const ResizePlan& plan, SteadyTime deadline);
  absl::Status PlaceAsWished(SteadyTime deadline);
  absl::Status PlaceAfterRepair();
  void Begin(const ResizePlan& plan, const ResizeCosts& before);
  void End();
  void Record(FinishedResize finished);

  const ResizeObjects o_;
  Offload& offload_;
  StateFile& state_;
  const uint32_t possible_cpus_;
  uint32_t active_pairs_ = 0;
  uint32_t wanted_pairs_ = 0;
  std::optional<FinishedResize> last_resize_;
  std::map<std::pair<Lever, ResizeOutcome::State>, ResizeTotals> totals_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZER_H_
