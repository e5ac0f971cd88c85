#include "control/kernel/rx_drops.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "control/kernel/ethtool.h"

namespace sluice {
namespace {

// Splits a counter's name: "rx_queue_3_xdp_drops" or "rx3_xdp_drops" is queue 3 and "xdp_drops". nullopt for any other
// name, such as "rx_drops", which is a sum.
std::optional<std::pair<uint32_t, absl::string_view>> QueueCounter(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "rx")) {
    return std::nullopt;
  }
  absl::ConsumePrefix(&name, "_queue_");
  const size_t digits = std::min(name.find('_'), name.size());
  uint32_t queue = 0;
  if (!absl::SimpleAtoi(name.substr(0, digits), &queue) || digits == name.size()) {
    return std::nullopt;
  }
  return std::make_pair(queue, name.substr(digits + 1));
}

}  // namespace

std::map<uint32_t, RxDrops> RxDropsByQueue(absl::Span<const std::pair<std::string, uint64_t>> stats) {
  std::map<uint32_t, RxDrops> drops;
  for (const auto& [name, value] : stats) {
    const auto counter = QueueCounter(name);
    if (counter.has_value() && counter->second == "drops") {
      drops[counter->first].drops = value;
    } else if (counter.has_value() && counter->second == "xdp_drops") {
      drops[counter->first].xdp_drops = value;
    }
  }
  return drops;
}

std::optional<RxDrops> RxDropsWatch::Read() {
  if (const auto stats = GetDriverStats(netdev_); stats.ok()) {
    for (const auto& [queue, drops] : RxDropsByQueue(*stats)) {
      seen_[queue] = drops;
    }
  }
  if (seen_.empty()) {
    return std::nullopt;
  }
  RxDrops sum;
  for (const auto& [queue, drops] : seen_) {
    sum.drops += drops.drops;
    sum.xdp_drops += drops.xdp_drops;
  }
  return sum;
}

}  // namespace sluice
