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
  std::vector<bool> fresh(count);
  std::transform(uses.begin(), uses.end(), fresh.begin(), [](uint32_t used) { return used == 0; });
  const auto least_used = [&uses](const auto& may_be) {
    uint32_t least = 0;
    for (uint32_t queue = 0; queue < uses.size(); ++queue) {
      if (may_be(queue) && (!may_be(least) || uses[queue] < uses[least])) {
        least = queue;
      }
    }
    return least;
  };
  for (uint32_t& queue : table) {
    if (queue >= count) {
      queue = least_used([](uint32_t) { return true; });
      ++uses[queue];
    }
  }
  const auto share = std::max<uint32_t>(1, static_cast<uint32_t>(table.size()) / count);
  for (uint32_t& queue : table) {
    const uint32_t to = least_used([&fresh](uint32_t candidate) { return fresh[candidate]; });
    if (fresh[to] && !fresh[queue] && uses[queue] > share) {
      --uses[queue];
      ++uses[to];
      queue = to;
    }
  }
  return table;
}

bool IsDefaultRssTable(const std::vector<uint32_t>& table, uint32_t count) {
  for (size_t entry = 0; entry < table.size(); ++entry) {
    if (table[entry] != entry % count) {
      return false;
    }
  }
  return true;
}

}  // namespace sluice
