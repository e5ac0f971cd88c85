#include "dataplane/process/fence.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/io/ring_positions.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Between two looks at the old lanes: some rounds of a worker.
constexpr absl::Duration kPause = absl::Microseconds(200);

}  // namespace

void Fence::Raise(const std::vector<Lane*>& fresh) {
  for (Lane* lane : fresh) {
    worker_pool_.RunFor(*lane, [lane] { lane->transit().HoldBack(); });
    if (std::find(held_.begin(), held_.end(), lane) == held_.end()) {
      held_.push_back(lane);
    }
  }
}

bool Fence::Lower(const std::vector<Lane*>& old, const std::vector<Lane*>& all, absl::Duration bound) {
  const SteadyTime end = SteadyTime::Now() + bound;
  if (absl::Status s = kernel_.WaitForRcuGracePeriod(); !s.ok()) {
    spdlog::error("fence: {}", std::string(s.message()));
    Release(false);
    return false;
  }
  std::vector<RingPositions> positions(all.size());
  ComesTrue(old, end, [&positions](size_t i, const Lane& lane) {
    positions[i] = RxPositions(lane.pairs());
    return true;
  });
  // In this order: a frame only moves on, so a frame that is not in one place any more is in a later one.
  const bool proven =
      ComesTrue(old, end,
                [&positions](size_t i, const Lane& lane) { return ReceivedUpTo(lane.pairs(), positions[i]); }) &&
      ComesTrue(all, end,
                [&positions](size_t i, const Lane& lane) {
                  positions[i] = TxPositions(lane.pairs());
                  return lane.transit().empty();
                }) &&
      ComesTrue(all, end, [&positions](size_t i, const Lane& lane) { return SentUpTo(lane.pairs(), positions[i]); });
  Release(proven);
  return proven;
}

void Fence::Drop() {
  Release(false);
}

void Fence::Forget(Lane& lane) {
  held_.erase(std::remove(held_.begin(), held_.end(), &lane), held_.end());
  worker_pool_.RunFor(lane, [&lane] { lane.transit().LetReceive(/*proven=*/false); });
}

// Waits until `is` has been true of every lane once, between two rounds of its worker. False: `end` came first.
bool Fence::ComesTrue(const std::vector<Lane*>& lanes, SteadyTime end,
                      absl::FunctionRef<bool(size_t, const Lane&)> is) {
  for (size_t i = 0; i < lanes.size();) {
    bool answer = false;
    worker_pool_.RunFor(*lanes[i], [&] { answer = is(i, *lanes[i]); });
    if (answer) {
      ++i;
    } else if (SteadyTime::Now() >= end) {
      return false;
    } else {
      absl::SleepFor(kPause);
    }
  }
  return true;
}

void Fence::Release(bool proven) {
  for (Lane* lane : std::exchange(held_, {})) {
    worker_pool_.RunFor(*lane, [lane, proven] { lane->transit().LetReceive(proven); });
  }
}

}  // namespace sluice
