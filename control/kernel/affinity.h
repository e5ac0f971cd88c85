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

  // `before`: as an earlier agent remembered it. Files that do not place this device's queues are left out.
  explicit QueueAffinity(std::string netdev, const Before& before = {});
  // Remembers the files that Apply() would change for queues [0, queues), so that they can be saved first.
  void Remember(uint32_t queues);
  const Before& before() const { return saved_; }
  // The device has another name now, and its files are elsewhere.
  void Rename(const std::string& netdev);
  // Sends queue q's interrupts to cpus[q], and gives its transmit queue to that CPU. An offline CPU is an error that
  // names it, and nothing is set. Queues that cannot be set are listed in the error; the others stay set.
  absl::Status Apply(const std::vector<uint32_t>& cpus);
  // Sets again what is not as Apply() set it last, such as by irqbalance. True: there was something. Queues whose CPU
  // is offline are left alone.
  absl::StatusOr<bool> Repair();
  // Puts every remembered file back. Skips queues that have gone.
  absl::Status Restore();

 private:
  // A file that places a queue, with the text that it is to have.
  struct File {
    uint32_t queue;
    std::string path;
    std::string wanted;
  };
  absl::StatusOr<std::vector<File>> Files(const std::vector<uint32_t>& cpus) const;

  std::string netdev_;
  Before saved_;
  std::vector<uint32_t> cpus_;  // of the last Apply()
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_AFFINITY_H_
