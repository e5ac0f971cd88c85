#include "control/port/netdev_port.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/bpf_programs.h"
#include "control/kernel/device_gate.h"
#include "control/kernel/device_limits.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/links.h"
#include "control/kernel/rss_table.h"
#include "control/kernel/vlan_tags.h"
#include "dataplane/base/cpu_list.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

std::string SteerObject(const PortSettings& settings) {
  return absl::StrCat(settings.object_dir, "/sluice_steer.bpf.o");
}

void SaveIdentity(const Link& link, const std::string& pin_dir, SavedPort& saved) {
  saved.set_ifindex(static_cast<uint32_t>(link.ifindex));
  saved.set_mac(link.mac.data(), link.mac.size());
  saved.set_kernel_name(link.name);
  saved.set_pin_dir(pin_dir);
}

bool IsTheSame(const Link& link, const SavedPort& saved) {
  return static_cast<uint32_t>(link.ifindex) == saved.ifindex() &&
         saved.mac() == absl::string_view(reinterpret_cast<const char*>(link.mac.data()), link.mac.size());
}

// Finds the device by its name, or, if it was renamed while no agent ran, by its index and MAC address.
absl::StatusOr<Link> FindDevice(const std::string& name, const std::optional<SavedPort>& saved) {
  absl::StatusOr<Link> link = GetLink(name);
  if (link.ok() || !absl::IsNotFound(link.status())) {
    return link.ok() ? link : OnPort(name, link.status());
  }
  if (saved.has_value() && saved->ifindex() != 0) {
    absl::StatusOr<Link> renamed = GetLink(static_cast<int>(saved->ifindex()));
    if (renamed.ok() && IsTheSame(*renamed, *saved)) {
      spdlog::warn("{} is called {} now; the configuration should say so", name, renamed->name);
      return renamed;
    }
  }
  return absl::NotFoundError(absl::StrCat(link.status().message(), "; there is no such device in this network ",
                                          "namespace (ip link lists them)"));
}

// Returns the state of the port as an agent before us saved it, unless it is of a device that has gone since: then its
// remains are removed, but for the pinned maps, in which the function's flows go on.
std::optional<SavedPort> SavedOfThisDevice(const PortConfig& config, const std::optional<SavedPort>& saved) {
  const absl::StatusOr<Link> link = GetLink(config.netdev);
  if (!saved.has_value() || saved->ifindex() == 0 || !link.ok() ||
      static_cast<uint32_t>(link->ifindex) == saved->ifindex()) {
    return saved;
  }
  spdlog::warn("{} is another device than the agent before had", config.netdev);
  if (absl::Status s = Bridge::RemoveOrphan(static_cast<int>(saved->ifindex())); !s.ok()) {
    spdlog::warn("{}", std::string(s.message()));
  }
  return std::nullopt;
}

std::string PinDir(const PortSettings& settings, const Link& link, const std::optional<SavedPort>& saved) {
  if (!settings.pin_dir.empty()) {
    return settings.pin_dir;
  }
  return saved.has_value() && !saved->pin_dir().empty() ? saved->pin_dir()
                                                        : absl::StrCat(settings.pin_root, "/", PinFolder(link.name));
}

// Returns the saved state without values that this device cannot be put back to.
SavedPort Credible(SavedPort saved, uint32_t pairs, uint32_t max_pairs,
                   const absl::StatusOr<std::vector<uint32_t>>& rss_table) {
  if (saved.queue_pairs() > max_pairs) {
    spdlog::warn("{} cannot have had {} queue pairs, as the saved state says; it keeps {} at the end", saved.netdev(),
                 saved.queue_pairs(), pairs);
    saved.set_queue_pairs(pairs);
  }
  const bool fits = rss_table.ok() && static_cast<size_t>(saved.rss_table_size()) == rss_table->size() &&
                    std::all_of(saved.rss_table().begin(), saved.rss_table().end(),
                                [&](uint32_t queue) { return queue < saved.queue_pairs(); });
  if (!fits) {
    saved.clear_rss_table();
  }
  return saved;
}

// Locks a device that the agent's locks do not cover: one that was made anew, or renamed (device_locks.h).
absl::StatusOr<std::optional<NetdevLock>> LockOf(const std::string& netdev) {
  absl::StatusOr<NetdevLock> lock = NetdevLock::Take(netdev);
  if (absl::IsInvalidArgument(lock.status())) {
    return std::optional<NetdevLock>();  // it is ours already
  }
  return lock.ok() ? absl::StatusOr<std::optional<NetdevLock>>(*std::move(lock)) : lock.status();
}

// Puts a device back as it was found, once nothing steers packets into its bridge and that is gone. Goes on past errors
// and returns the first.
absl::Status PutDeviceBack(const std::string& netdev, const SavedPort& as_found, uint32_t pairs, bool has_rss,
                           XdpAttachment& xdp, QueueAffinity& affinity) {
  absl::Status first;
  const auto note = [&](const absl::Status& s) { first.Update(OnPort(netdev, s)); };
  const auto set_channels = [&] {
    note(SetChannelsWhenFree(netdev, as_found.queue_pairs(), SteadyTime::InfiniteFuture()));
  };
  // Before the channels: setting those makes virtio_net place its interrupts again (virtnet_set_affinity).
  note(affinity.Restore());
  if (has_rss) {
    note(SetRssTable(netdev, {}));  // ethtool -L refuses to take away queues that a table set by us names
  }
  const bool set_pairs = pairs != as_found.queue_pairs();
  if (as_found.adopted_xdp() && set_pairs) {
    note(xdp.Suspend());
    set_channels();
    note(xdp.Resume());
  }
  note(xdp.Remove(as_found.adopted_xdp()));
  if (!as_found.adopted_xdp() && set_pairs) {
    set_channels();
  }
  if (has_rss) {
    // Also a table that the kernel made by itself: the device may have lost it with XDP (PortSet::WriteRssTables).
    const std::vector<uint32_t> table(as_found.rss_table().begin(), as_found.rss_table().end());
    note(SetRssTable(netdev, IsDefaultRssTable(table, as_found.queue_pairs()) ? std::vector<uint32_t>() : table));
  }
  if (!as_found.promiscuous()) {
    note(SetPromiscuous(netdev, false));
  }
  if (!as_found.up()) {
    note(SetLinkUp(netdev, false));
  }
  return first;
}

}  // namespace

// Facts about a device, found before anything was changed on it.
struct NetdevPort::Device {
  Link link;
  std::optional<VirtioDevice> virtio;
  QueueFacts queues;
  uint32_t pairs = 1;  // that it is to have
  uint32_t frame_size_bytes = 0;
  absl::StatusOr<std::vector<uint32_t>> rss_table;

  bool has_rss() const {
    return rss_table.ok() && !rss_table->empty() && (!virtio.has_value() || virtio->Has(VirtioFeature::kRss));
  }
};

// Changes nothing.
absl::StatusOr<NetdevPort::Device> NetdevPort::Check(const PortConfig& config, const PortSettings& settings,
                                                     const std::optional<SavedPort>& saved) {
  const absl::StatusOr<Link> link = FindDevice(config.netdev, saved);
  if (!link.ok()) {
    return link.status();
  }
  const std::string& netdev = link->name;
  const absl::StatusOr<GateFacts> facts = ReadGateFacts(*link);
  absl::Status fit = facts.status();
  // A device that has become unfit under an agent that died still carries what it carried (Reconcile).
  if (fit.ok() && !saved.has_value()) {
    fit = CheckGate(*facts);
  }
  if (!fit.ok()) {
    return OnPort(config.netdev, fit);
  }
  if (absl::Status s = saved.has_value() ? absl::OkStatus() : CheckTagsReachXdp(netdev); !s.ok()) {
    return s;
  }
  const std::optional<VirtioDevice>& virtio = facts->virtio;
  if (settings.mode == ModeSetting::kZeroCopy && virtio.has_value() && virtio->SendsStrayZeroCopyHeaders()) {
    spdlog::warn("{}: mode = \"zerocopy\", but the host may refuse what is sent so (sluicectl doctor: zero_copy)",
                 netdev);
  }
  // A larger MTU than there is a frame for, under an agent that died, costs the longer packets (Reconcile).
  const absl::StatusOr<uint32_t> frame_size_bytes = FrameSizeForMtu(link->mtu_bytes);
  if (!frame_size_bytes.ok() && !saved.has_value()) {
    return OnPort(netdev, frame_size_bytes.status());
  }
  absl::StatusOr<QueueFacts> queues = ReadQueueFacts(netdev, virtio);
  if (!queues.ok()) {
    return OnPort(netdev, queues.status());
  }
  const bool keeps_pairs = (saved.has_value() || settings.has_survivor) && queues->current <= SLUICE_MAX_QUEUES;
  const uint32_t pairs = keeps_pairs ? queues->current : settings.queue_pairs;
  if (pairs > queues->max) {
    return absl::FailedPreconditionError(
        absl::StrCat(netdev, ": queue_pairs = ", pairs, ", but it has at most ", queues->max,
                     queues->why_one.empty() ? "; ask for fewer, or give the device more" : ": ", queues->why_one));
  }
  const absl::StatusOr<uint32_t> possible_cpus = PossibleCpuIds();
  if (!possible_cpus.ok()) {
    return possible_cpus.status();
  }
  if (absl::Status s = CheckNoExtraXdpQueues(netdev, pairs, queues->max, *possible_cpus, virtio.has_value()); !s.ok()) {
    return s;
  }
  return Device{*link, virtio, *queues, pairs, frame_size_bytes.value_or(kLargestFrameBytes), GetRssTable(netdev)};
}

// Returns the device's state before the first agent.
SavedPort NetdevPort::AsFound(const Device& device, const PortConfig& config, const PortSettings& settings,
                              const std::optional<SavedPort>& saved) {
  const Link& link = device.link;
  QueueAffinity affinity(link.name);
  SavedPort as_found;
  if (saved.has_value()) {
    as_found = Credible(*saved, device.queues.current, device.queues.max, device.rss_table);
    affinity = QueueAffinity(saved->kernel_name().empty() ? link.name : saved->kernel_name(),
                             {saved->affinity().begin(), saved->affinity().end()});
    affinity.Rename(link.name);
  } else {
    // Without a saved state a program that is there may be an earlier agent's, which had a bridge.
    const absl::StatusOr<bool> has_program = XdpAttachment::IsOn(link.ifindex, link.name);
    as_found.set_adopted_xdp(has_program.value_or(false) && !settings.has_survivor &&
                             !GetLink(Bridge::FarNetdev(link.ifindex)).ok());
    as_found.set_name(config.name);
    as_found.set_netdev(config.netdev);
    as_found.set_queue_pairs(device.queues.current);
    as_found.set_up(link.up);
    as_found.set_promiscuous(link.promiscuous);
    if (device.has_rss()) {
      as_found.mutable_rss_table()->Assign(device.rss_table->begin(), device.rss_table->end());
    }
    // Before the channels are set: that makes virtio_net place interrupts and XPS again (virtnet_set_affinity).
    affinity.Remember(device.queues.current);
  }
  as_found.mutable_affinity()->clear();
  as_found.mutable_affinity()->insert(affinity.before().begin(), affinity.before().end());
  SaveIdentity(link, PinDir(settings, link, saved), as_found);
  return as_found;
}

// The only part of BringUp() that packets notice. The program that is attached passes all of them until Activate(), but
// attaching it and setting channels reset the device's queues, and packets in them are lost. An error undoes every
// step.
absl::StatusOr<NetdevPort::Attached> NetdevPort::Attach(const Device& device, const PortSettings& settings,
                                                        const SavedPort& as_found, bool takes_over) {
  const std::string& netdev = device.link.name;
  if (!device.link.up) {
    if (absl::Status s = SetLinkUp(netdev, true); !s.ok()) {
      return OnPort(netdev, s);
    }
  }
  absl::Cleanup put_link_back = [&] {
    if (!device.link.up) {
      (void)SetLinkUp(netdev, false);
    }
  };
  const std::string& pin_dir = as_found.pin_dir();
  if (takes_over) {
    if (absl::Status s = XdpAttachment::PinMapsAgain(netdev, device.link.ifindex, pin_dir); !s.ok()) {
      return OnPort(netdev, s);
    }
  }
  const std::string object = SteerObject(settings);
  // The critical line: from here on the program sees the port's packets.
  absl::StatusOr<XdpAttachment> xdp =
      XdpAttachment::AttachOrAdopt(netdev, object, pin_dir, settings.mode, settings.flow_buckets);
  if (!xdp.ok()) {
    return OnPort(netdev, xdp.status());
  }
  absl::Cleanup remove_xdp = [&] { (void)xdp->Remove(as_found.adopted_xdp()); };
  // The driver refuses channels while XDP is on (virtnet_set_channels), ours or one that is to be adopted.
  const auto set_channels = [&](uint32_t pairs) {
    absl::Status s = xdp->Suspend();
    s = s.ok() ? SetChannelsWhenFree(netdev, pairs, SteadyTime::InfiniteFuture()) : s;
    return s.ok() ? xdp->Resume() : s;
  };
  const bool other_pairs = device.pairs != device.queues.current;
  absl::Cleanup put_channels_back = [&] {
    if (other_pairs) {
      (void)set_channels(device.queues.current);
      (void)xdp->Resume();
    }
  };
  if (absl::Status s = other_pairs ? set_channels(device.pairs) : absl::OkStatus(); !s.ok()) {
    return OnPort(netdev, s);
  }
  absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir);
  if (!maps.ok()) {
    return OnPort(netdev, maps.status());
  }
  absl::StatusOr<Bridge> bridge = Bridge::CreateOrAdopt(netdev, settings.object_dir, pin_dir);
  if (!bridge.ok()) {
    return OnPort(netdev, bridge.status());
  }
  if (settings.every_frame) {
    if (absl::Status s = SetPromiscuous(netdev, true); !s.ok()) {
      (void)bridge->Remove();
      return OnPort(netdev, s);
    }
  }
  std::move(put_channels_back).Cancel();
  std::move(remove_xdp).Cancel();
  std::move(put_link_back).Cancel();
  return Attached{*std::move(xdp), *std::move(maps), *std::move(bridge),
                  QueueAffinity(netdev, {as_found.affinity().begin(), as_found.affinity().end()})};
}

absl::StatusOr<NetdevPort::Parts> NetdevPort::Make(const PortConfig& config, const PortSettings& settings,
                                                   const std::optional<SavedPort>& saved, Save save) {
  absl::StatusOr<Device> device = Check(config, settings, saved);
  if (!device.ok()) {
    return device.status();
  }
  absl::StatusOr<std::optional<NetdevLock>> lock = LockOf(device->link.name);
  if (!lock.ok()) {
    return lock.status();
  }
  SavedPort as_found = AsFound(*device, config, settings, saved);
  save(as_found);
  absl::StatusOr<Attached> attached = Attach(*device, settings, as_found, saved.has_value());
  if (!attached.ok()) {
    return attached.status();
  }
  const Link& link = device->link;
  const absl::StatusOr<DriverInfo> driver = GetDriver(link.name);
  PortInfo info;
  info.name = config.name;
  info.netdev = link.name;
  info.driver = driver.ok() ? driver->driver : "unknown";
  info.bridge_netdev = attached->bridge.far_netdev();
  info.ifindex = static_cast<uint32_t>(link.ifindex);
  info.mtu_bytes = link.mtu_bytes;
  info.frame_size_bytes = device->frame_size_bytes;
  info.max_pairs = device->queues.max;
  info.why_one_pair = device->queues.why_one;
  info.flow_buckets = attached->maps.flow_buckets();
  info.is_virtio = device->virtio.has_value();
  info.has_rss = device->has_rss();
  info.offers_guest_offloads = info.is_virtio && device->virtio->OffersGuestOffloads();
  info.sends_stray_zero_copy_headers = info.is_virtio && device->virtio->SendsStrayZeroCopyHeaders();
  info.adopted_xdp = as_found.adopted_xdp();
  info.xdp_was_off = saved.has_value() && !attached->xdp.was_on_device();
  const SteeringFacts facts{.mac = link.mac,
                            .own_mac_only = !settings.every_frame,
                            .xdp_is_skb = attached->xdp.mode() == XdpMode::kSkb,
                            .tags_beside_frames = PlaceOfTags(link.name) == TagPlace::kBesideFrame,
                            .bridge_ifindex = static_cast<uint32_t>(attached->bridge.near_ifindex()),
                            .own_ifindex = info.ifindex};
  return Parts{*std::move(lock), std::move(info), *std::move(attached), facts,
               device->virtio,   device->pairs,   std::move(as_found)};
}

absl::StatusOr<std::unique_ptr<Port>> NetdevPort::BringUp(const PortConfig& config, const PortSettings& settings,
                                                          const std::optional<SavedPort>& saved, Save save) {
  absl::StatusOr<Parts> parts = Make(config, settings, SavedOfThisDevice(config, saved), save);
  if (!parts.ok()) {
    return parts.status();
  }
  return std::unique_ptr<Port>(new NetdevPort(*std::move(parts), config, settings));
}

NetdevPort::NetdevPort(Parts parts, PortConfig config, PortSettings settings)
    : Port(std::move(parts.info)),
      config_(std::move(config)),
      settings_(std::move(settings)),
      lock_(std::move(parts.lock)),
      xdp_(std::move(parts.attached.xdp)),
      bridge_(std::move(parts.attached.bridge)),
      steering_(name(), netdev(), parts.facts, std::move(parts.attached.maps)),
      queues_(netdev(), info_.has_rss, parts.queue_pairs, std::move(parts.attached.affinity)),
      rx_drops_(netdev()),
      down_policy_(config_.on_dataplane_down),
      virtio_(std::move(parts.virtio)),
      saved_(std::move(parts.saved)) {
  LookForUnreadFrames();
}

absl::Status NetdevPort::TakeBack() {
  const auto take = [this]() -> absl::Status {
    // Its maps stay pinned, and the new device's program gets them.
    xdp_.Abandon();
    absl::Status s = Bridge::RemoveOrphan(static_cast<int>(info_.ifindex));
    const absl::StatusOr<Link> link = s.ok() ? GetLink(config_.netdev) : s;
    if (!link.ok()) {
      return link.status();
    }
    PortSettings settings = settings_;
    settings.queue_pairs = queue_pairs();
    settings.pin_dir = xdp_.pin_dir();
    if (const absl::StatusOr<Channels> channels = GetChannels(link->name); channels.ok()) {
      settings.queue_pairs = std::min(queue_pairs(), channels->max_combined);
    }
    absl::StatusOr<Parts> parts = Make(config_, settings, std::nullopt, [](const SavedPort&) {});
    if (!parts.ok()) {
      return parts.status();
    }
    lock_ = std::move(parts->lock);
    info_ = std::move(parts->info);
    xdp_ = std::move(parts->attached.xdp);
    bridge_ = std::move(parts->attached.bridge);
    steering_ = PortSteering(name(), netdev(), parts->facts, std::move(parts->attached.maps));
    queues_ = DeviceQueues(netdev(), info_.has_rss, parts->queue_pairs, std::move(parts->attached.affinity));
    rx_drops_ = RxDropsWatch(netdev());
    virtio_ = std::move(parts->virtio);
    saved_ = std::move(parts->saved);
    return absl::OkStatus();
  };
  absl::Status s = take();
  why_not_back_ = s.ok() || absl::IsNotFound(s) ? "" : std::string(s.message());
  if (s.ok()) {
    gone_ = false;
    LookForUnreadFrames();
  }
  return s;
}

PortFds NetdevPort::fds() const {
  const SteeringMaps& maps = steering_.maps();
  return {maps.xsks_fd(), bridge_.xsks_fd(), maps.flows_fd(), maps.details_fd(), maps.credit_fd()};
}

// Detaching and attaching enable the device's queues again.
absl::Status NetdevPort::SuspendXdp() {
  absl::Status s = xdp_.Suspend();
  LookForUnreadFrames();
  return s;
}

absl::Status NetdevPort::ResumeXdp() {
  absl::Status s = xdp_.Resume();
  LookForUnreadFrames();
  return s;
}

// Finds the device by its index, and goes on under its new name and address if it was given others.
absl::StatusOr<Link> NetdevPort::Follow() {
  absl::StatusOr<Link> link = GetLink(static_cast<int>(info_.ifindex));
  gone_ = gone_ || absl::IsNotFound(link.status());
  if (gone_) {
    return absl::NotFoundError(absl::StrCat("its device ", netdev(), " is gone; it is taken back when ", config_.netdev,
                                            " is there again",
                                            why_not_back_.empty() ? "" : ", which failed: ", why_not_back_));
  }
  if (link.ok() && link->name != netdev()) {
    spdlog::warn("{}: {} is called {} now; the configuration should say so", name(), netdev(), link->name);
    info_.netdev = link->name;
    xdp_.Rename(link->name);
    steering_.Rename(link->name);
    rx_drops_.Rename(link->name);
    queues_.Rename(link->name);
    saved_.mutable_affinity()->clear();
    const QueueAffinity::Before& before = queues_.affinity().before();
    saved_.mutable_affinity()->insert(before.begin(), before.end());
  }
  return link;
}

Reconciled NetdevPort::Reconcile(std::optional<uint32_t> frame_size_bytes) {
  Reconciled out;
  const absl::StatusOr<Link> link = Follow();
  if (!link.ok()) {
    out.programs = absl::FailedPreconditionError(link.status().message());
    out.degraded.emplace_back(out.programs.message());
    return out;
  }
  if (!IsTheSame(*link, saved_) || link->name != saved_.kernel_name()) {
    SaveIdentity(*link, xdp_.pin_dir(), saved_);
    out.renamed = true;
  }
  if (!link->up) {
    out.degraded.push_back(absl::StrCat(netdev(), " is down: ip link set dev ", netdev(), " up"));
  } else if (!link->carrier) {
    out.degraded.push_back(absl::StrCat(netdev(), " has no carrier: the other end is down, or unplugged"));
  }
  if (const absl::StatusOr<GateFacts> facts = ReadGateFacts(*link); facts.ok()) {
    if (const absl::Status fit = CheckGate(*facts); !fit.ok()) {
      out.degraded.push_back(absl::StrCat(netdev(), " cannot be a port any more: ", fit.message()));
    }
  }
  if (const absl::StatusOr<uint32_t> needed = FrameSizeForMtu(link->mtu_bytes);
      frame_size_bytes.has_value() && (!needed.ok() || *needed > *frame_size_bytes)) {
    out.degraded.push_back(absl::StrCat("the MTU of ", netdev(), " is ", link->mtu_bytes, " now, too much for the ",
                                        "lanes' frames of ", *frame_size_bytes, " bytes: longer packets are lost; ",
                                        "set it back, or stop sluice-agent and start it"));
  }
  if (settings_.every_frame && !link->promiscuous) {
    if (absl::Status s = SetPromiscuous(netdev(), true); s.ok()) {
      out.repaired.emplace_back("promiscuous mode");
    } else {
      out.degraded.push_back(absl::StrCat("promiscuous mode is off: ", s.message()));
    }
  }
  out.programs = ReconcilePrograms(*link, out);
  if (!out.programs.ok()) {
    out.degraded.emplace_back(out.programs.message());
  } else {
    ReconcileQueues(out);
  }
  return out;
}

void NetdevPort::ReconcileQueues(Reconciled& out) {
  const auto note = [&](const absl::StatusOr<bool>& repaired, const char* part) {
    if (!repaired.ok()) {
      out.degraded.push_back(absl::StrCat(part, " cannot be put back: ", repaired.status().message()));
    } else if (*repaired) {
      out.repaired.emplace_back(part);
    }
  };
  note(ReconcileQueuePairs(out), "its number of queue pairs");
  note(queues_.RepairTable(), "its RSS table");
  note(queues_.affinity().Repair(), "the CPUs of its queues");
}

// Somebody can change it while the program is in skb mode or off. More queues than lanes would carry packets to no
// socket; fewer are refused by the kernel as long as their sockets are bound.
absl::StatusOr<bool> NetdevPort::ReconcileQueuePairs(Reconciled& out) {
  const absl::StatusOr<uint32_t> found = queues_.ReadPairs();
  if (!found.ok()) {
    return found.status();
  }
  if (*found == queue_pairs()) {
    pairs_stay_ = absl::OkStatus();
    return false;
  }
  // Each attempt takes XDP off, so there is one.
  if (!pairs_stay_.ok()) {
    return pairs_stay_;
  }
  absl::Status s = xdp_.Suspend();
  if (s.ok()) {
    s = queues_.SetPairs(queue_pairs(), SteadyTime::Now());
    s.Update(xdp_.Resume());
  }
  LookForUnreadFrames();
  out.attached_xdp = true;
  pairs_stay_ =
      s.ok() ? s : absl::Status(s.code(), absl::StrCat(*found, " instead of ", queue_pairs(), ": ", s.message()));
  return s.ok() ? absl::StatusOr<bool>(true) : pairs_stay_;
}

absl::Status NetdevPort::ReconcilePrograms(const Link& link, Reconciled& out) {
  // First: a program that is loaded without the pins would have maps of its own.
  if (absl::Status s = ReconcilePins(out); !s.ok()) {
    return s;
  }
  absl::Status s = ReconcileXdp(out);
  const absl::StatusOr<bool> repaired = bridge_.Repair(settings_.object_dir);
  if (!repaired.ok()) {
    s.Update(absl::Status(repaired.status().code(), absl::StrCat("its bridge: ", repaired.status().message())));
  } else if (*repaired) {
    out.repaired.emplace_back("the bridge");
  }
  s.Update(steering_.Follow(link.mac, static_cast<uint32_t>(bridge_.near_ifindex())));
  return s;
}

absl::Status NetdevPort::ReconcilePins(Reconciled& out) {
  if (steering_.maps().ArePinnedIn(xdp_.pin_dir())) {
    return absl::OkStatus();
  }
  absl::Status s = MakePinDirAgain(xdp_.pin_dir());
  s = s.ok() ? steering_.maps().PinIn(xdp_.pin_dir()) : s;
  if (!s.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("its maps are no longer pinned in ", xdp_.pin_dir(), " (",
                                                      s.message(), "); traffic goes on, and ends when sluice-agent is ",
                                                      "restarted"));
  }
  out.repaired.emplace_back("the pins of its maps");
  return absl::OkStatus();
}

absl::Status NetdevPort::ReconcileXdp(Reconciled& out) {
  const uint32_t before = xdp_.attached_id();
  absl::Status s = xdp_.Refresh();
  out.attached_xdp = xdp_.attached_id() != before;  // by somebody whose program joined or left the dispatcher
  if (s.ok() && PacketsPassXdpBy()) {
    return WakeXdp(out);
  }
  if (!absl::IsFailedPrecondition(s)) {
    return s;
  }
  // In the mode it was in, which the programs know (SteeringFacts::xdp_is_skb).
  const ModeSetting mode = xdp_.mode() == XdpMode::kSkb ? ModeSetting::kSkb : ModeSetting::kCopy;
  absl::StatusOr<XdpAttachment> again =
      XdpAttachment::AttachOrAdopt(netdev(), SteerObject(settings_), xdp_.pin_dir(), mode, settings_.flow_buckets);
  if (!again.ok()) {
    return again.status();
  }
  xdp_ = *std::move(again);
  LookForUnreadFrames();
  out.attached_xdp = true;
  out.repaired.emplace_back("the XDP program");
  return absl::OkStatus();
}

// Of a virtio device that was suspended the queues are made anew, without the program that the device still shows
// (drivers/net/virtio_net.c: virtnet_restore_up): no packet meets XDP any more, and clsact gives all of them to the
// bridge. Two looks are needed, since one may see the window of a resize.
bool NetdevPort::PacketsPassXdpBy() {
  constexpr int kLooks = 2;
  if (!virtio_.has_value() || xdp_.mode() == XdpMode::kSkb) {
    return false;
  }
  uint64_t seen = 0;
  for (const sluice_verdict verdict :
       {SLUICE_VERDICT_DATAPLANE, SLUICE_VERDICT_NO_SOCKET, SLUICE_VERDICT_OFFLOADED, SLUICE_VERDICT_OVERLOADED}) {
    seen += Packets(verdict, 0, info_.max_pairs);
  }
  const uint64_t bridged = Packets(SLUICE_VERDICT_BRIDGED, 0, info_.max_pairs);
  if (seen != seen_before_) {
    looks_passed_by_ = 0;
    woke_xdp_ = false;
  } else if (bridged != bridged_before_) {
    ++looks_passed_by_;
  }
  seen_before_ = seen;
  bridged_before_ = bridged;
  return looks_passed_by_ >= kLooks;
}

absl::Status NetdevPort::WakeXdp(Reconciled& out) {
  if (woke_xdp_ && !xdp_.suspended()) {
    return absl::FailedPreconditionError(
        "packets pass its XDP program by: a program before it in libxdp's dispatcher may keep them (xdp-loader "
        "status)");
  }
  woke_xdp_ = true;
  looks_passed_by_ = 0;
  absl::Status s = xdp_.Suspend();
  s.Update(xdp_.Resume());
  LookForUnreadFrames();
  out.attached_xdp = true;
  if (s.ok()) {
    out.repaired.emplace_back("the XDP program of its queues");
  }
  return s;
}

void NetdevPort::LookForUnreadFrames() {
  if (!virtio_.has_value()) {
    return;
  }
  const absl::StatusOr<uint32_t> frames = FramesSentUnread(netdev(), *virtio_, queue_pairs());
  if (!frames.ok()) {
    spdlog::warn("whether frames that were sent may be overwritten is not known: {}",
                 std::string(frames.status().message()));
    return;
  }
  if (*frames > 0 && frames_sent_unread_ == 0) {
    spdlog::warn(
        "{}: transmit queues lost their NAPI when a CPU went; sent frames are set aside until {} more are "
        "sent (sluicectl doctor says how to get it back)",
        netdev(), *frames);
  }
  frames_sent_unread_ = *frames;
}

absl::StatusOr<sluice_self_test> NetdevPort::TestQueue(uint32_t queue, const SelfTestToken& token, bool live) {
  return steering_.TestQueue(queue, token, live,
                             [&](absl::Span<const uint8_t> frame) { return xdp_.Run(frame, queue, live).status(); });
}

absl::Status NetdevPort::SetQueuePairs(uint32_t count, SteadyTime deadline) {
  return OnPort(netdev(), queues_.SetPairs(count, deadline));
}

absl::Status NetdevPort::SpreadOver(uint32_t count) {
  return OnPort(netdev(), queues_.SpreadOver(count));
}

void NetdevPort::RememberPlacement(uint32_t queues) {
  queues_.affinity().Remember(queues);
  const QueueAffinity::Before& before = queues_.affinity().before();
  saved_.mutable_affinity()->insert(before.begin(), before.end());
}

absl::Status NetdevPort::PlaceQueues(const std::vector<uint32_t>& cpus) {
  return OnPort(netdev(), queues_.affinity().Apply(cpus));
}

// Of a port whose device is gone, and with it most of what was ours.
absl::Status NetdevPort::TakeDownRemains() {
  absl::Status s = bridge_.Remove();
  s.Update(xdp_.Remove(saved_.adopted_xdp()));
  return OnPort(netdev(), s);
}

absl::Status NetdevPort::TakeDown() {
  if (absl::IsNotFound(Follow().status())) {
    return TakeDownRemains();
  }
  absl::Status first;
  const auto note = [&](const absl::Status& s) { first.Update(OnPort(netdev(), s)); };
  // Stop steering before anything goes, so that no packet is sent into a half-removed bridge.
  first.Update(steering_.Stop());
  first.Update(steering_.ClearLists());  // the maps stay where the program was adopted
  note(bridge_.Remove());
  first.Update(PutDeviceBack(netdev(), saved_, queue_pairs(), info_.has_rss, xdp_, queues_.affinity()));
  return first;
}

absl::Status NetdevPort::PutBack(const SavedPort& saved) {
  const auto ifindex = static_cast<int>(saved.ifindex());
  const absl::StatusOr<Link> link = GetLink(ifindex);
  // The index may be another device's by now.
  const bool gone =
      link.ok() ? !IsTheSame(*link, saved) && link->name != saved.kernel_name() : absl::IsNotFound(link.status());
  if (gone) {
    // The near end of that name would be another port's bridge.
    const absl::Status s = link.ok() ? absl::OkStatus() : Bridge::RemoveRemains(ifindex, saved.pin_dir());
    XdpAttachment::RemovePins(saved.pin_dir());
    return OnPort(saved.netdev(), s);
  }
  if (!link.ok()) {
    return OnPort(saved.netdev(), link.status());
  }
  absl::Status first;
  if (saved.adopted_xdp()) {
    if (absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(saved.pin_dir()); maps.ok()) {
      PortSteering steering(saved.name(), link->name, {}, *std::move(maps));
      first.Update(steering.Stop());
      first.Update(steering.ClearLists());
    }
  }
  first.Update(OnPort(link->name, Bridge::RemoveRemains(ifindex, saved.pin_dir())));
  absl::StatusOr<XdpAttachment> xdp = XdpAttachment::TakeRemains(link->name, saved.pin_dir());
  const absl::StatusOr<std::optional<VirtioDevice>> virtio = ReadVirtioDevice(link->name);
  const absl::StatusOr<QueueFacts> queues = virtio.ok() ? ReadQueueFacts(link->name, *virtio) : virtio.status();
  if (!xdp.ok() || !queues.ok()) {
    return OnPort(link->name, xdp.ok() ? queues.status() : xdp.status());
  }
  QueueAffinity affinity(saved.kernel_name(), {saved.affinity().begin(), saved.affinity().end()});
  affinity.Rename(link->name);
  first.Update(PutDeviceBack(link->name, saved, queues->current, saved.rss_table_size() > 0, *xdp, affinity));
  return first;
}

}  // namespace sluice
