#include "control/kernel/rss_table.h"

#include <algorithm>

namespace sluice {

std::vector<uint32_t> SpreadTable(std::vector<uint32_t> table, uint32_t count) {
  std::vector<uint32_t> uses(count, 0);
  for (const uint32_t queue : table) {
    if (queue < count) {
      ++uses[queue];
    }
  }
  const auto least_used = [&uses](uint32_t first) {
    return static_cast<uint32_t>(std::min_element(uses.begin() + first, uses.end()) - uses.begin());
  };
  // Queues in use come first, the fresh ones behind them.
  const auto fresh = static_cast<uint32_t>(std::find(uses.begin(), uses.end(), 0U) - uses.begin());
  for (uint32_t& queue : table) {
    if (queue >= count) {
      queue = least_used(0);
      ++uses[queue];
    }
  }
  const auto share = static_cast<uint32_t>(table.size()) / count;
  for (uint32_t& queue : table) {
    if (fresh < count && queue < fresh && uses[queue] > share) {
      --uses[queue];
      queue = least_used(fresh);
      ++uses[queue];
    }
  }
  return table;
}

}  // namespace sluice
