#include "control/dataplane/watchdog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice {
namespace {

// Two beats of a thread without work, and a look. The state is read from then on, so it costs nothing before.
constexpr int64_t kSuspectNs = 400'000'000;

std::string Describe(const std::string& name, int64_t silent_ns, const std::optional<ThreadState>& state) {
  const std::string seconds = absl::StrFormat("%.1f s", static_cast<double>(silent_ns) / 1e9);
  if (!state.has_value()) {
    return absl::StrCat(name, " has not beaten for ", seconds);
  }
  switch (state->state) {
    case 'T':
      return absl::StrCat(name, " has been stopped by a signal for ", seconds);
    case 't':
      return absl::StrCat(name, " has been stopped by a tracer for ", seconds);
    case 'R':
      return absl::StrCat(name, " has been running in circles for ", seconds);
    case 'S':
      return absl::StrCat(name, " has been asleep without a beat for ", seconds);
    default:
      return absl::StrCat(name, " has been in state ", std::string(1, state->state), " without a beat for ", seconds);
  }
}

}  // namespace

void Watchdog::AddNew(absl::Span<const pid_t> all, ReadState read, std::vector<Thread>& threads) {
  for (const pid_t id : all) {
    const bool known = std::any_of(threads.begin(), threads.end(), [id](const Thread& one) { return one.id == id; });
    const std::optional<ThreadState> state = known ? std::nullopt : read(id);
    if (state.has_value() && state->state == 'R') {
      threads.push_back({"a new worker", id, static_cast<uint64_t>(state->cpu_ns)});
    }
  }
}

void Watchdog::Note(int64_t elapsed_ns, absl::Span<const Thread> threads, ReadState read) {
  std::vector<Watched> former = std::exchange(watched_, {});
  for (const Thread& thread : threads) {
    const auto known =
        std::find_if(former.begin(), former.end(), [&](const Watched& one) { return one.thread.id == thread.id; });
    Watched& watched = watched_.emplace_back(Watched{thread, 0, std::nullopt});
    if (known != former.end() && known->thread.beats == thread.beats) {
      watched.silent_ns = known->silent_ns + elapsed_ns;
      watched.then = known->then;
    }
    if (watched.silent_ns >= kSuspectNs && !watched.then.has_value()) {
      watched.then = read(thread.id);
    }
  }
}

Watchdog::Finding Watchdog::Judge(const Watched& watched, const std::optional<ThreadState>& now) {
  const auto after = [&](int64_t bound_ns) { return watched.silent_ns >= bound_ns ? Finding::kHangs : Finding::kWell; };
  if (!now.has_value()) {
    return after(kLongBoundNs);
  }
  if (now->stopped()) {
    return after(kBoundNs);
  }
  switch (now->state) {
    case 'R': {
      const bool uses_cpu = watched.then.has_value() && now->cpu_ns - watched.then->cpu_ns >= kEndlessCpuNs;
      return uses_cpu ? after(watched.thread.is_control ? kLongBoundNs : kBoundNs) : Finding::kStarved;
    }
    case 'S':
      return Finding::kAsleep;
    default:
      return watched.silent_ns >= kLongBoundNs ? Finding::kHangs : Finding::kStarved;
  }
}

Watchdog::Verdict Watchdog::Look(int64_t now_ns, absl::Span<const Thread> threads, ReadState read) {
  Note(std::min(now_ns - std::exchange(last_look_ns_, now_ns), kLongestNapNs), threads, read);
  Verdict verdict;
  const Watched* asleep = nullptr;
  bool starved = false;
  for (const Watched& watched : watched_) {
    if (watched.silent_ns < kSuspectNs) {
      continue;
    }
    const std::optional<ThreadState> now = read(watched.thread.id);
    switch (Judge(watched, now)) {
      case Finding::kHangs:
        return {true, Describe(watched.thread.name, watched.silent_ns, now)};
      case Finding::kStarved:
        starved = true;
        if (watched.silent_ns >= kStarvedBoundNs) {
          verdict.why = absl::StrCat(watched.thread.name, " gets no time on its core");
        }
        break;
      case Finding::kAsleep:
        asleep = watched.silent_ns >= kSleepBoundNs ? &watched : asleep;
        break;
      case Finding::kWell:
        break;
    }
  }
  if (asleep != nullptr && !starved) {
    return {true, Describe(asleep->thread.name, asleep->silent_ns, ThreadState{.state = 'S'})};
  }
  return verdict;
}

}  // namespace sluice
