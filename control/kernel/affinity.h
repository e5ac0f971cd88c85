// Places a port's queues on CPUs: IRQ affinity (/proc/irq/N/smp_affinity_list) and XPS
// (/sys/class/net/IF/queues/tx-Q/xps_cpus). A device without an interrupt for each queue (veth) has nothing to place,
// which is no error. One thread.
#ifndef SLUICE_CONTROL_KERNEL_AFFINITY_H_
#define SLUICE_CONTROL_KERNEL_AFFINITY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// Finds the interrupts of one queue pair, from /sys/class/net/IF/device/msi_irqs (on virtio, its parent's) and their
// names in /proc/interrupts ("virtio1-input.0", "virtio1-output.0"). Empty when the device has none.
absl::StatusOr<std::vector<uint32_t>> QueueIrqs(const std::string& netdev, uint32_t queue);

// The placement of one device's queues, and the one that was found, to be put back.
class QueueAffinity {
 public:
  // A file's content before Sluice first changed it, by the file's path.
  using Before = std::map<std::string, std::string>;

  // `before`: as an earlier agent remembered it.
  explicit QueueAffinity(std::string netdev, Before before = {})
      : netdev_(std::move(netdev)), saved_(std::move(before)) {}
  // Remembers the files that Apply() would change for queues [0, queues), so that they can be saved first.
  void Remember(uint32_t queues);
  const Before& before() const { return saved_; }
  // Sends queue q's interrupts to cpus[q], and gives its transmit queue to that CPU. An offline CPU is an error that
  // names it, and nothing is set. Queues that cannot be set are listed in the error; the others stay set.
  absl::Status Apply(const std::vector<uint32_t>& cpus);
  // Puts every remembered file back. Skips queues that have gone.
  absl::Status Restore();

 private:
  std::string netdev_;
  Before saved_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_AFFINITY_H_
