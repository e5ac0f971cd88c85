// Which CPUs handle a port's queues: IRQ affinity (/proc/irq/N/smp_affinity_list) and XPS
// (/sys/class/net/IF/queues/tx-Q/xps_cpus). Best effort where a device has no per-queue interrupts
// (veth): then there is nothing to set, and that is said in the result, not an error. One thread.
#ifndef SLUICE_CONTROL_KERNEL_AFFINITY_H_
#define SLUICE_CONTROL_KERNEL_AFFINITY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// Interrupts of one queue pair, from /sys/class/net/IF/device/msi_irqs (its parent's on virtio) and their
// names in /proc/interrupts ("virtio1-input.0", "virtio1-output.0"). Empty when the device has none.
absl::StatusOr<std::vector<uint32_t>> QueueIrqs(const std::string& netdev, uint32_t queue);

// Remembers what was there and puts it back.
class QueueAffinity {
 public:
  // By file, what it held before anybody of ours changed it.
  using Before = std::map<std::string, std::string>;

  // `before` is what an earlier agent had remembered.
  explicit QueueAffinity(std::string netdev, Before before = {})
      : netdev_(std::move(netdev)), saved_(std::move(before)) {}
  // Remembers what Apply() would change for queues [0, queues), so that it can be written down first.
  void Remember(uint32_t queues);
  const Before& before() const { return saved_; }
  // Queue q's interrupts go to cpus[q], and its transmit queue is that CPU's. An offline CPU is an error
  // that names it; queues that cannot be set are listed in the error, the others stay set.
  absl::Status Apply(const std::vector<uint32_t>& cpus);
  // Everything as it is remembered. Vanished queues are skipped.
  absl::Status Restore();

 private:
  std::string netdev_;
  Before saved_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_AFFINITY_H_
