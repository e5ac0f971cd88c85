#include "control/kernel/xdp_attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <xdp/libxdp.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bpf/sluice_abi.h"
#include "control/kernel/bpf_messages.h"
#include "control/kernel/bpf_programs.h"
#include "control/kernel/kernel_error.h"
#include "control/kernel/xdp_multiprog.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kProgramName[] = "sluice_steer";
constexpr const char* kMapNames[] = {
    SLUICE_MAP_XSKS,      SLUICE_MAP_CONFIG,      SLUICE_MAP_RULE_BANKS,    SLUICE_MAP_RULES,
    SLUICE_MAP_RULE_SETS, SLUICE_MAP_RULE_VALUES, SLUICE_MAP_RULE_PREFIXES, SLUICE_MAP_RULE_HITS,
    SLUICE_MAP_BLOCKLIST, SLUICE_MAP_LOCALS,      SLUICE_MAP_COUNTERS,      SLUICE_MAP_FLOWS,
    SLUICE_MAP_DETAILS,   SLUICE_MAP_CREDIT,      SLUICE_MAP_TRUSTED,       SLUICE_MAP_SELF_TEST};

struct ProgramClose {
  void operator()(xdp_program* p) const { xdp_program__close(p); }
};

uint32_t ModeFlag(XdpMode mode) {
  return mode == XdpMode::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

XdpMode ModeOf(const xdp_multiprog* multiprog) {
  return xdp_multiprog__attach_mode(multiprog) == XDP_MODE_SKB ? XdpMode::kSkb : XdpMode::kNative;
}

// Loads the object with its maps pinned in (or taken from) `pin_dir`, and attaches it by libxdp: in a
// dispatcher where the kernel can do that, alone where it cannot. Returns the program's id.
absl::StatusOr<uint32_t> LoadAndAttach(int ifindex, const std::string& netdev, const std::string& object_path,
                                       const std::string& pin_dir, uint32_t flow_buckets, XdpMode mode) {
  BpfMessages messages;
  const BpfObject object = OpenObject(object_path, pin_dir);
  if (object == nullptr) {
    return messages.Error(errno, absl::StrCat("opening ", object_path));
  }
  for (const char* name : {SLUICE_MAP_FLOWS, SLUICE_MAP_DETAILS, SLUICE_MAP_TRUSTED}) {
    if (bpf_map__set_max_entries(bpf_object__find_map_by_name(object.get(), name), flow_buckets) != 0) {
      return messages.Error(errno, absl::StrCat("making map ", name, " of ", flow_buckets, " buckets"));
    }
  }
  xdp_program_opts program_options{};
  program_options.sz = sizeof(program_options);
  program_options.obj = object.get();
  program_options.prog_name = kProgramName;
  xdp_program* created = xdp_program__create(&program_options);
  if (const long error = libxdp_get_error(created); error != 0) {
    return messages.Error(static_cast<int>(error), absl::StrCat("finding program ", kProgramName, " in ", object_path));
  }
  const std::unique_ptr<xdp_program, ProgramClose> program(created);
  const int error =
      xdp_program__attach(program.get(), ifindex, mode == XdpMode::kNative ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
  if (error != 0) {
    return NameValue(
        messages.Error(error, absl::StrCat("attaching ", object_path, " to ", netdev, " in ", Name(mode), " mode")),
        absl::StrCat(Name(mode), " XDP, of [dataplane] mode, or the device's MTU or queues"));
  }
  return xdp_program__id(program.get());
}

// The folder in which libxdp pins dispatchers' parts, in folders dispatch-IFINDEX-ID (libxdp.c: xdp_multiprog__pin).
fs::path LibxdpPins() {
  const char* bpffs = getenv("LIBXDP_BPFFS");
  return fs::path(bpffs != nullptr ? bpffs : "/sys/fs/bpf") / "xdp";
}

fs::path DispatcherPins(int ifindex, uint32_t dispatcher_id) {
  return LibxdpPins() / absl::StrCat("dispatch-", ifindex, "-", dispatcher_id);
}

// Finds the dispatcher that an agent took off for a resize before it died. libxdp's pins still hold it, as
// PINS/dispatch-IFINDEX-ID. Interfaces of other network namespaces may have the same ifindex, so it counts only if its
// maps are the ones in `pin_dir`. A program that was alone died with the agent.
std::optional<UniqueFd> FindSuspendedDispatcher(int ifindex, const std::string& pin_dir) {
  const std::string prefix = absl::StrCat("dispatch-", ifindex, "-");
  std::error_code error;
  for (const fs::directory_entry& folder : fs::directory_iterator(LibxdpPins(), error)) {
    const std::string name = folder.path().filename();
    uint32_t dispatcher_id = 0;
    if (!absl::StartsWith(name, prefix) || !absl::SimpleAtoi(name.substr(prefix.size()), &dispatcher_id)) {
      continue;
    }
    for (const fs::directory_entry& pin : fs::directory_iterator(folder.path(), error)) {
      if (!absl::EndsWith(pin.path().string(), "-prog")) {
        continue;
      }
      const UniqueFd part(bpf_obj_get(pin.path().c_str()));
      const absl::StatusOr<BpfProgram> program = DescribeProgram(part.get());
      if (program.ok() && program->name == kProgramName && CheckPinnedMaps(*program, pin_dir).ok()) {
        UniqueFd dispatcher(bpf_prog_get_fd_by_id(dispatcher_id));
        if (dispatcher) {
          return dispatcher;
        }
      }
    }
  }
  return std::nullopt;
}

absl::Status AttachFd(int ifindex, const std::string& netdev, int program_fd, XdpMode mode) {
  BpfMessages messages;
  const int error = bpf_xdp_attach(ifindex, program_fd, ModeFlag(mode) | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr);
  if (error != 0) {
    return messages.Error(error, absl::StrCat("putting the XDP program back on ", netdev));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<XdpAttachment> XdpAttachment::AttachOrAdopt(const std::string& netdev, const std::string& object_path,
                                                           const std::string& pin_dir, ModeSetting setting,
                                                           uint32_t flow_buckets) {
  const bool allow_skb = TakesSkbMode(setting);
  const BpfMessages quiet;
  XdpAttachment attachment;
  attachment.netdev_ = netdev;
  attachment.pin_dir_ = pin_dir;
  // Asked first: without this right we could attach a program, and then neither read nor remove it.
  if (bpf_prog_get_fd_by_id(0) < 0 && errno == EPERM) {
    return KernelError(EPERM, "opening BPF programs by their ids");
  }
  attachment.ifindex_ = static_cast<int>(if_nametoindex(netdev.c_str()));
  if (attachment.ifindex_ == 0) {
    return KernelError(errno, absl::StrCat("looking up netdev ", netdev));
  }
  absl::StatusOr<Multiprog> found = ReadMultiprog(attachment.ifindex_, netdev);
  if (!found.ok()) {
    return found.status();
  }
  attachment.was_on_device_ = *found != nullptr && FindByName(found->get(), kProgramName) != nullptr;
  if (*found == nullptr) {
    const std::optional<UniqueFd> suspended = FindSuspendedDispatcher(attachment.ifindex_, pin_dir);
    if (suspended.has_value() &&
        (AttachFd(attachment.ifindex_, netdev, suspended->get(), XdpMode::kNative).ok() ||
         (allow_skb && AttachFd(attachment.ifindex_, netdev, suspended->get(), XdpMode::kSkb).ok()))) {
      found = ReadMultiprog(attachment.ifindex_, netdev);
      if (!found.ok()) {
        return found.status();
      }
    }
  }
  if (xdp_program* ours = *found != nullptr ? FindByName(found->get(), kProgramName) : nullptr; ours != nullptr) {
    const absl::Status status = attachment.Adopt(xdp_program__fd(ours));
    if (!status.ok()) {
      return status;
    }
    return attachment;
  }
  if (*found != nullptr && xdp_multiprog__is_legacy(found->get())) {
    xdp_program* foreign = xdp_multiprog__main_prog(found->get());
    return absl::FailedPreconditionError(absl::StrCat(
        netdev, " has XDP program ", xdp_program__name(foreign), " (id ", xdp_program__id(foreign),
        "), which is not in a libxdp dispatcher and leaves no room for another; unload it first: xdp-loader unload ",
        netdev, " --all, or: ip link set dev ", netdev, " xdp off"));
  }
  const XdpMode first_mode = *found != nullptr ? ModeOf(found->get()) : FirstXdpMode(setting);
  const absl::Status status = attachment.Load(object_path, flow_buckets, allow_skb, first_mode);
  if (!status.ok()) {
    return status;
  }
  return attachment;
}

absl::StatusOr<bool> XdpAttachment::IsOn(int ifindex, const std::string& netdev) {
  const BpfMessages quiet;
  const absl::StatusOr<Multiprog> found = ReadMultiprog(ifindex, netdev);
  return found.ok() ? absl::StatusOr<bool>(*found != nullptr && FindByName(found->get(), kProgramName) != nullptr)
                    : found.status();
}

bool XdpAttachment::IsOfOtherVersion(int ifindex, const std::string& netdev) {
  const BpfMessages quiet;
  const absl::StatusOr<Multiprog> found = ReadMultiprog(ifindex, netdev);
  xdp_program* ours = found.ok() && *found != nullptr ? FindByName(found->get(), kProgramName) : nullptr;
  const absl::StatusOr<BpfProgram> program =
      ours != nullptr ? DescribeProgram(xdp_program__fd(ours)) : absl::NotFoundError("");
  return program.ok() && !CheckAbiVersion(*program).ok();
}

absl::StatusOr<XdpAttachment> XdpAttachment::TakeRemains(const std::string& netdev, const std::string& pin_dir) {
  const BpfMessages quiet;
  XdpAttachment remains;
  remains.netdev_ = netdev;
  remains.pin_dir_ = pin_dir;
  remains.ifindex_ = static_cast<int>(if_nametoindex(netdev.c_str()));
  absl::StatusOr<Multiprog> found = ReadMultiprog(remains.ifindex_, netdev);
  // libxdp finds a dispatcher's pins only while it is on the device.
  if (found.ok() && *found == nullptr) {
    const std::optional<UniqueFd> suspended = FindSuspendedDispatcher(remains.ifindex_, pin_dir);
    if (suspended.has_value() && (AttachFd(remains.ifindex_, netdev, suspended->get(), XdpMode::kNative).ok() ||
                                  AttachFd(remains.ifindex_, netdev, suspended->get(), XdpMode::kSkb).ok())) {
      found = ReadMultiprog(remains.ifindex_, netdev);
    }
  }
  if (!found.ok()) {
    return found.status();
  }
  xdp_program* ours = *found != nullptr ? FindByName(found->get(), kProgramName) : nullptr;
  if (ours == nullptr) {
    return remains;
  }
  remains.adopted_ = true;
  remains.program_id_ = xdp_program__id(ours);
  absl::Status s = remains.Refresh();
  return s.ok() ? absl::StatusOr<XdpAttachment>(std::move(remains)) : s;
}

absl::StatusOr<uint32_t> XdpAttachment::Run(absl::Span<const uint8_t> frame, uint32_t queue, bool live) const {
  xdp_md context{};
  context.data_end = static_cast<uint32_t>(frame.size());
  context.ingress_ifindex = static_cast<uint32_t>(ifindex_);
  context.rx_queue_index = queue;
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<uint32_t>(frame.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof(context);
  options.repeat = 1;
  options.flags = live ? BPF_F_TEST_XDP_LIVE_FRAMES : 0;
  options.batch_size = live ? 1 : 0;
  const int error = bpf_prog_test_run_opts(attached_fd_.get(), &options);
  if (live && (error == -EINVAL || error == -EOPNOTSUPP)) {
    return absl::UnimplementedError("this kernel does not run XDP programs on live frames (Linux 5.18 and later do)");
  }
  if (error != 0) {
    return KernelError(-error, absl::StrCat("running the XDP program of ", netdev_, " on a frame"));
  }
  return options.retval;
}

absl::Status XdpAttachment::Adopt(int program_fd) {
  const absl::StatusOr<BpfProgram> program = DescribeProgram(program_fd);
  if (!program.ok()) {
    return program.status();
  }
  const auto refuse = [this](const absl::Status& why) {
    return absl::FailedPreconditionError(absl::StrCat(netdev_, ": cannot adopt what is attached: ", why.message(),
                                                      "; unload it and let the agent load its own: xdp-loader unload ",
                                                      netdev_, " --all, or load this version with: xdp-loader load -p ",
                                                      pin_dir_, " ", netdev_, " sluice_steer.bpf.o"));
  };
  if (const absl::Status status = CheckAbiVersion(*program); !status.ok()) {
    return refuse(status);
  }
  if (const absl::Status status = CheckPinnedMaps(*program, pin_dir_); !status.ok()) {
    return refuse(status);
  }
  adopted_ = true;
  program_id_ = program->id;
  return Refresh();
}

absl::Status XdpAttachment::Load(const std::string& object_path, uint32_t flow_buckets, bool allow_skb,
                                 XdpMode first_mode) {
  std::error_code error;
  const bool had_pins = fs::exists(pin_dir_, error);
  absl::Status status = MakePinDir(pin_dir_);
  if (!status.ok()) {
    return status;
  }
  absl::StatusOr<uint32_t> id = LoadAndAttach(ifindex_, netdev_, object_path, pin_dir_, flow_buckets, first_mode);
  if (!id.ok() && allow_skb && first_mode == XdpMode::kNative) {
    const absl::Status native = id.status();
    id = LoadAndAttach(ifindex_, netdev_, object_path, pin_dir_, flow_buckets, XdpMode::kSkb);
    if (!id.ok()) {
      id = absl::Status(native.code(), absl::StrCat(native.message(), "; ", id.status().message()));
    }
  }
  if (!id.ok()) {
    if (!had_pins) {
      RemovePins(pin_dir_);
    }
    return id.status();
  }
  program_id_ = *id;
  return Refresh();
}

// Tells whether the same program is attached as at the last reading. A program that joins or leaves a dispatcher makes
// a new one, so its parts need not be read again then (xdp_multiprog.h).
absl::StatusOr<bool> XdpAttachment::IsAsBefore() const {
  if (attached_id_ == 0) {
    return false;
  }
  uint32_t id = 0;
  if (const int error = bpf_xdp_query_id(ifindex_, static_cast<int>(ModeFlag(mode_)), &id); error != 0) {
    return KernelError(-error, absl::StrCat("asking for the XDP program of ", netdev_));
  }
  // Without libxdp's pins a dispatcher has lost its parts (Resume).
  std::error_code error;
  return id == attached_id_ && (id == program_id_ || fs::exists(DispatcherPins(ifindex_, id), error));
}

absl::Status XdpAttachment::Refresh() {
  if (suspended_) {
    return absl::OkStatus();
  }
  const absl::StatusOr<bool> as_before = IsAsBefore();
  if (!as_before.ok() || *as_before) {
    return as_before.status();
  }
  const BpfMessages quiet;
  const absl::StatusOr<Multiprog> found = ReadMultiprog(ifindex_, netdev_);
  if (!found.ok()) {
    return found.status();
  }
  if (*found == nullptr || FindById(found->get(), program_id_) == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("the steering program (id ", program_id_, ") is no longer on ", netdev_, "; somebody has ",
                     *found == nullptr ? "unloaded it" : absl::StrCat("replaced it by ", Names(found->get()))));
  }
  const uint32_t id = xdp_program__id(xdp_multiprog__main_prog(found->get()));
  UniqueFd attached(bpf_prog_get_fd_by_id(id));
  if (!attached) {
    return KernelError(errno, absl::StrCat("opening the XDP program of ", netdev_));
  }
  attached_fd_ = std::move(attached);
  attached_id_ = id;
  mode_ = ModeOf(found->get());
  other_programs_ = OtherPrograms(found->get());
  return absl::OkStatus();
}

absl::Status XdpAttachment::Suspend() {
  if (suspended_) {
    return absl::OkStatus();
  }
  // Other people's programs may have joined or left since, and so made a new dispatcher.
  absl::Status status = Refresh();
  return status.ok() ? TakeOff() : status;
}

absl::Status XdpAttachment::TakeOff() {
  BpfMessages messages;
  bpf_xdp_attach_opts options{};
  options.sz = sizeof(options);
  options.old_prog_fd = attached_fd_.get();
  const int error = bpf_xdp_detach(ifindex_, ModeFlag(mode_) | XDP_FLAGS_REPLACE, &options);
  if (error != 0) {
    return messages.Error(error, absl::StrCat("taking the XDP program off ", netdev_));
  }
  suspended_ = true;
  return absl::OkStatus();
}

absl::Status XdpAttachment::Resume() {
  if (!suspended_) {
    return absl::OkStatus();
  }
  absl::Status status = AttachFd(ifindex_, netdev_, attached_fd_.get(), mode_);
  if (!status.ok()) {
    return status;
  }
  suspended_ = false;
  status = Refresh();
  if (!status.ok()) {
    // Somebody removed libxdp's pins meanwhile (xdp-loader clean), and with them all parts of the dispatcher. An empty
    // one is of no use.
    TakeOff().IgnoreError();
  }
  return status;
}

absl::Status XdpAttachment::PinMapsAgain(const std::string& netdev, int ifindex, const std::string& pin_dir) {
  const BpfMessages quiet;
  const absl::StatusOr<Multiprog> found = ReadMultiprog(ifindex, netdev);
  xdp_program* ours = found.ok() && *found != nullptr ? FindByName(found->get(), kProgramName) : nullptr;
  if (ours == nullptr) {
    return found.status();
  }
  const absl::StatusOr<BpfProgram> program = DescribeProgram(xdp_program__fd(ours));
  if (!program.ok() || !CheckAbiVersion(*program).ok() || CheckPinnedMaps(*program, pin_dir).ok()) {
    return program.status();
  }
  absl::Status s = MakePinDirAgain(pin_dir);
  return s.ok() ? PinMapsOf(*program, pin_dir) : s;
}

void XdpAttachment::RemovePins(const std::string& pin_dir) {
  for (const char* name : kMapNames) {
    unlink(absl::StrCat(pin_dir, "/", name).c_str());
  }
  rmdir(pin_dir.c_str());
}

void XdpAttachment::Abandon() {
  std::error_code error;
  fs::remove_all(DispatcherPins(ifindex_, attached_id_), error);
}

absl::Status XdpAttachment::Remove(bool leave_adopted) {
  // Put back first: libxdp finds pins and other programs only of what is on the device.
  absl::Status status = Resume();
  if (adopted_ && leave_adopted) {
    return status;
  }
  BpfMessages messages;
  const absl::StatusOr<Multiprog> found = ReadMultiprog(ifindex_, netdev_);
  xdp_program* ours = found.ok() && *found != nullptr ? FindById(found->get(), program_id_) : nullptr;
  if (ours != nullptr) {
    const int error = xdp_program__detach(ours, ifindex_, xdp_multiprog__attach_mode(found->get()), 0);
    if (error != 0) {
      return messages.Error(error, absl::StrCat("detaching the steering program from ", netdev_));
    }
  }
  if (ours == nullptr) {
    // Our program is off the device already, but libxdp's pins are still there.
    Abandon();
  }
  attached_fd_.Reset();
  RemovePins(pin_dir_);
  return absl::OkStatus();
}

}  // namespace sluice
