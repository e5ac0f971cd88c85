#include "control/kernel/shared_memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "control/kernel/kernel_error.h"

namespace sluice {

absl::StatusOr<UniqueFd> MakeSharedMemory(const std::string& name, size_t bytes, PageKind pages) {
  const uint32_t huge = pages == PageKind::kHuge ? MFD_HUGETLB | MFD_HUGE_2MB : 0;
  UniqueFd memory(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | huge));
  if (!memory) {
    return KernelError(errno, absl::StrCat("making memfd ", name));
  }
  int allocated;
  do {
    allocated = fallocate(memory.get(), 0, 0, static_cast<off_t>(bytes));
  } while (allocated != 0 && errno == EINTR);
  if (allocated != 0) {
    const int error = errno;
    const absl::Status failed = KernelError(error, absl::StrCat("getting ", bytes, " bytes for memfd ", name));
    return error == ENOMEM || error == ENOSPC || error == EFBIG
               ? absl::ResourceExhaustedError(
                     absl::StrCat(failed.message(), "; free memory, or raise the memory limit of the agent's cgroup"))
               : failed;
  }
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return KernelError(errno, absl::StrCat("sealing memfd ", name));
  }
  return memory;
}

absl::Status CheckSharedMemory(int fd, uint64_t bytes, PageKind largest_pages) {
  struct stat file {};
  struct statfs filesystem {};
  if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || fstatfs(fd, &filesystem) != 0 ||
      (filesystem.f_type != TMPFS_MAGIC &&
       (largest_pages != PageKind::kHuge || filesystem.f_type != HUGETLBFS_MAGIC))) {
    return absl::DataLossError("it is no shared memory");
  }
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return absl::DataLossError("it is not sealed at its size");
  }
  if (static_cast<uint64_t>(file.st_size) < bytes) {
    return absl::DataLossError(absl::StrCat("it has ", file.st_size, " bytes instead of ", bytes));
  }
  return absl::OkStatus();
}

}  // namespace sluice
