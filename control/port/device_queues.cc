#include "control/port/device_queues.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/progress.h"
#include "control/kernel/rss_table.h"

namespace sluice {

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
  // A tap that nobody has opened says that it has none.
  return QueueFacts{std::max(channels->combined, 1U), std::max(channels->max_combined, 1U),
                    channels->max_combined <= 1 ? "the device has one queue pair" : ""};
}

// A closed socket leaves its queue by a workqueue (net/xdp/xsk_buff_pool.c: xp_release_deferred); until then
// net/ethtool refuses to take the queue away.
absl::Status SetChannelsWhenFree(const std::string& netdev, uint32_t count, SteadyTime deadline) {
  constexpr absl::Duration kReleaseBound = absl::Seconds(10);
  constexpr absl::Duration kRetryEvery = absl::Milliseconds(2);
  const SteadyTime give_up = std::min(deadline, SteadyTime::Now() + kReleaseBound);
  absl::Status s = SetChannels(netdev, count);
  while (absl::IsFailedPrecondition(s) && SteadyTime::Now() < give_up) {
    NoteProgress();
    absl::SleepFor(kRetryEvery);
    s = SetChannels(netdev, count);
  }
  return s;
}

absl::Status DeviceQueues::SetPairs(uint32_t count, SteadyTime deadline) {
  absl::Status s = SetChannelsWhenFree(netdev_, count, deadline);
  if (s.ok()) {
    pairs_ = count;
    table_.clear();
  }
  return s;
}

absl::StatusOr<uint32_t> DeviceQueues::ReadPairs() const {
  const absl::StatusOr<QueueFacts> now = ReadQueueFacts(netdev_, std::nullopt);
  return now.ok() ? absl::StatusOr<uint32_t>(now->current) : now.status();
}

absl::Status DeviceQueues::SpreadOver(uint32_t count) {
  absl::StatusOr<std::vector<uint32_t>> found = GetRssTable(netdev_);
  if (!found.ok()) {
    return found.status();
  }
  std::vector<uint32_t> table = SpreadTable(*std::move(found), count);
  absl::Status s = SetRssTable(netdev_, table);
  if (s.ok()) {
    table_ = std::move(table);
  }
  return s;
}

absl::StatusOr<bool> DeviceQueues::RepairTable() {
  if (!has_rss_ || table_.empty()) {
    return false;
  }
  const absl::StatusOr<std::vector<uint32_t>> now = GetRssTable(netdev_);
  if (!now.ok() || *now == table_) {
    return now.ok() ? absl::StatusOr<bool>(false) : now.status();
  }
  absl::Status s = SetRssTable(netdev_, table_);
  return s.ok() ? absl::StatusOr<bool>(true) : s;
}

void DeviceQueues::Rename(const std::string& netdev) {
  netdev_ = netdev;
  affinity_.Rename(netdev);
}

}  // namespace sluice
