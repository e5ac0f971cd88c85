// Makes the memory that the agent shares with the dataplane: packets, counters, the function's state.
//
// It is a memfd whose pages are all there, so that a machine (or a cgroup) without memory is an error here and not a
// SIGBUS in the packet path; and it is sealed at its size, since shrinking it would send SIGBUS to its users.
//
// Any thread.
#ifndef SLUICE_CONTROL_KERNEL_SHARED_MEMORY_H_
#define SLUICE_CONTROL_KERNEL_SHARED_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

enum class PageKind {
  kOrdinary,
  kHuge,  // of 2 MB: the usual huge page of x86-64 and arm64
};

// The size of a page of kHuge.
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// Makes `bytes` zeros, which must be whole pages with kHuge. `name` is what /proc/PID/maps shows. ResourceExhausted
// when there is not that much memory; otherwise as KernelError().
absl::StatusOr<UniqueFd> MakeSharedMemory(const std::string& name, size_t bytes, PageKind pages = PageKind::kOrdinary);

// Checks memory that a stranger gives us: that it is sealed at its size, which is at least `bytes`, so that mapping and
// reading it cannot end in SIGBUS. `largest_pages` kHuge lets it consist of either kind of pages; to be mapped it
// should be of ordinary ones, since of huge ones there may be none left when they are touched. DataLoss when it is not
// so.
absl::Status CheckSharedMemory(int fd, uint64_t bytes, PageKind largest_pages);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_SHARED_MEMORY_H_
