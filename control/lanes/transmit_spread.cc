#include "control/lanes/transmit_spread.h"

#include <algorithm>
#include <string>
#include <utility>

#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Flows with a packet in this time are moved. Some seconds later the host has forgotten the others, and brings them to
// any queue.
constexpr absl::Duration kSpreadFor = absl::Seconds(2);
// A machine that stood still moved no flow: of the time between two ticks no more than this counts.
constexpr absl::Duration kLongestTick = absl::Seconds(1);

}  // namespace

void TransmitSpread::Adopt(uint32_t count) {
  count_ = count;
}

absl::Status TransmitSpread::Tell(uint32_t count, bool every_lane) {
  absl::Status s = dataplane_.SetTransmitLanes(count, every_lane, /*probe_flows=*/ports_.FlowsFollowTransmit());
  if (s.ok()) {
    count_ = count;
    spread_for_.reset();
  }
  return s;
}

absl::Status TransmitSpread::TellFenced(uint32_t count, bool every_lane) {
  return dataplane_.Fenced(lanes_.All(), [&] { return Tell(count, every_lane); }, {});
}

absl::Status TransmitSpread::Change(uint32_t count) {
  return TellFenced(count, /*every_lane=*/false);
}

absl::Status TransmitSpread::Spread(SteadyTime now) {
  absl::Status s = TellFenced(count_, /*every_lane=*/true);
  if (s.ok()) {
    spread_for_ = kSpreadFor;
    last_tick_ = now;
  }
  return s;
}

void TransmitSpread::Tick(SteadyTime now) {
  const absl::Duration passed = std::min(now - std::exchange(last_tick_, now), kLongestTick);
  if (!spread_for_.has_value()) {
    return;
  }
  *spread_for_ -= passed;
  if (!dataplane_.down() && *spread_for_ <= absl::ZeroDuration()) {
    if (absl::Status s = Change(count_); !s.ok()) {
      spdlog::warn("flows go on leaving by their own lanes: {}", std::string(s.message()));
    }
  }
}

}  // namespace sluice
