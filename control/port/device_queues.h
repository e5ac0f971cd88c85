// The queues of a port's device as the port set them: their number, the RSS table that spreads packets over them, and
// the CPUs of their interrupts. Compares them with the kernel's, since anybody may run ethtool -L, ethtool -X or
// irqbalance.
//
// Ownership: the destructor changes nothing in the kernel. Errors have the kernel's reason, without the port's name.
// One thread.
#ifndef SLUICE_CONTROL_PORT_DEVICE_QUEUES_H_
#define SLUICE_CONTROL_PORT_DEVICE_QUEUES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/kernel/affinity.h"
#include "control/kernel/virtio_device.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

struct QueueFacts {
  uint32_t current = 1;
  uint32_t max = 1;
  std::string why_one;  // when max is 1: the reason users are told
};

absl::StatusOr<QueueFacts> ReadQueueFacts(const std::string& netdev, const std::optional<VirtioDevice>& virtio);

// Sets the number of queue pairs. Waits until closed sockets have left the queues that go, no longer than to `deadline`
// and a bound of its own, since another program's socket stays: then FailedPrecondition.
absl::Status SetChannelsWhenFree(const std::string& netdev, uint32_t count, SteadyTime deadline);

class DeviceQueues {
 public:
  // `pairs`: that it has now. `affinity` knows the placement to put back at the end.
  DeviceQueues(std::string netdev, bool has_rss, uint32_t pairs, QueueAffinity affinity)
      : netdev_(std::move(netdev)), has_rss_(has_rss), pairs_(pairs), affinity_(std::move(affinity)) {}

  // The number that was set last.
  uint32_t pairs() const { return pairs_; }
  // The driver refuses it while XDP is on (drivers/net/virtio_net.c: virtnet_set_channels).
  absl::Status SetPairs(uint32_t count, SteadyTime deadline);
  // Reads the number that the device has; 1 for a driver without channels.
  absl::StatusOr<uint32_t> ReadPairs() const;

  // Has queues [0, count) share the RSS table evenly (kernel/rss_table.h). Only on a device that has one.
  absl::Status SpreadOver(uint32_t count);
  // Writes the table of the last SpreadOver() again if the device shows another one. True: it did.
  absl::StatusOr<bool> RepairTable();

  QueueAffinity& affinity() { return affinity_; }

  // The device has another name now.
  void Rename(const std::string& netdev);

 private:
  std::string netdev_;
  bool has_rss_;
  uint32_t pairs_;
  std::vector<uint32_t> table_;  // of the last SpreadOver(); empty: there was none since the number of queues changed
  QueueAffinity affinity_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_PORT_DEVICE_QUEUES_H_
