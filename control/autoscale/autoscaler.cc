#include "control/autoscale/autoscaler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A decision that changes nothing is in the log and in the metrics once in this time.
constexpr int64_t kNoteEveryNs = 600'000'000'000;

absl::Status RefuseUnlessAutomatic(bool automatic) {
  return automatic ? absl::OkStatus()
                   : absl::FailedPreconditionError(
                         "queue_pairs is a number in the configuration; apply one with queue_pairs = \"auto\" first");
}

}  // namespace

Autoscaler::Autoscaler(const ResizeObjects& objects, Resizer& resizer, StateFile& state, Wish wish)
    : o_(objects), resizer_(resizer), state_(state), wish_(wish) {
  if (!wish_.automatic) {
    SaveHold("");
  }
}

void Autoscaler::SetWish(Wish wish) {
  if (wish == wish_) {
    return;
  }
  wish_ = wish;
  if (!wish_.automatic) {
    SaveHold("");
  }
  StartAnew();
}

Autoscaler::Mode Autoscaler::mode() const {
  return !wish_.automatic ? Mode::kOff : state_.state().held_by().empty() ? Mode::kAuto : Mode::kHold;
}

absl::Status Autoscaler::Resume() {
  if (absl::Status s = RefuseUnlessAutomatic(wish_.automatic); !s.ok()) {
    return s;
  }
  if (mode() == Mode::kHold) {
    spdlog::info("autoscale: goes on");
    SaveHold("");
    StartAnew();
  }
  return absl::OkStatus();
}

absl::Status Autoscaler::Hold() {
  if (absl::Status s = RefuseUnlessAutomatic(wish_.automatic); !s.ok()) {
    return s;
  }
  HoldBecause("sluicectl queues hold");
  return absl::OkStatus();
}

bool Autoscaler::UserSetPairs() {
  if (!wish_.automatic) {
    return false;
  }
  HoldBecause("sluicectl queues set");
  return true;
}

void Autoscaler::HoldBecause(const char* by) {
  spdlog::info("autoscale: holds {} queue pair(s), by {}", resizer_.active_pairs(), by);
  SaveHold(by);
  StartAnew();
}

void Autoscaler::SaveHold(const std::string& by) {
  if (state_.state().held_by() != by) {
    state_.Update([&](SavedState& state) { state.set_held_by(by); });
  }
}

void Autoscaler::StartAnew() {
  window_.clear();
  sampler_.Forget();
  memory_ = {};
  sentence_.clear();
}

uint64_t Autoscaler::decisions(AutoscaleWhy why) const {
  const auto found = decisions_.find(why);
  return found == decisions_.end() ? 0 : found->second;
}

AutoscaleSetup Autoscaler::Setup() const {
  AutoscaleSetup setup;
  const std::optional<uint32_t>& wished_workers = o_.placement.wish().workers;
  const auto cores = static_cast<uint32_t>(o_.placement.usable_cores().size());
  setup.active_pairs = resizer_.active_pairs();
  setup.open_pairs = o_.lanes.pair_lanes();
  setup.workers = o_.placement.workers();
  setup.workers_are_set = wished_workers.has_value();
  setup.usable_workers = std::min(wished_workers.value_or(cores), cores);
  setup.can_spread = !o_.ports.Any([](const Port& port) { return !port.info().has_rss; });
  setup.device_pairs = kMaxPairLanes;
  for (const Port& port : o_.ports) {
    setup.device_pairs = std::min(setup.device_pairs, port.info().max_pairs);
  }
  setup.bounds = {wish_.min, wish_.max.value_or(kMaxPairLanes)};
  setup.cost_ns = cost_ns_;
  return setup;
}

void Autoscaler::Tick(int64_t now_ns) {
  if (mode() != Mode::kAuto) {
    sentence_ = mode() == Mode::kOff
                    ? "queue_pairs is a number"
                    : absl::StrCat("held by `", state_.state().held_by(), "`; `sluicectl queues auto` goes on");
    return;
  }
  if (now_ns < next_sample_ns_) {
    return;
  }
  next_sample_ns_ = now_ns + kSampleEveryNs;
  // Lanes come and go then without a resize.
  if (o_.dataplane.down() || o_.ports.Any([](const Port& port) { return port.gone(); })) {
    window_.clear();
    sampler_.Forget();
    return;
  }
  Measure();
  std::optional<LoadSample> sample = sampler_.Take(o_, resizer_.active_pairs(), now_ns);
  if (!sample.has_value()) {
    window_.clear();  // somebody has changed lanes or workers
    return;
  }
  window_.push_back(*std::move(sample));
  window_.erase(window_.begin(), std::find_if(window_.begin(), window_.end(), [&](const LoadSample& one) {
                  return one.at_ns > now_ns - kLoadWindowNs;
                }));
  AutoscaleJudgement judgement = JudgeLoad(window_, Setup(), std::move(memory_));
  memory_ = judgement.memory;
  sentence_ = judgement.sentence;
  if (judgement.lever != Lever::kNone) {
    Carry(judgement, now_ns);
  } else if (judgement.why != AutoscaleWhy::kEnough && judgement.why != AutoscaleWhy::kRefused) {
    Note(judgement.why, now_ns);
  }
}

// A user's resize shows the cost of a lever as well as one of ours.
void Autoscaler::Measure() {
  if (const std::optional<FinishedResize>& last = resizer_.last_resize(); last.has_value()) {
    absl::Duration took;
    for (const TimedStep& step : last->outcome.steps) {
      took += step.took;
    }
    cost_ns_[last->lever] = absl::ToInt64Nanoseconds(took);
  }
}

void Autoscaler::Carry(const AutoscaleJudgement& judgement, int64_t now_ns) {
  const bool cores = judgement.lever == Lever::kCores;
  const uint32_t pairs = resizer_.active_pairs();
  const uint32_t from = cores ? o_.placement.workers() : judgement.to == pairs ? o_.lanes.pair_lanes() : pairs;
  const SteadyTime began = SteadyTime::Now();
  const absl::StatusOr<ResizePlan> plan =
      resizer_.Resize({judgement.to, judgement.lever, /*force=*/false}, /*dry_run=*/false, began + Resizer::kBound);
  absl::Status s = plan.status();
  if (s.ok() && plan->lever != Lever::kNone) {
    s = resizer_.last_resize()->outcome.error;
  }
  const char* name = LeverName(judgement.lever);
  now_ns += absl::ToInt64Nanoseconds(SteadyTime::Now() - began);
  if (s.ok()) {
    spdlog::info("autoscale: {} from {} to {}: {}", name, from, judgement.to, judgement.sentence);
    ++decisions_[judgement.why];
    memory_ = AfterChange(std::move(memory_), judgement.lever, judgement.to > from, now_ns);
  } else {
    spdlog::warn("autoscale: {} from {} to {} ({}) did not work: {}", name, from, judgement.to, judgement.sentence,
                 std::string(s.message()));
    ++decisions_[AutoscaleWhy::kRefused];
    absl::StrAppend(&sentence_, "; that failed: ", s.message());
    memory_ = AfterRefusal(std::move(memory_), s.message(), now_ns);
  }
  window_.clear();
  sampler_.Forget();
}

void Autoscaler::Note(AutoscaleWhy why, int64_t now_ns) {
  const auto [at, first] = noted_ns_.emplace(why, now_ns);
  if (first || now_ns - at->second >= kNoteEveryNs) {
    at->second = now_ns;
    ++decisions_[why];
    spdlog::info("autoscale: stays at {} queue pair(s): {}", resizer_.active_pairs(), sentence_);
  }
}

}  // namespace sluice
