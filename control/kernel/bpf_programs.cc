#include "control/kernel/bpf_programs.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bpf/sluice_abi.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

constexpr char kAbiVariable[] = "sluice_abi_version";
// The kernel names the object's read-only data "<object, cut>.rodata".
constexpr char kRodata[] = ".rodata";
// The beginning of the names of all our maps, and of no other.
constexpr char kMapPrefix[] = "sluice_";

// Tells our maps from those of others, and from the object's own data (".rodata").
bool IsPinnedByName(const std::string& map) {
  return absl::StartsWith(map, kMapPrefix) && !absl::StrContains(map, ".");
}

absl::StatusOr<bpf_map_info> MapInfo(int fd) {
  bpf_map_info info{};
  uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) {
    return KernelError(errno, "asking about a BPF map");
  }
  return info;
}

// Finds the offset of `variable` in the program's .rodata, from its BTF.
std::optional<uint32_t> RodataOffset(uint32_t btf_id, const char* variable) {
  struct BtfFree {
    void operator()(btf* b) const { btf__free(b); }
  };
  const std::unique_ptr<btf, BtfFree> types(btf__load_from_kernel_by_id(btf_id));
  if (types == nullptr) {
    return std::nullopt;
  }
  const int section_id = btf__find_by_name_kind(types.get(), kRodata, BTF_KIND_DATASEC);
  if (section_id < 0) {
    return std::nullopt;
  }
  const btf_type* section = btf__type_by_id(types.get(), static_cast<uint32_t>(section_id));
  const btf_var_secinfo* variables = btf_var_secinfos(section);
  for (uint32_t i = 0; i < btf_vlen(section); ++i) {
    const btf_type* type = btf__type_by_id(types.get(), variables[i].type);
    if (std::strcmp(btf__name_by_offset(types.get(), type->name_off), variable) == 0) {
      return variables[i].offset;
    }
  }
  return std::nullopt;
}

// Reads the program's ABI version. nullopt: it has none, so it is not one of ours.
std::optional<uint32_t> AbiVersion(const BpfProgram& program) {
  const std::optional<uint32_t> offset = RodataOffset(program.btf_id, kAbiVariable);
  if (!offset.has_value()) {
    return std::nullopt;
  }
  for (const auto& [name, id] : program.map_ids) {
    if (!absl::EndsWith(name, kRodata)) {
      continue;
    }
    const UniqueFd map(bpf_map_get_fd_by_id(id));
    const absl::StatusOr<bpf_map_info> info = MapInfo(map.get());
    if (!info.ok() || *offset + sizeof(uint32_t) > info->value_size) {
      continue;
    }
    std::vector<char> value(info->value_size);
    const uint32_t key = 0;
    if (bpf_map_lookup_elem(map.get(), &key, value.data()) == 0) {
      uint32_t version = 0;
      std::memcpy(&version, value.data() + *offset, sizeof(version));
      return version;
    }
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<BpfProgram> DescribeProgram(int program_fd) {
  // More maps than any program of ours has; the kernel fills as many as fit.
  constexpr uint32_t kMaxMaps = 32;
  uint32_t map_ids[kMaxMaps] = {};
  bpf_prog_info info{};
  info.nr_map_ids = kMaxMaps;
  info.map_ids = reinterpret_cast<uintptr_t>(map_ids);
  uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(program_fd, &info, &length) != 0) {
    return KernelError(errno, "asking about a BPF program");
  }
  BpfProgram program;
  program.id = info.id;
  program.name = std::string(info.name, strnlen(info.name, sizeof(info.name)));
  program.btf_id = info.btf_id;
  for (uint32_t i = 0; i < std::min(info.nr_map_ids, kMaxMaps); ++i) {
    const UniqueFd map(bpf_map_get_fd_by_id(map_ids[i]));
    const absl::StatusOr<bpf_map_info> map_info = MapInfo(map.get());
    if (map_info.ok()) {
      program.map_ids[std::string(map_info->name, strnlen(map_info->name, sizeof(map_info->name)))] = map_ids[i];
    }
  }
  return program;
}

absl::Status CheckAbiVersion(const BpfProgram& program) {
  const std::optional<uint32_t> version = AbiVersion(program);
  if (version == SLUICE_ABI_VERSION) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("program ", program.name, " (id ", program.id, ") ",
                   version.has_value() ? absl::StrCat("has ABI version ", *version) : "tells no ABI version",
                   ", this agent has ", SLUICE_ABI_VERSION));
}

absl::Status CheckPinnedMaps(const BpfProgram& program, const std::string& pin_dir) {
  for (const auto& [name, id] : program.map_ids) {
    if (!IsPinnedByName(name)) {
      continue;
    }
    const absl::StatusOr<UniqueFd> pinned = OpenPinnedMap(pin_dir, name);
    if (!pinned.ok()) {
      return absl::FailedPreconditionError(absl::StrCat("program ", program.name, " (id ", program.id, ") uses map ",
                                                        name, ", which is not pinned: ", pinned.status().message()));
    }
    const absl::StatusOr<bpf_map_info> info = MapInfo(pinned->get());
    if (!info.ok() || info->id != id) {
      return absl::FailedPreconditionError(absl::StrCat("program ", program.name, " (id ", program.id, ") uses a map ",
                                                        name, " (id ", id, ") other than the one pinned as ", pin_dir,
                                                        "/", name));
    }
  }
  return absl::OkStatus();
}

void CloseBpfObject::operator()(bpf_object* object) const {
  bpf_object__close(object);
}

BpfObject OpenObject(const std::string& path, const std::string& pin_dir) {
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.pin_root_path = pin_dir.c_str();
  return BpfObject(bpf_object__open_file(path.c_str(), &options));
}

absl::StatusOr<UniqueFd> OpenPinnedMap(const std::string& pin_dir, const std::string& name) {
  const std::string path = absl::StrCat(pin_dir, "/", name);
  UniqueFd map(bpf_obj_get(path.c_str()));
  if (!map) {
    return KernelError(errno, absl::StrCat("opening pinned map ", path));
  }
  return map;
}

bool IsPinnedMap(int map, const std::string& pin_dir, const std::string& name) {
  const absl::StatusOr<UniqueFd> pinned = OpenPinnedMap(pin_dir, name);
  bpf_map_info theirs{}, ours{};
  uint32_t theirs_bytes = sizeof(theirs), ours_bytes = sizeof(ours);
  return pinned.ok() && bpf_obj_get_info_by_fd(pinned->get(), &theirs, &theirs_bytes) == 0 &&
         bpf_obj_get_info_by_fd(map, &ours, &ours_bytes) == 0 && theirs.id == ours.id;
}

absl::Status PinMap(int map, const std::string& pin_dir, const std::string& name) {
  const std::string path = absl::StrCat(pin_dir, "/", name);
  if (IsPinnedMap(map, pin_dir, name) || bpf_obj_pin(map, path.c_str()) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  return error == EEXIST ? absl::FailedPreconditionError(
                               absl::StrCat(path, " is another map than the running program's; remove it"))
                         : KernelError(error, absl::StrCat("pinning map ", name, " in ", pin_dir));
}

absl::Status PinMapsOf(const BpfProgram& program, const std::string& pin_dir) {
  for (const auto& [name, id] : program.map_ids) {
    if (!IsPinnedByName(name)) {
      continue;
    }
    const UniqueFd map(bpf_map_get_fd_by_id(id));
    absl::Status s = map ? PinMap(map.get(), pin_dir, name) : KernelError(errno, absl::StrCat("opening map ", name));
    if (!s.ok()) {
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status MapError(absl::string_view doing, const char* map) {
  return KernelError(errno, absl::StrCat(doing, " map ", map));
}

absl::StatusOr<size_t> PossibleCpus() {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 1) {
    return KernelError(-cpus, "counting possible CPUs");
  }
  return static_cast<size_t>(cpus);
}

absl::Status MakePinDir(const std::string& pin_dir) {
  std::string path;
  int refused = 0;
  for (const absl::string_view part : absl::StrSplit(pin_dir, '/', absl::SkipEmpty())) {
    const std::string parent = path.empty() ? "/" : path;
    absl::StrAppend(&path, "/", part);
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      refused = errno;
      path = parent;
      break;
    }
  }
  struct statfs filesystem {};
  if (statfs(path.c_str(), &filesystem) != 0) {
    return KernelError(errno, absl::StrCat("looking at ", path));
  }
  // Without a bpf filesystem /sys/fs/bpf is a folder of sysfs, in which mkdir() fails.
  if (static_cast<uint64_t>(filesystem.f_type) != BPF_FS_MAGIC) {
    return absl::FailedPreconditionError(
        absl::StrCat(pin_dir, " is not on a bpf filesystem; mount one: mount -t bpf bpf /sys/fs/bpf"));
  }
  return refused == 0 ? absl::OkStatus() : KernelError(refused, absl::StrCat("making folder ", pin_dir));
}

absl::Status MakePinDirAgain(const std::string& pin_dir) {
  constexpr char kMountPoint[] = "/sys/fs/bpf";
  absl::Status s = MakePinDir(pin_dir);
  if (!absl::IsFailedPrecondition(s) || !absl::StartsWith(pin_dir, absl::StrCat(kMountPoint, "/"))) {
    return s;
  }
  if (mount("bpf", kMountPoint, "bpf", 0, "mode=0700") != 0) {
    return KernelError(errno, absl::StrCat("mounting the bpf filesystem on ", kMountPoint));
  }
  return MakePinDir(pin_dir);
}

}  // namespace sluice
