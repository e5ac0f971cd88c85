// CPUs as the kernel lists them (Documentation/admin-guide/cputopology.rst). Any thread.
#ifndef SLUICE_DATAPLANE_BASE_CPU_LIST_H_
#define SLUICE_DATAPLANE_BASE_CPU_LIST_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

// Parses the kernel's format: "0-3,6" is {0, 1, 2, 3, 6}. Ascending, each CPU once; white space around it is allowed.
// InvalidArgument, with the part that is wrong.
absl::StatusOr<std::vector<uint32_t>> ParseCpuList(const std::string& text);

// Reads a file in that format. Errors as ReadWholeFile and ParseCpuList.
absl::StatusOr<std::vector<uint32_t>> ReadCpuList(const std::string& path);

// CPUs that are online now (/sys/devices/system/cpu/online).
absl::StatusOr<std::vector<uint32_t>> OnlineCpus();

// Online CPUs that a process may run on: its first thread's affinity, as taskset and cpusets leave it
// (sched_getaffinity(2); kernel/sched/syscalls.c: sched_getaffinity leaves out CPUs that are offline). 0: the calling
// thread. NotFound when there is no such process.
absl::StatusOr<std::vector<uint32_t>> AllowedCpus(pid_t pid);

// The kernel's nr_cpu_ids: one more than the highest CPU that can ever be there (kernel/smp.c: setup_nr_cpu_ids).
absl::StatusOr<uint32_t> PossibleCpuIds();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_CPU_LIST_H_
