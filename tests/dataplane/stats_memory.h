// Memory for counters as the agent makes it.
#ifndef SLUICE_TESTS_DATAPLANE_STATS_MEMORY_H_
#define SLUICE_TESTS_DATAPLANE_STATS_MEMORY_H_

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <memory>

#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/stats_segment.h"

namespace sluice {

inline UniqueFd MakeStatsMemory() {
  UniqueFd memory(memfd_create("stats", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(memory.get(), sizeof(StatsSegment)), 0);
  const auto fresh = std::make_unique<StatsSegment>();
  constexpr size_t kHead = offsetof(StatsSegment, lanes);
  EXPECT_EQ(pwrite(memory.get(), fresh.get(), kHead, 0), static_cast<ssize_t>(kHead));
  return memory;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_STATS_MEMORY_H_
