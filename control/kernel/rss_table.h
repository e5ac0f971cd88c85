// Which queue each entry of an RSS table names, for another number of queues.
#ifndef SLUICE_CONTROL_KERNEL_RSS_TABLE_H_
#define SLUICE_CONTROL_KERNEL_RSS_TABLE_H_

#include <cstdint>
#include <vector>

namespace sluice {

// The table for queues [0, count), each named about equally often, with as few entries changed as that takes.
// Shrinking changes only entries that named queues from `count` on; growing only ones that now name a queue
// that had none. So flows move one way: off queues that go idle, or onto fresh ones. `count` is at least 1.
std::vector<uint32_t> SpreadTable(std::vector<uint32_t> table, uint32_t count);

// Whether it is the one the kernel makes for `count` queues (include/linux/ethtool.h: ethtool_rxfh_indir_default).
bool IsDefaultRssTable(const std::vector<uint32_t>& table, uint32_t count);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_RSS_TABLE_H_
