#include "control/port/netdev_port.h"

#include <algorithm>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/device_limits.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/links.h"
#include "control/kernel/rss_table.h"
#include "dataplane/base/cpu_list.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

struct QueueFacts {
  uint32_t current = 1;
  uint32_t max = 1;
  std::string why_one;
};

absl::StatusOr<QueueFacts> ReadQueueFacts(const std::string& netdev, const std::optional<VirtioDevice>& virtio) {
  if (virtio.has_value() && !virtio->Has(VirtioFeature::kMq)) {
    return QueueFacts{1, 1,
                      virtio->Has(VirtioFeature::kCtrlVq)
                          ? "the device does not offer VIRTIO_NET_F_MQ (QEMU: mq=on, and queues=N on the netdev)"
                          : "the device has no control queue (VIRTIO_NET_F_CTRL_VQ), so its count cannot change"};
  }
  absl::StatusOr<Channels> channels = GetChannels(netdev);
  if (absl::IsUnimplemented(channels.status())) {
    return QueueFacts{1, 1, "its driver has no channels to set"};
  }
  if (!channels.ok()) {
    return channels.status();
  }
  return QueueFacts{channels->combined, channels->max_combined,
                    channels->max_combined == 1 ? "the device has one queue pair" : ""};
}

std::string SteerObject(const PortSettings& settings) {
  return absl::StrCat(settings.object_dir, "/sluice_steer.bpf.o");
}

absl::Status CheckDevice(const std::string& netdev, const std::optional<VirtioDevice>& virtio) {
  // With napi_tx=0 a transmit completes before the device has read the frame: we would overwrite it
  // (drivers/net/virtio_net.c: start_xmit, skb_orphan; net/xdp/xsk.c: IFF_TX_SKB_NO_LINEAR).
  if (virtio.has_value() && virtio->napi_tx == false) {
    return absl::FailedPreconditionError(absl::StrCat(
        netdev,
        ": virtio_net runs with napi_tx=0, which gives frames back before the device has read them; load the "
        "module with napi_tx=1 (kernel command line: virtio_net.napi_tx=1)"));
  }
  return absl::OkStatus();
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
  const std::string& netdev = config.netdev;
  absl::StatusOr<Link> link = GetLink(netdev);
  if (!link.ok()) {
    return OnPort(netdev, link.status());
  }
  absl::StatusOr<std::optional<VirtioDevice>> virtio = ReadVirtioDevice(netdev);
  if (!virtio.ok()) {
    return OnPort(netdev, virtio.status());
  }
  if (absl::Status s = CheckDevice(netdev, *virtio); !s.ok()) {
    return s;
  }
  if (settings.mode == ModeSetting::kZeroCopy && (*virtio).has_value() && (*virtio)->SendsStrayZeroCopyHeaders()) {
    spdlog::warn("{}: mode = \"zerocopy\", but the host may refuse what is sent so (sluicectl doctor: zero_copy)",
                 netdev);
  }
  absl::StatusOr<uint32_t> frame_size_bytes = FrameSizeForMtu(link->mtu_bytes);
  if (!frame_size_bytes.ok()) {
    return OnPort(netdev, frame_size_bytes.status());
  }
  absl::StatusOr<QueueFacts> queues = ReadQueueFacts(netdev, *virtio);
  if (!queues.ok()) {
    return OnPort(netdev, queues.status());
  }
  const uint32_t pairs = saved.has_value() ? queues->current : settings.queue_pairs;
  if (pairs > queues->max) {
    return absl::FailedPreconditionError(
        absl::StrCat(netdev, ": queue_pairs = ", pairs, ", but it has at most ", queues->max,
                     queues->why_one.empty() ? "; ask for fewer, or give the device more" : ": ", queues->why_one));
  }
  const absl::StatusOr<uint32_t> possible_cpus = PossibleCpuIds();
  if (!possible_cpus.ok()) {
    return possible_cpus.status();
  }
  if (absl::Status s = CheckNoExtraXdpQueues(netdev, pairs, queues->max, *possible_cpus, (*virtio).has_value());
      !s.ok()) {
    return s;
  }
  return Device{*link, *virtio, *queues, pairs, *frame_size_bytes, GetRssTable(netdev)};
}

// The only part of BringUp() that packets notice. The program that is attached passes all of them until Activate(), but
// attaching it and setting channels reset the device's queues, and packets in them are lost. An error undoes every
// step.
absl::StatusOr<NetdevPort::Attached> NetdevPort::Attach(const Device& device, const PortSettings& settings,
                                                        const std::optional<SavedPort>& saved) {
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
  // Before the channels are set: that makes virtio_net place interrupts and XPS again (virtnet_set_affinity).
  QueueAffinity affinity(netdev);
  if (saved.has_value()) {
    affinity = QueueAffinity(netdev, {saved->affinity().begin(), saved->affinity().end()});
  } else {
    affinity.Remember(device.queues.current);
  }
  const std::string pin_dir = absl::StrCat(settings.pin_root, "/", netdev);
  const std::string object = SteerObject(settings);
  // The critical line: from here on the program sees the port's packets.
  absl::StatusOr<XdpAttachment> xdp =
      XdpAttachment::AttachOrAdopt(netdev, object, pin_dir, settings.mode, settings.flow_buckets);
  if (!xdp.ok()) {
    return OnPort(netdev, xdp.status());
  }
  absl::Cleanup remove_xdp = [&xdp, leave = saved.has_value() ? saved->adopted_xdp() : xdp->adopted()] {
    (void)xdp->Remove(leave);
  };
  // The driver refuses channels while XDP is on (virtnet_set_channels), ours or one that is to be adopted.
  const auto set_channels = [&](uint32_t pairs) {
    absl::Status s = xdp->Suspend();
    s = s.ok() ? SetChannels(netdev, pairs) : s;
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
  return Attached{*std::move(xdp), *std::move(maps), *std::move(bridge), std::move(affinity)};
}

absl::StatusOr<std::unique_ptr<Port>> NetdevPort::BringUp(const PortConfig& config, const PortSettings& settings,
                                                          const std::optional<SavedPort>& saved) {
  absl::StatusOr<Device> device = Check(config, settings, saved);
  if (!device.ok()) {
    return device.status();
  }
  absl::StatusOr<Attached> attached = Attach(*device, settings, saved);
  if (!attached.ok()) {
    return attached.status();
  }
  const absl::StatusOr<DriverInfo> driver = GetDriver(config.netdev);
  PortInfo info;
  info.name = config.name;
  info.netdev = config.netdev;
  info.driver = driver.ok() ? driver->driver : "unknown";
  info.bridge_netdev = attached->bridge.far_netdev();
  info.ifindex = static_cast<uint32_t>(device->link.ifindex);
  info.mtu_bytes = device->link.mtu_bytes;
  info.frame_size_bytes = device->frame_size_bytes;
  info.max_pairs = device->queues.max;
  info.why_one_pair = device->queues.why_one;
  info.flow_buckets = attached->maps.flow_buckets();
  info.is_virtio = device->virtio.has_value();
  info.has_rss = device->has_rss();
  info.offers_guest_offloads = info.is_virtio && device->virtio->OffersGuestOffloads();
  info.sends_stray_zero_copy_headers = info.is_virtio && device->virtio->SendsStrayZeroCopyHeaders();
  info.adopted_xdp = saved.has_value() ? saved->adopted_xdp() : attached->xdp.adopted();
  info.xdp_was_off = saved.has_value() && !attached->xdp.was_on_device();
  const SteeringFacts facts{.mac = device->link.mac,
                            .own_mac_only = !settings.every_frame,
                            .xdp_is_skb = attached->xdp.mode() == XdpMode::kSkb,
                            .bridge_ifindex = static_cast<uint32_t>(attached->bridge.near_ifindex()),
                            .own_ifindex = info.ifindex};
  std::unique_ptr<NetdevPort> port(
      new NetdevPort(std::move(info), *std::move(attached), facts, settings, config.on_dataplane_down));
  port->virtio_ = device->virtio;
  port->queue_pairs_ = device->pairs;
  if (saved.has_value()) {
    port->saved_ = *saved;
  } else {
    port->RememberAsFound(*device);
  }
  port->LookForUnreadFrames();
  return port;
}

NetdevPort::NetdevPort(PortInfo info, Attached attached, SteeringFacts facts, const PortSettings& settings,
                       OnDataplaneDown down_policy)
    : Port(std::move(info)),
      settings_(settings),
      xdp_(std::move(attached.xdp)),
      bridge_(std::move(attached.bridge)),
      steering_(name(), netdev(), facts, std::move(attached.maps)),
      affinity_(std::move(attached.affinity)),
      rx_drops_(netdev()),
      down_policy_(down_policy) {}

void NetdevPort::RememberAsFound(const Device& device) {
  saved_.set_name(name());
  saved_.set_netdev(netdev());
  saved_.set_queue_pairs(device.queues.current);
  saved_.set_up(device.link.up);
  saved_.set_promiscuous(device.link.promiscuous);
  saved_.set_adopted_xdp(info_.adopted_xdp);
  saved_.mutable_affinity()->insert(affinity_.before().begin(), affinity_.before().end());
  if (info_.has_rss) {
    saved_.mutable_rss_table()->Assign(device.rss_table->begin(), device.rss_table->end());
  }
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

Reconciled NetdevPort::Reconcile() {
  Reconciled out;
  const absl::StatusOr<Link> link = GetLink(netdev());
  if (!link.ok() || static_cast<uint32_t>(link->ifindex) != info_.ifindex) {
    out.degraded.push_back(absl::StrCat("its device ", netdev(),
                                        link.ok() ? " is another one now" : " is gone, or has another name",
                                        "; restart sluice-agent when it is there"));
    return out;
  }
  if (!link->up) {
    out.degraded.push_back(absl::StrCat(netdev(), " is down: ip link set dev ", netdev(), " up"));
  } else if (!link->carrier) {
    out.degraded.push_back(absl::StrCat(netdev(), " has no carrier: the other end is down, or unplugged"));
  }
  if (const absl::StatusOr<uint32_t> bytes = FrameSizeForMtu(link->mtu_bytes);
      !bytes.ok() || *bytes > info_.frame_size_bytes) {
    out.degraded.push_back(absl::StrCat("the MTU of ", netdev(), " is ", link->mtu_bytes, " now, and was ",
                                        info_.mtu_bytes, " when memory for frames was made: longer packets are lost; ",
                                        "set it back, or restart sluice-agent and the dataplane"));
  }
  if (settings_.every_frame && !link->promiscuous) {
    if (absl::Status s = SetPromiscuous(netdev(), true); s.ok()) {
      out.repaired.push_back("promiscuous mode");
    } else {
      out.degraded.push_back(absl::StrCat("promiscuous mode is off: ", s.message()));
    }
  }
  if (!steering_.maps().ArePinnedIn(xdp_.pin_dir())) {
    // A program that is loaded without the pins would have maps of its own.
    out.degraded.push_back(absl::StrCat("its maps are no longer pinned in ", xdp_.pin_dir(),
                                        "; traffic goes on, and ends when sluice-agent is restarted"));
    return out;
  }
  ReconcileXdp(out);
  if (const absl::StatusOr<bool> repaired = bridge_.Repair(settings_.object_dir); !repaired.ok()) {
    out.degraded.push_back(absl::StrCat("its bridge: ", repaired.status().message()));
  } else if (*repaired) {
    out.repaired.push_back("the bridge");
  }
  return out;
}

void NetdevPort::ReconcileXdp(Reconciled& out) {
  absl::Status s = xdp_.Refresh();
  if (absl::IsFailedPrecondition(s)) {
    // In the mode it was in, which the programs know (SteeringFacts::xdp_is_skb).
    const ModeSetting mode = xdp_.mode() == XdpMode::kSkb ? ModeSetting::kSkb : ModeSetting::kCopy;
    absl::StatusOr<XdpAttachment> again =
        XdpAttachment::AttachOrAdopt(netdev(), SteerObject(settings_), xdp_.pin_dir(), mode, settings_.flow_buckets);
    s = again.status();
    if (again.ok()) {
      xdp_ = *std::move(again);
      LookForUnreadFrames();
      out.attached_xdp = true;
      out.repaired.push_back("the XDP program");
    }
  }
  if (!s.ok()) {
    out.degraded.push_back(absl::StrCat("XDP: ", s.message()));
  }
}

void NetdevPort::LookForUnreadFrames() {
  if (!virtio_.has_value()) {
    return;
  }
  const absl::StatusOr<uint32_t> frames = FramesSentUnread(netdev(), *virtio_, queue_pairs_);
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

absl::Status NetdevPort::SetQueuePairs(uint32_t count, absl::Time deadline) {
  // A closed socket leaves its queue by a workqueue (net/xdp/xsk_buff_pool.c: xp_release_deferred); until
  // then net/ethtool refuses to take the queue away. Bounded, since another program's socket stays.
  constexpr absl::Duration kReleaseBound = absl::Seconds(10);
  constexpr absl::Duration kRetryEvery = absl::Milliseconds(2);
  const absl::Time give_up = std::min(deadline, absl::Now() + kReleaseBound);
  absl::Status s = SetChannels(netdev(), count);
  while (absl::IsFailedPrecondition(s) && absl::Now() < give_up) {
    absl::SleepFor(kRetryEvery);
    s = SetChannels(netdev(), count);
  }
  if (s.ok()) {
    queue_pairs_ = count;
  }
  return OnPort(netdev(), s);
}

absl::Status NetdevPort::SpreadOver(uint32_t count) {
  absl::StatusOr<std::vector<uint32_t>> table = GetRssTable(netdev());
  if (!table.ok()) {
    return OnPort(netdev(), table.status());
  }
  return OnPort(netdev(), SetRssTable(netdev(), SpreadTable(*std::move(table), count)));
}

void NetdevPort::RememberPlacement(uint32_t queues) {
  affinity_.Remember(queues);
  saved_.mutable_affinity()->insert(affinity_.before().begin(), affinity_.before().end());
}

absl::Status NetdevPort::PlaceQueues(const std::vector<uint32_t>& cpus) {
  return OnPort(netdev(), affinity_.Apply(cpus));
}

absl::Status NetdevPort::TakeDown() {
  absl::Status first;
  const auto note = [&](const absl::Status& s) { first.Update(OnPort(netdev(), s)); };
  // Stop steering before anything goes, so that no packet is sent into a half-removed bridge.
  first.Update(steering_.Stop());
  first.Update(steering_.SetBlocklist(-1));  // the maps stay where the program was adopted
  note(bridge_.Remove());
  // Before the channels: setting those makes virtio_net place its interrupts again (virtnet_set_affinity).
  note(affinity_.Restore());
  if (info_.has_rss) {
    note(SetRssTable(netdev(), {}));  // ethtool -L refuses to take away queues that a table set by us names
  }
  const bool set_pairs = queue_pairs_ != saved_.queue_pairs();
  if (saved_.adopted_xdp() && set_pairs) {
    note(xdp_.Suspend());
    first.Update(SetQueuePairs(saved_.queue_pairs(), absl::InfiniteFuture()));
    note(xdp_.Resume());
  }
  note(xdp_.Remove(saved_.adopted_xdp()));
  if (!saved_.adopted_xdp() && set_pairs) {
    first.Update(SetQueuePairs(saved_.queue_pairs(), absl::InfiniteFuture()));
  }
  if (info_.has_rss) {
    // Also a table that the kernel made by itself: the device may have lost it with XDP (PortSet::WriteRssTables).
    const std::vector<uint32_t> table(saved_.rss_table().begin(), saved_.rss_table().end());
    note(SetRssTable(netdev(), IsDefaultRssTable(table, saved_.queue_pairs()) ? std::vector<uint32_t>() : table));
  }
  if (!saved_.promiscuous()) {
    note(SetPromiscuous(netdev(), false));
  }
  if (!saved_.up()) {
    note(SetLinkUp(netdev(), false));
  }
  return first;
}

}  // namespace sluice
