#include "control/resize/resizer.h"

#include <algorithm>
#include <string>

#include "control/resize/lane_repair.h"
#include "control/resize/live_resize.h"
#include "control/resize/resize_repair.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {

ResizeState Resizer::CurrentState() const {
  ResizeState state;
  state.open_pairs = o_.lanes.pair_lanes();
  state.active_pairs = active_pairs_;
  state.workers = o_.placement.workers();
  state.usable_cores = static_cast<uint32_t>(o_.placement.usable_cores().size());
  state.possible_cpus = possible_cpus_;
  state.workers_wanted = o_.placement.wish().workers;
  state.zero_copy = o_.lanes.zero_copy();
  for (const Port& port : o_.ports) {
    ResizePort p;
    p.netdev = port.netdev();
    p.max_pairs = port.info().max_pairs;
    p.is_virtio = port.info().is_virtio;
    p.has_rss = port.info().has_rss;
    p.offers_guest_offloads = port.info().offers_guest_offloads;
    p.other_xdp_programs = port.other_xdp_programs();
    p.why_one_pair = port.info().why_one_pair;
    state.ports.push_back(p);
  }
  return state;
}

absl::StatusOr<ResizePlan> Resizer::Resize(const ResizeWish& wish, bool dry_run, SteadyTime deadline) {
  if (absl::Status s = o_.ports.Reconcile(active_pairs_, o_.lanes.frame_size_bytes()); !s.ok()) {
    return s;
  }
  absl::StatusOr<ResizePlan> plan = PlanResize(CurrentState(), wish);
  if (!plan.ok() || dry_run || plan->lever == Lever::kNone) {
    return plan;
  }
  absl::Status s = o_.dataplane.CheckUp();
  if (s.ok()) {
    s = offload_.Stop();
  }
  if (!s.ok()) {
    return s;
  }
  if (Run(*plan, deadline).ok() && plan->lever != Lever::kCores) {
    active_pairs_ = wanted_pairs_ = wish.pairs;
  }
  End();
  return plan;
}

absl::StatusOr<ResizePlan> Resizer::SetWorkers(uint32_t workers, SteadyTime deadline) {
  absl::StatusOr<ResizePlan> plan = PlanWorkers(CurrentState(), workers);
  if (!plan.ok()) {
    return plan;
  }
  absl::Status s = o_.dataplane.CheckUp();
  if (s.ok() && plan->lever != Lever::kNone) {
    s = offload_.Stop();
  }
  if (!s.ok()) {
    return s;
  }
  if (plan->lever == Lever::kNone || Run(*plan, deadline).ok()) {
    o_.placement.SetWish({workers, o_.placement.wish().cores});
  }
  End();
  return plan;
}

absl::Status Resizer::SetPlacement(PlacementWish wish, SteadyTime deadline) {
  const PlacementWish wish_before = o_.placement.wish();
  const std::vector<uint32_t> usable_before = o_.placement.usable_cores();
  o_.placement.SetWish(std::move(wish));
  absl::StatusOr<std::vector<uint32_t>> usable = o_.placement.FindUsableCores();
  absl::Status s = usable.status();
  if (s.ok()) {
    o_.placement.SetUsableCores(*std::move(usable));
    s = PlaceAsWished(deadline);
  }
  if (!s.ok()) {
    o_.placement.SetWish(wish_before);
    o_.placement.SetUsableCores(usable_before);
  }
  return s;
}

absl::Status Resizer::PlaceAsWished(SteadyTime deadline) {
  const uint32_t workers = WorkersFor(active_pairs_);
  const std::vector<uint32_t>& now = o_.placement.worker_cores();
  const std::vector<uint32_t>& usable = o_.placement.usable_cores();
  if (std::equal(now.begin(), now.end(), usable.begin(), usable.begin() + workers)) {
    return absl::OkStatus();
  }
  absl::Status s = o_.dataplane.CheckUp();
  if (!s.ok()) {
    return s;
  }
  const absl::StatusOr<ResizePlan> plan = PlanWorkers(CurrentState(), workers);
  s = plan.ok() ? offload_.Stop() : plan.status();
  if (!s.ok()) {
    return s;
  }
  // As many workers on other cores are no resize.
  s = plan->lever == Lever::kNone ? o_.placement.Place(workers, o_.lanes.All()) : Run(*plan, deadline);
  End();
  return s;
}

void Resizer::FollowCpus() {
  absl::StatusOr<std::vector<uint32_t>> cores = o_.placement.FindUsableCores();
  const std::vector<uint32_t> before = o_.placement.usable_cores();
  if (!cores.ok() || o_.dataplane.down() || (*cores == before && o_.placement.WorkersAreInPlace())) {
    return;
  }
  if (*cores == before) {
    spdlog::warn("somebody moved workers to other CPUs; they are placed again");
  } else {
    spdlog::info("usable cores changed from {} to {}", before.size(), cores->size());
  }
  o_.placement.SetUsableCores(*std::move(cores));
  absl::Status s = offload_.Stop();
  if (s.ok()) {
    s = o_.placement.Place(WorkersFor(active_pairs_), o_.lanes.All());
  }
  if (!s.ok()) {
    spdlog::error("placing lanes again: {}", std::string(s.message()));
    o_.placement.SetUsableCores(before);
  }
}

absl::Status Resizer::Run(const ResizePlan& plan, SteadyTime deadline) {
  FinishedResize finished;
  finished.lever = plan.lever;
  finished.from = plan.from;
  finished.to = plan.to;
  const ResizeCosts before = CountCosts(o_);
  Begin(plan, before);
  LiveResize actions(o_, active_pairs_);
  finished.outcome = RunPlan(plan, actions, deadline);
  finished.costs = CountCosts(o_) - before;
  finished.costs.reordered += actions.mixed_by_host();
  absl::Status error = finished.outcome.error;
  Record(std::move(finished));
  return error;
}

void Resizer::Record(FinishedResize finished) {
  ResizeTotals& totals = totals_[{finished.lever, finished.outcome.state}];
  ++totals.count;
  totals.blocked += finished.outcome.blocked;
  totals.costs = totals.costs + finished.costs;
  last_resize_ = std::move(finished);
}

void Resizer::Begin(const ResizePlan& plan, const ResizeCosts& before) {
  state_.Update([&](SavedState& state) {
    SavedResize& resize = *state.mutable_resize();
    resize.set_method(LeverName(plan.lever));
    resize.set_from(plan.from);
    resize.set_to(plan.to);
    resize.set_began_ns(MonotonicNs());
    resize.set_bridged_before(before.bridged);
    resize.set_held_before(before.held);
    resize.set_reordered_before(before.reordered);
    resize.set_dropped_before(Sum(before.lost));
  });
}

void Resizer::End() {
  state_.Update([this](SavedState& state) {
    state.clear_resize();
    state.set_active_pairs(active_pairs_);
  });
}

void Resizer::Save() {
  state_.Update([this](SavedState& state) { state.set_active_pairs(active_pairs_); });
}

void Resizer::StartWith(uint32_t pairs) {
  active_pairs_ = wanted_pairs_ = pairs;
}

absl::Status Resizer::TakeOver() {
  const absl::StatusOr<bool> repaired = RepairLanes(o_);
  if (!repaired.ok()) {
    return repaired.status();
  }
  const SavedState& saved = state_.state();
  const uint32_t open = o_.lanes.pair_lanes();
  // Fewer than are open, after the spread lever.
  const bool can_spread = !o_.ports.Any([](const Port& port) { return !port.info().has_rss; });
  const bool fewer = can_spread && !saved.has_resize() && saved.active_pairs() > 0 && saved.active_pairs() < open;
  StartWith(fewer ? saved.active_pairs() : open);
  spdlog::info("took over from an earlier agent: {} lanes, dataplane {} went on meanwhile", open, o_.dataplane.pid());
  const bool xdp_was_off = o_.ports.Any([](const Port& port) { return port.info().xdp_was_off; });
  return *repaired || xdp_was_off || saved.has_resize() ? PlaceAfterRepair() : absl::OkStatus();
}

absl::Status Resizer::RemakeLanes() {
  absl::Status s = offload_.Stop();
  const absl::StatusOr<bool> repaired = s.ok() ? RepairLanes(o_) : s;
  if (!repaired.ok()) {
    return repaired.status();
  }
  active_pairs_ = std::min(active_pairs_, o_.lanes.pair_lanes());
  s = o_.ports.WriteRssTables(active_pairs_);
  s = s.ok() ? o_.placement.Place(WorkersFor(active_pairs_), o_.lanes.All()) : s;
  Save();
  return s;
}

absl::Status Resizer::PlaceAfterRepair() {
  const SavedState& saved = state_.state();
  const bool of_cores = saved.resize().method() == LeverName(Lever::kCores);
  const bool of_spread = saved.resize().method() == LeverName(Lever::kSpread);
  if (of_spread && saved.active_pairs() > 0) {
    StartWith(std::min(saved.active_pairs(), o_.lanes.pair_lanes()));
  }
  if (absl::Status s = o_.ports.WriteRssTables(active_pairs_); !s.ok()) {
    return s;
  }
  // The dataplane has done a move between cores, or has not; that is the state it is in.
  return o_.placement.Place(of_cores ? o_.placement.workers() : WorkersFor(active_pairs_), o_.lanes.All());
}

void Resizer::ReportInterrupted() {
  if (!state_.state().has_resize()) {
    return;
  }
  const SavedResize was = state_.state().resize();
  FinishedResize finished;
  for (const Lever lever : {Lever::kCores, Lever::kSpread, Lever::kChannels}) {
    if (was.method() == LeverName(lever)) {
      finished.lever = lever;
    }
  }
  finished.from = was.from();
  finished.to = was.to();
  finished.outcome = OutcomeOfInterrupted(was.from(), was.to(),
                                          finished.lever == Lever::kCores ? o_.placement.workers() : active_pairs_);
  // The moment at which XDP went off is not known; it was not before this.
  if (o_.ports.Any([](const Port& port) { return port.info().xdp_was_off; })) {
    finished.outcome.blocked = absl::Nanoseconds(std::max<int64_t>(0, MonotonicNs() - was.began_ns()));
  }
  // The kernel's drops at sockets that are closed went with the agent that counted them. A dataplane that died, too,
  // has left nothing to count from.
  const ResizeCosts now = CountCosts(o_);
  const auto since = [](uint64_t count, uint64_t before) { return count - std::min(count, before); };
  finished.costs = {since(now.bridged, was.bridged_before()),
                    since(now.held, was.held_before()),
                    since(now.reordered, was.reordered_before()),
                    {}};
  if (const uint64_t lost = since(Sum(now.lost), was.dropped_before()); lost > 0) {
    finished.costs.lost = {{"unknown", lost}};  // its reasons before were not saved
  }
  spdlog::warn("{} from {} to {}: {}", was.method(), was.from(), was.to(),
               std::string(finished.outcome.error.message()));
  Record(std::move(finished));
  End();
}

}  // namespace sluice
