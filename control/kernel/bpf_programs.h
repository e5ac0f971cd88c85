// Loaded BPF programs, object files and pinned maps. One thread.
#ifndef SLUICE_CONTROL_KERNEL_BPF_PROGRAMS_H_
#define SLUICE_CONTROL_KERNEL_BPF_PROGRAMS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dataplane/base/unique_fd.h"

struct bpf_object;  // bpf/libbpf.h

namespace sluice {

struct BpfProgram {
  uint32_t id = 0;
  std::string name;  // at most 15 characters: the kernel cuts the rest off
  uint32_t btf_id = 0;
  std::map<std::string, uint32_t> map_ids;  // by map name
};

absl::StatusOr<BpfProgram> DescribeProgram(int program_fd);

// Fails when the program's `sluice_abi_version` is not ours, or is missing. Needed before a program is adopted.
absl::Status CheckAbiVersion(const BpfProgram& program);
// Fails unless every map of ours that the program uses is the one pinned under its name in `pin_dir`.
absl::Status CheckPinnedMaps(const BpfProgram& program, const std::string& pin_dir);

struct CloseBpfObject {
  void operator()(bpf_object* object) const;
};
using BpfObject = std::unique_ptr<bpf_object, CloseBpfObject>;
// Opens an object file whose maps will be pinned in, or taken from, `pin_dir`. nullptr: refused, errno has the reason.
BpfObject OpenObject(const std::string& path, const std::string& pin_dir);

// Opens the map that is pinned as pin_dir/name.
absl::StatusOr<UniqueFd> OpenPinnedMap(const std::string& pin_dir, const std::string& name);
// True if `map` is the one that is pinned as pin_dir/name.
bool IsPinnedMap(int map, const std::string& pin_dir, const std::string& name);

// Pins `map` as pin_dir/name unless it is pinned there. FailedPrecondition when there is something else in its place.
absl::Status PinMap(int map, const std::string& pin_dir, const std::string& name);
// The same for every map of ours that the program uses.
absl::Status PinMapsOf(const BpfProgram& program, const std::string& pin_dir);

// Makes the error of a call on one of our maps, from errno: "writing map sluice_config: Permission denied".
absl::Status MapError(absl::string_view doing, const char* map);

// Returns the number of elements that a per-CPU map has under one key. Each is rounded up to 8 bytes.
absl::StatusOr<size_t> PossibleCpus();

// Makes `pin_dir` and its parents. FailedPrecondition when it is not on a bpf filesystem.
absl::Status MakePinDir(const std::string& pin_dir);
// The same; mounts the bpf filesystem on /sys/fs/bpf if somebody has unmounted it.
absl::Status MakePinDirAgain(const std::string& pin_dir);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_BPF_PROGRAMS_H_
