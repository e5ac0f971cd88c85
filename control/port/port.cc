#include "control/port/port.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/device_limits.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/rss_table.h"
#include "dataplane/base/cpu_list.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Undoes what BringUp did so far, newest first, unless Commit() was called.
class Unwinder {
 public:
  ~Unwinder() {
    for (size_t i = undos_.size(); i-- > 0;) {
      undos_[i]();
    }
  }
  void Add(std::function<void()> undo) { undos_.push_back(std::move(undo)); }
  void Commit() { undos_.clear(); }

 private:
  std::vector<std::function<void()>> undos_;
};

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

absl::Status OnPort(const std::string& netdev, const absl::Status& s) {
  return s.ok() ? s : absl::Status(s.code(), absl::StrCat("port ", netdev, ": ", s.message()));
}

absl::StatusOr<AgentPort> AgentPort::BringUp(const PortConfig& config, const PortSettings& settings,
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
  absl::StatusOr<uint32_t> frame_size = FrameSizeForMtu(link->mtu_bytes);
  if (!frame_size.ok()) {
    return OnPort(netdev, frame_size.status());
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
  absl::StatusOr<std::vector<uint32_t>> rss = GetRssTable(netdev);

  Unwinder unwinder;
  if (!link->up) {
    if (absl::Status s = SetLinkUp(netdev, true); !s.ok()) {
      return OnPort(netdev, s);
    }
    unwinder.Add([netdev] { (void)SetLinkUp(netdev, false); });
  }
  // Before the channels are set: that makes virtio_net place interrupts and XPS anew (virtnet_set_affinity).
  QueueAffinity affinity(netdev);
  affinity.Remember(queues->current);
  const std::string pin_dir = absl::StrCat(settings.pin_root, "/", netdev);
  const std::string object = absl::StrCat(settings.object_dir, "/sluice_steer.bpf.o");
  absl::StatusOr<XdpAttachment> xdp =
      XdpAttachment::AttachOrAdopt(netdev, object, pin_dir, settings.mode, settings.flow_buckets);
  if (!xdp.ok()) {
    return OnPort(netdev, xdp.status());
  }
  XdpAttachment* attached = &*xdp;
  const bool leave_xdp = saved.has_value() ? saved->adopted_xdp() : xdp->adopted();
  unwinder.Add([attached, leave_xdp] { (void)attached->Remove(leave_xdp); });
  if (pairs != queues->current) {
    // The driver refuses channels while XDP is on (virtnet_set_channels), ours or one that is to be adopted.
    unwinder.Add([attached, netdev, count = queues->current] {
      (void)attached->Suspend();
      (void)SetChannels(netdev, count);
      (void)attached->Resume();
    });
    absl::Status s = xdp->Suspend();
    if (s.ok()) {
      s = SetChannels(netdev, pairs);
    }
    if (s.ok()) {
      s = xdp->Resume();
    }
    if (!s.ok()) {
      return OnPort(netdev, s);
    }
  }
  absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir);
  if (!maps.ok()) {
    return OnPort(netdev, maps.status());
  }
  absl::StatusOr<Bridge> bridge = Bridge::CreateOrAdopt(netdev, settings.object_dir, pin_dir);
  if (!bridge.ok()) {
    return OnPort(netdev, bridge.status());
  }
  if (settings.promiscuous) {
    Bridge* made = &*bridge;
    unwinder.Add([made] { (void)made->Remove(); });
    if (absl::Status s = SetPromiscuous(netdev, true); !s.ok()) {
      return OnPort(netdev, s);
    }
  }
  unwinder.Commit();

  AgentPort port(config, *std::move(xdp), *std::move(maps), *std::move(bridge));
  absl::StatusOr<DriverInfo> driver = GetDriver(netdev);
  port.driver_ = driver.ok() ? driver->driver : "unknown";
  port.link_ = *link;
  port.virtio_ = *virtio;
  port.max_pairs_ = queues->max;
  port.queue_pairs_ = pairs;
  port.why_one_pair_ = queues->why_one;
  port.has_rss_ = rss.ok() && !rss->empty() && (!(*virtio).has_value() || (*virtio)->Has(VirtioFeature::kRss));
  port.own_mac_only_ = settings.own_mac_only;
  port.frame_size_bytes_ = *frame_size;
  if (saved.has_value()) {
    port.saved_ = *saved;
    port.affinity_ = QueueAffinity(netdev, {saved->affinity().begin(), saved->affinity().end()});
    port.xdp_was_off_ = !port.xdp_.was_on_device();
  } else {
    port.saved_.set_name(config.name);
    port.saved_.set_netdev(netdev);
    port.saved_.set_queue_pairs(queues->current);
    port.saved_.set_up(link->up);
    port.saved_.set_promiscuous(link->promiscuous);
    port.saved_.set_adopted_xdp(port.xdp_.adopted());
    port.saved_.mutable_affinity()->insert(affinity.before().begin(), affinity.before().end());
    port.affinity_ = std::move(affinity);
    if (port.has_rss_) {
      port.saved_.mutable_rss_table()->Assign(rss->begin(), rss->end());
    }
  }
  port.LookForUnreadFrames();
  return port;
}

// Detaching and attaching enable the device's queues anew.
absl::Status AgentPort::SuspendXdp() {
  absl::Status s = xdp_.Suspend();
  LookForUnreadFrames();
  return s;
}

absl::Status AgentPort::ResumeXdp() {
  absl::Status s = xdp_.Resume();
  LookForUnreadFrames();
  return s;
}

void AgentPort::LookForUnreadFrames() {
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

absl::Status AgentPort::SetQueuePairs(uint32_t count, absl::Time deadline) {
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

absl::Status AgentPort::SpreadOver(uint32_t count) {
  absl::StatusOr<std::vector<uint32_t>> table = GetRssTable(netdev());
  if (!table.ok()) {
    return OnPort(netdev(), table.status());
  }
  return OnPort(netdev(), SetRssTable(netdev(), SpreadTable(*std::move(table), count)));
}

void AgentPort::RememberPlacement(uint32_t queues) {
  affinity_.Remember(queues);
  saved_.mutable_affinity()->insert(affinity_.before().begin(), affinity_.before().end());
}

absl::Status AgentPort::PlaceQueues(const std::vector<uint32_t>& cpus) {
  return OnPort(netdev(), affinity_.Apply(cpus));
}

uint64_t AgentPort::BridgedFrames(uint32_t first, uint32_t end) const {
  uint64_t frames = 0;
  for (uint32_t queue = first; queue < end; ++queue) {
    if (const absl::StatusOr<sluice_counters> counters = maps_.ReadCounters(queue); counters.ok()) {
      frames += counters->packets[SLUICE_VERDICT_BRIDGED];
    }
  }
  return frames;
}

absl::Status AgentPort::TakeDown() {
  absl::Status first;
  const auto note = [&first](const absl::Status& s) {
    if (first.ok() && !s.ok()) {
      first = s;
    }
  };
  // Stop steering before anything goes, so that no packet is sent into a half-removed bridge.
  if (absl::StatusOr<sluice_config> config = maps_.GetConfig(); config.ok()) {
    note(maps_.SetConfig({.flow_epoch = config->flow_epoch}));  // flows of it may outlive us, and must not come back
  }
  note(maps_.SetBlocklist(-1));  // the maps stay where the program was adopted
  note(bridge_.Remove());
  // Before the channels: setting those makes virtio_net place its interrupts anew (virtnet_set_affinity).
  note(affinity_.Restore());
  if (has_rss_) {
    note(SetRssTable(netdev(), {}));  // ethtool -L refuses to take away queues that a table set by us names
  }
  if (saved_.adopted_xdp() && queue_pairs_ != saved_.queue_pairs()) {
    note(xdp_.Suspend());
    note(SetQueuePairs(saved_.queue_pairs(), absl::InfiniteFuture()));
    note(xdp_.Resume());
  }
  note(xdp_.Remove(saved_.adopted_xdp()));
  if (!saved_.adopted_xdp() && queue_pairs_ != saved_.queue_pairs()) {
    note(SetQueuePairs(saved_.queue_pairs(), absl::InfiniteFuture()));
  }
  if (has_rss_) {
    // Also a table that the kernel made by itself: the device may have lost it with XDP (Instance::WriteRssTables).
    const std::vector<uint32_t> table(saved_.rss_table().begin(), saved_.rss_table().end());
    note(SetRssTable(netdev(), IsDefaultRssTable(table, saved_.queue_pairs()) ? std::vector<uint32_t>() : table));
  }
  if (!saved_.promiscuous()) {
    note(SetPromiscuous(netdev(), false));
  }
  if (!saved_.up()) {
    note(SetLinkUp(netdev(), false));
  }
  return OnPort(netdev(), first);
}

}  // namespace sluice
