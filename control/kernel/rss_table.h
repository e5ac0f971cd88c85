// Rewrites an RSS table for another number of queues, moving as few entries as possible. Pure; any thread.
#ifndef SLUICE_CONTROL_KERNEL_RSS_TABLE_H_
#define SLUICE_CONTROL_KERNEL_RSS_TABLE_H_

#include <cstdint>
#include <vector>

namespace sluice {

// Returns the table for queues [0, count), which are named about equally often. Shrinking changes only entries that
// named queues from `count` on; growing changes only entries that now name a queue which had none. Flows therefore move
// one way: off queues that go idle, or onto fresh ones. `count` is at least 1.
std::vector<uint32_t> SpreadTable(std::vector<uint32_t> table, uint32_t count);

// Tells whether a table is the one that the kernel makes for `count` queues (include/linux/ethtool.h:
// ethtool_rxfh_indir_default).
bool IsDefaultRssTable(const std::vector<uint32_t>& table, uint32_t count);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_RSS_TABLE_H_
