#include "control/kernel/bridge.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bpf/sluice_abi.h"
#include "control/kernel/bpf_messages.h"
#include "control/kernel/bpf_programs.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/kernel_error.h"
#include "control/kernel/links.h"
#include "control/kernel/netlink.h"

namespace sluice {
namespace {

constexpr char kPortProgram[] = "sluice_bridge";           // clsact ingress of the port
constexpr char kNearProgram[] = "sluice_to_kernel";        // clsact ingress of the near end, and its object's name
constexpr char kEntryProgram[] = "sluice_into_bridge";     // clsact egress of the near end
constexpr char kFarProgram[] = "sluice_bridge_rx";         // XDP of the far end
constexpr size_t kKernelNameBytes = BPF_OBJ_NAME_LEN - 1;  // the kernel cuts a program's name off behind them

// Our place among a device's clsact filters: the first, since the function's packets must reach no other filter.
constexpr uint32_t kFilterPriority = 1;
constexpr uint32_t kFilterHandle = 0x51;

// A frame may have two VLAN tags; veth allows for one in addition to its MTU (include/linux/netdevice.h:
// is_skb_forwardable).
constexpr uint32_t kSecondTagBytes = 4;

// The near end's alias tells people who list links what it is, and the next agent whether the port's clsact qdisc is
// ours to remove.
constexpr char kAlias[] = "sluice bridge of ";
constexpr char kAliasClsactIsOurs[] = ", made clsact";

std::string AliasOf(const std::string& netdev, bool made_clsact) {
  return absl::StrCat(kAlias, netdev, made_clsact ? kAliasClsactIsOurs : "");
}

bool MadeClsact(const std::string& near) {
  const absl::StatusOr<Link> link = GetLink(near);
  return link.ok() && absl::EndsWith(link->alias, kAliasClsactIsOurs);
}

// Both ends are named after the port's ifindex, which fits IFNAMSIZ whatever the port is called.
std::string NearName(int port_ifindex) {
  return absl::StrCat("slu", port_ifindex, "n");
}
std::string FarName(int port_ifindex) {
  return absl::StrCat("slu", port_ifindex, "f");
}

bpf_tc_hook HookOf(int ifindex, bpf_tc_attach_point point) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = ifindex;
  hook.attach_point = point;
  return hook;
}

bpf_tc_opts FilterPlace() {
  bpf_tc_opts place{};
  place.sz = sizeof(place);
  place.handle = kFilterHandle;
  place.priority = kFilterPriority;
  return place;
}

bool IsOurs(const absl::StatusOr<BpfProgram>& program, absl::string_view name) {
  return program.ok() && program->name == name.substr(0, kKernelNameBytes);
}

// Returns the program of the filter at our place; an error when there is none.
absl::StatusOr<BpfProgram> FilterProgram(int ifindex, bpf_tc_attach_point point = BPF_TC_INGRESS) {
  const bpf_tc_hook hook = HookOf(ifindex, point);
  bpf_tc_opts place = FilterPlace();
  if (const int error = bpf_tc_query(&hook, &place); error == -ENOENT || error == -EINVAL) {
    return absl::NotFoundError("there is no filter, or no clsact qdisc");  // tc_get_tfilter: EINVAL without a qdisc
  } else if (error != 0) {
    return KernelError(-error, "looking for the bridge's filter");
  }
  const UniqueFd program(bpf_prog_get_fd_by_id(place.prog_id));
  return DescribeProgram(program.get());
}

absl::StatusOr<BpfProgram> FarProgram(int far_ifindex) {
  uint32_t id = 0;
  if (const int error = bpf_xdp_query_id(far_ifindex, XDP_FLAGS_DRV_MODE, &id); error != 0) {
    return KernelError(-error, "looking for the bridge's far program");
  }
  if (id == 0) {
    return absl::NotFoundError("the bridge's far end has no program");
  }
  const UniqueFd program(bpf_prog_get_fd_by_id(id));
  return DescribeProgram(program.get());
}

absl::Status CheckProgram(const absl::StatusOr<BpfProgram>& program, absl::string_view name,
                          const std::string& pin_dir) {
  if (!program.ok()) {
    return program.status();
  }
  if (!IsOurs(program, name)) {
    return absl::FailedPreconditionError(absl::StrCat("found program ", program->name, " instead of ", name));
  }
  absl::Status status = CheckAbiVersion(*program);
  return status.ok() ? CheckPinnedMaps(*program, pin_dir) : status;
}

absl::Status RemoveFilter(int port_ifindex, const std::string& netdev) {
  const absl::StatusOr<BpfProgram> program = FilterProgram(port_ifindex);
  if (!IsOurs(program, kPortProgram)) {
    return absl::OkStatus();
  }
  BpfMessages messages;
  const bpf_tc_hook hook = HookOf(port_ifindex, BPF_TC_INGRESS);
  const bpf_tc_opts place = FilterPlace();
  const int error = bpf_tc_detach(&hook, &place);
  return error == 0 || error == -ENOENT
             ? absl::OkStatus()
             : messages.Error(error, absl::StrCat("removing the bridge's filter of ", netdev));
}

// Returns true if the port's clsact qdisc still has a filter, ours or another's.
absl::StatusOr<bool> HasFilters(int port_ifindex) {
  absl::StatusOr<Netlink> netlink = Netlink::Open(NETLINK_ROUTE);
  if (!netlink.ok()) {
    return netlink.status();
  }
  bool any = false;
  for (const uint32_t minor : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
    NetlinkRequest request(RTM_GETTFILTER, NLM_F_DUMP);
    auto* header = request.PutHeader<tcmsg>();
    header->tcm_ifindex = port_ifindex;
    header->tcm_parent = TC_H_MAKE(TC_H_CLSACT, minor);
    const absl::Status status =
        netlink->Ask(request, "listing clsact filters", [&any](const nlmsghdr*) { any = true; });
    if (!status.ok()) {
      return status;
    }
  }
  return any;
}

absl::StatusOr<bool> HasClsact(int port_ifindex) {
  absl::StatusOr<Netlink> netlink = Netlink::Open(NETLINK_ROUTE);
  if (!netlink.ok()) {
    return netlink.status();
  }
  bool has = false;
  NetlinkRequest request(RTM_GETQDISC, NLM_F_DUMP);
  request.PutHeader<tcmsg>()->tcm_ifindex = port_ifindex;
  const absl::Status status = netlink->Ask(request, "listing qdiscs", [&](const nlmsghdr* reply) {
    const auto* qdisc = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(reply));
    has = has || (qdisc->tcm_ifindex == port_ifindex && qdisc->tcm_parent == TC_H_CLSACT);
  });
  return status.ok() ? absl::StatusOr<bool>(has) : status;
}

absl::Status RemoveClsact(int port_ifindex, const std::string& netdev) {
  const absl::StatusOr<bool> in_use = HasFilters(port_ifindex);
  if (!in_use.ok() || *in_use) {
    return in_use.status();
  }
  BpfMessages messages;
  const auto qdisc = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  bpf_tc_hook hook = HookOf(port_ifindex, qdisc);
  const int error = bpf_tc_hook_destroy(&hook);
  // EINVAL: somebody has taken it away (net/sched/sch_api.c: tc_get_qdisc finds noop_qdisc in its place).
  return error == 0 || error == -ENOENT || error == -EINVAL
             ? absl::OkStatus()
             : messages.Error(error, absl::StrCat("removing clsact from ", netdev));
}

// Switches off the offloads that let a super-packet, a partial checksum or a tag outside the data pass the veth. Finds
// them by words in their names, since each kernel has other ones.
absl::Status SwitchOffloadsOff(const std::string& near) {
  const absl::StatusOr<std::vector<std::string>> active = ActiveFeatures(near);
  if (!active.ok()) {
    return active.status();
  }
  std::vector<std::pair<std::string, bool>> off;
  for (const std::string& name : *active) {
    if (absl::StartsWith(name, "tx-") &&
        (absl::StrContains(name, "checksum") || absl::StrContains(name, "segmentation") ||
         absl::StrContains(name, "gso") || absl::StrContains(name, "vlan"))) {
      off.emplace_back(name, false);
    }
  }
  return off.empty() ? absl::OkStatus() : SetFeatures(near, off);
}

// Loads `program`'s object, its maps pinned in, or taken from, `pin_dir`.
absl::StatusOr<BpfObject> LoadObject(const std::string& object_dir, const char* program, const std::string& pin_dir) {
  const std::string path = absl::StrCat(object_dir, "/", program, ".bpf.o");
  BpfMessages messages;
  BpfObject object = OpenObject(path, pin_dir);
  if (object == nullptr) {
    return messages.Error(errno, absl::StrCat("opening ", path));
  }
  if (const int error = bpf_object__load(object.get()); error != 0) {
    return messages.Error(error, absl::StrCat("loading ", path));
  }
  return object;
}

absl::StatusOr<int> ProgramFd(const BpfObject& object, const char* name) {
  const bpf_program* program = bpf_object__find_program_by_name(object.get(), name);
  if (program == nullptr) {
    return absl::NotFoundError(absl::StrCat("the object file has no program ", name));
  }
  return bpf_program__fd(program);
}

// Attaches the far end's program: XDP in native mode, without a dispatcher, since no other program is wanted there.
absl::Status AttachFar(const std::string& far, const std::string& object_dir, const std::string& pin_dir) {
  const absl::StatusOr<BpfObject> object = LoadObject(object_dir, kFarProgram, pin_dir);
  if (!object.ok()) {
    return object.status();
  }
  const absl::StatusOr<int> program = ProgramFd(*object, kFarProgram);
  const absl::StatusOr<Link> link = GetLink(far);
  if (!program.ok() || !link.ok()) {
    return program.ok() ? link.status() : program.status();
  }
  BpfMessages messages;
  const int error = bpf_xdp_attach(link->ifindex, *program, XDP_FLAGS_DRV_MODE, nullptr);
  return error == 0 ? absl::OkStatus() : messages.Error(error, absl::StrCat("attaching ", kFarProgram, " to ", far));
}

// Adds `name`, a program of object `object_name`, as a filter at our place on a device's clsact. Sets `made_clsact`
// when the device had no clsact qdisc before.
absl::Status AttachFilter(const Link& link, bpf_tc_attach_point point, const char* object_name, const char* name,
                          const std::string& object_dir, const std::string& pin_dir, bool& made_clsact) {
  const absl::StatusOr<BpfObject> object = LoadObject(object_dir, object_name, pin_dir);
  if (!object.ok()) {
    return object.status();
  }
  const absl::StatusOr<int> program = ProgramFd(*object, name);
  if (!program.ok()) {
    return program.status();
  }
  BpfMessages messages;
  bpf_tc_hook hook = HookOf(link.ifindex, point);
  const int made = bpf_tc_hook_create(&hook);
  if (made != 0 && made != -EEXIST) {
    return messages.Error(made, absl::StrCat("adding clsact to ", link.name));
  }
  made_clsact = made_clsact || made == 0;
  bpf_tc_opts place = FilterPlace();
  place.prog_fd = *program;
  const int error = bpf_tc_attach(&hook, &place);
  return error == 0 ? absl::OkStatus() : messages.Error(error, absl::StrCat("adding ", name, " to ", link.name));
}

absl::Status AttachToPort(const Link& port, const std::string& object_dir, const std::string& pin_dir,
                          bool& made_clsact) {
  return AttachFilter(port, BPF_TC_INGRESS, kPortProgram, kPortProgram, object_dir, pin_dir, made_clsact);
}

// One of the near end's two filters. To be attached before either end is up: without them the near end would give
// frames to the stack as its own, and let the stack's frames into the bridge.
absl::Status AttachNear(const std::string& near, bpf_tc_attach_point point, const std::string& object_dir,
                        const std::string& pin_dir) {
  const absl::StatusOr<Link> link = GetLink(near);
  if (!link.ok()) {
    return link.status();
  }
  bool made_clsact = false;  // it goes with the veth
  return AttachFilter(*link, point, kNearProgram, point == BPF_TC_INGRESS ? kNearProgram : kEntryProgram, object_dir,
                      pin_dir, made_clsact);
}

// Returns OK if the whole bridge of an earlier agent is there and fits: only then traffic may go on through it.
absl::Status CheckExisting(const Link& port, const std::string& near, const std::string& far,
                           const std::string& pin_dir) {
  const absl::StatusOr<Link> near_link = GetLink(near);
  const absl::StatusOr<Link> far_link = GetLink(far);
  if (!near_link.ok() || !far_link.ok()) {
    return near_link.ok() ? far_link.status() : near_link.status();
  }
  if (!near_link->up || !far_link->up || near_link->mtu_bytes < port.mtu_bytes) {
    return absl::FailedPreconditionError(absl::StrCat(near, " is down or too small for ", port.name));
  }
  absl::Status status = CheckProgram(FilterProgram(port.ifindex), kPortProgram, pin_dir);
  if (status.ok()) {
    status = CheckProgram(FilterProgram(near_link->ifindex), kNearProgram, pin_dir);
  }
  if (status.ok()) {
    status = CheckProgram(FilterProgram(near_link->ifindex, BPF_TC_EGRESS), kEntryProgram, pin_dir);
  }
  return status.ok() ? CheckProgram(FarProgram(far_link->ifindex), kFarProgram, pin_dir) : status;
}

void UnlinkMaps(const std::string& pin_dir) {
  for (const char* map : {SLUICE_MAP_BRIDGE_XSKS, SLUICE_MAP_TO_KERNEL}) {
    unlink(absl::StrCat(pin_dir, "/", map).c_str());
  }
}

// Removes the parts of a bridge that there are. A link that has our name and is no veth is not ours to delete. The veth
// goes after clsact, and comes before it: its alias tells whose that is.
absl::Status RemoveParts(const Link& port, const std::string& near, const std::string& pin_dir, bool made_clsact) {
  absl::Status status = RemoveFilter(port.ifindex, port.name);
  if (status.ok() && made_clsact) {
    status = RemoveClsact(port.ifindex, port.name);
  }
  if (!status.ok()) {
    return status;
  }
  if (GetLink(near).ok()) {
    const absl::StatusOr<DriverInfo> driver = GetDriver(near);
    if (!driver.ok() || driver->driver != "veth") {
      return absl::AlreadyExistsError(
          absl::StrCat("a netdev ", near, " exists that is no veth; the bridge of ", port.name, " needs this name"));
    }
    status = DeleteLink(near);
  }
  UnlinkMaps(pin_dir);
  return status;
}

}  // namespace

std::string Bridge::FarNetdev(int port_ifindex) {
  return FarName(port_ifindex);
}

absl::StatusOr<Bridge> Bridge::CreateOrAdopt(const std::string& netdev, const std::string& object_dir,
                                             const std::string& pin_dir) {
  const BpfMessages quiet;
  const absl::StatusOr<Link> port = GetLink(netdev);
  if (!port.ok()) {
    return port.status();
  }
  // Without them the filter would make, and pin, maps that nobody fills.
  if (absl::StatusOr<UniqueFd> config = OpenPinnedMap(pin_dir, SLUICE_MAP_CONFIG); !config.ok()) {
    return config.status();
  }
  Bridge bridge;
  bridge.port_ifindex_ = port->ifindex;
  bridge.pin_dir_ = pin_dir;
  bridge.near_ = NearName(port->ifindex);
  bridge.far_ = FarName(port->ifindex);
  bridge.adopted_ = CheckExisting(*port, bridge.near_, bridge.far_, pin_dir).ok();

  bridge.made_clsact_ = MadeClsact(bridge.near_);
  absl::Status status = bridge.adopted_ ? absl::OkStatus() : bridge.Create(*port, object_dir);
  if (status.ok()) {
    status = bridge.Open();
  }
  if (!status.ok()) {
    return status;
  }
  return bridge;
}

absl::Status Bridge::Open() {
  const absl::StatusOr<Link> near = GetLink(near_);
  if (!near.ok()) {
    return near.status();
  }
  absl::StatusOr<UniqueFd> xsks = OpenPinnedMap(pin_dir_, SLUICE_MAP_BRIDGE_XSKS);
  if (!xsks.ok()) {
    return xsks.status();
  }
  absl::StatusOr<UniqueFd> to_kernel = OpenPinnedMap(pin_dir_, SLUICE_MAP_TO_KERNEL);
  if (!to_kernel.ok()) {
    return to_kernel.status();
  }
  near_ifindex_ = near->ifindex;
  xsks_ = *std::move(xsks);
  to_kernel_ = *std::move(to_kernel);
  return absl::OkStatus();
}

absl::Status Bridge::Create(const Link& port, const std::string& object_dir) {
  absl::Status status = RemoveParts(port, near_, pin_dir_, made_clsact_);
  if (!status.ok()) {
    return status;
  }
  const absl::StatusOr<bool> has_clsact = HasClsact(port.ifindex);
  if (!has_clsact.ok()) {
    return has_clsact.status();
  }
  made_clsact_ = made_clsact_ || !*has_clsact;
  absl::Cleanup undo = [&]() { RemoveParts(port, near_, pin_dir_, made_clsact_).IgnoreError(); };
  status = CreateVeth(near_, far_, port.mtu_bytes + kSecondTagBytes);
  if (status.ok()) {
    status = SetAlias(near_, AliasOf(port.name, made_clsact_));
  }
  if (status.ok()) {
    status = SwitchOffloadsOff(near_);
  }
  if (status.ok()) {
    status = AttachNear(near_, BPF_TC_INGRESS, object_dir, pin_dir_);
  }
  if (status.ok()) {
    status = AttachNear(near_, BPF_TC_EGRESS, object_dir, pin_dir_);
  }
  if (status.ok()) {
    status = AttachFar(far_, object_dir, pin_dir_);
  }
  if (status.ok()) {
    status = SetLinkUp(far_, true);
  }
  if (status.ok()) {
    status = SetLinkUp(near_, true);
  }
  if (status.ok()) {
    status = AttachToPort(port, object_dir, pin_dir_, made_clsact_);
  }
  if (status.ok()) {
    std::move(undo).Cancel();
  }
  return status;
}

absl::Status Bridge::FitMtu(const Link& port) {
  absl::Status status = SetMtu(far_, port.mtu_bytes + kSecondTagBytes);
  return status.ok() ? SetMtu(near_, port.mtu_bytes + kSecondTagBytes) : status;
}

absl::StatusOr<bool> Bridge::Repair(const std::string& object_dir) {
  const BpfMessages quiet;
  const absl::StatusOr<Link> port = GetLink(port_ifindex_);
  if (!port.ok()) {
    return port.status();
  }
  const absl::StatusOr<Link> near = GetLink(near_);
  const absl::StatusOr<Link> far = GetLink(far_);
  if (!near.ok() || !far.ok() || near->ifindex != near_ifindex_) {
    absl::Status status = Create(*port, object_dir);
    status = status.ok() ? Open() : status;
    return status.ok() ? absl::StatusOr<bool>(true) : status;
  }
  absl::Status status;
  bool repaired = false;
  // `found`: OK when the part is there; NotFound or FailedPrecondition when it is gone, or another one. Any other error
  // says nothing of the part.
  const auto put_back = [&](const absl::Status& found, auto repair) {
    if (!status.ok() || found.ok()) {
      return;
    }
    const bool gone = absl::IsNotFound(found) || absl::IsFailedPrecondition(found);
    status = gone ? repair() : found;
    repaired = repaired || gone;
  };
  const auto up = [](const Link& link) {
    return link.up ? absl::OkStatus() : absl::FailedPreconditionError("is down");
  };
  // A program that is loaded without the pins would have maps of its own.
  for (const auto& [name, map] :
       {std::pair<const char*, const UniqueFd*>{SLUICE_MAP_BRIDGE_XSKS, &xsks_}, {SLUICE_MAP_TO_KERNEL, &to_kernel_}}) {
    const bool pinned = IsPinnedMap(map->get(), pin_dir_, name);
    put_back(pinned ? absl::OkStatus() : absl::NotFoundError("is not pinned"),
             [&, name = name, fd = map->get()] { return PinMap(fd, pin_dir_, name); });
  }
  const bool fits = near->mtu_bytes >= port->mtu_bytes;
  put_back(fits ? absl::OkStatus() : absl::FailedPreconditionError("is too small"), [&] { return FitMtu(*port); });
  // In the order of Create: no end is up without its program.
  put_back(CheckProgram(FilterProgram(near->ifindex), kNearProgram, pin_dir_),
           [&] { return AttachNear(near_, BPF_TC_INGRESS, object_dir, pin_dir_); });
  put_back(CheckProgram(FilterProgram(near->ifindex, BPF_TC_EGRESS), kEntryProgram, pin_dir_),
           [&] { return AttachNear(near_, BPF_TC_EGRESS, object_dir, pin_dir_); });
  put_back(CheckProgram(FarProgram(far->ifindex), kFarProgram, pin_dir_),
           [&] { return AttachFar(far_, object_dir, pin_dir_); });
  put_back(up(*far), [&] { return SetLinkUp(far_, true); });
  put_back(up(*near), [&] { return SetLinkUp(near_, true); });
  put_back(CheckProgram(FilterProgram(port->ifindex), kPortProgram, pin_dir_), [&] {
    absl::Status s = AttachToPort(*port, object_dir, pin_dir_, made_clsact_);
    return s.ok() ? SetAlias(near_, AliasOf(port->name, made_clsact_)) : s;
  });
  return status.ok() ? absl::StatusOr<bool>(repaired) : status;
}

absl::StatusOr<sluice_to_kernel_counters> Bridge::ReadToKernel() const {
  const absl::StatusOr<size_t> cpus = PossibleCpus();
  if (!cpus.ok()) {
    return cpus.status();
  }
  std::vector<sluice_to_kernel_counters> per_cpu(*cpus);
  const uint32_t key = 0;
  if (bpf_map_lookup_elem(to_kernel_.get(), &key, per_cpu.data()) != 0) {
    return KernelError(errno, absl::StrCat("reading map ", SLUICE_MAP_TO_KERNEL, " of ", near_));
  }
  sluice_to_kernel_counters sum{};
  for (const sluice_to_kernel_counters& one : per_cpu) {
    sum.packets += one.packets;
    sum.bytes += one.bytes;
    sum.strays += one.strays;
  }
  return sum;
}

absl::Status Bridge::Remove() {
  const BpfMessages quiet;
  xsks_.Reset();
  to_kernel_.Reset();
  const absl::StatusOr<Link> port = GetLink(port_ifindex_);
  if (!port.ok()) {  // the port has gone, and filter and qdisc with it
    UnlinkMaps(pin_dir_);
    return DeleteLink(near_);
  }
  absl::Status status = RemoveParts(*port, near_, pin_dir_, made_clsact_);
  rmdir(pin_dir_.c_str());  // if the port's own maps have gone before
  return status;
}

absl::Status Bridge::RemoveRemains(int port_ifindex, const std::string& pin_dir) {
  Bridge bridge;
  bridge.port_ifindex_ = port_ifindex;
  bridge.pin_dir_ = pin_dir;
  bridge.near_ = NearName(port_ifindex);
  bridge.made_clsact_ = MadeClsact(bridge.near_);
  return bridge.Remove();
}

absl::Status Bridge::RemoveOrphan(int port_ifindex) {
  const absl::StatusOr<Link> near = GetLink(NearName(port_ifindex));
  const bool ours = near.ok() && near->kind == "veth" && absl::StartsWith(near->alias, kAlias);
  return ours ? DeleteLink(near->name) : absl::OkStatus();
}

}  // namespace sluice
