// The doctor: facts about machine and ports in, findings out. Read-only.
//
// CollectFacts() asks the kernel; Diagnose() is a pure function of what it said, so that every finding can
// be tested with made-up facts. Each check is one function; checks.cc lists them all in one table.
#ifndef SLUICE_CONTROL_DOCTOR_DOCTOR_H_
#define SLUICE_CONTROL_DOCTOR_DOCTOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/rx_drops.h"
#include "control/kernel/virtio_device.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

struct MachineFacts {
  std::string kernel_release;  // uname -r
  bool has_btf = false;        // /sys/kernel/btf/vmlinux
  uint32_t online_cpus = 0;
  uint32_t possible_cpus = 0;             // nr_cpu_ids: what virtnet_xdp_set asks for
  std::optional<uint64_t> memlock_bytes;  // nullopt: unlimited
  bool can_lock_memory = false;           // CAP_IPC_LOCK
};

struct PortFacts {
  std::string name;
  std::string netdev;
  std::string driver;
  uint32_t mtu_bytes = 0;
  uint32_t frame_size_bytes = 0;
  std::optional<Channels> channels;  // nullopt: the driver cannot say
  uint32_t queue_pairs_wanted = 1;
  bool has_rss = false;
  std::optional<VirtioDevice> virtio;      // nullopt: another driver
  uint32_t frames_sent_unread = 0;         // virtio_device.h
  std::optional<RxDrops> rx_drops;         // nullopt: the driver does not count them
  std::optional<uint64_t> dropped_in_xdp;  // PortToExamine's
  // irq_cpus[q]: the CPUs queue q's interrupts may go to; empty when it has none.
  std::vector<std::vector<uint32_t>> irq_cpus;
};

struct PortToExamine {
  std::string name;
  std::string netdev;
  uint32_t queue_pairs_wanted = 1;
  std::optional<uint64_t> dropped_in_xdp;  // frames whose drop in XDP is accounted for otherwise; nullopt: unknown
};

absl::StatusOr<MachineFacts> CollectMachineFacts();
absl::StatusOr<PortFacts> CollectPortFacts(const PortToExamine& port);

std::vector<wire::Finding> Diagnose(const MachineFacts& machine, absl::Span<const PortFacts> ports);

// All of the above. A port that cannot be examined is a finding of its own, an error.
absl::StatusOr<std::vector<wire::Finding>> Examine(absl::Span<const PortToExamine> ports);

// The chunk for an MTU: 2048 bytes when they hold the headroom the kernel keeps (XDP_PACKET_HEADROOM, 256),
// Ethernet, two VLAN tags and the MTU, else 4096. InvalidArgument with the number when `mtu_bytes` is more
// than single-buffer XDP takes (limits.cc).
absl::StatusOr<uint32_t> FrameSizeForMtu(uint32_t mtu_bytes);

// Attaching XDP asks virtio_net for current + nr_cpu_ids queue pairs; if the device has them, the real RX
// queue count grows and traffic lands on queues whose TX silently never happens
// (drivers/net/virtio_net.c: virtnet_xdp_set; net/xdp/xsk.c). FailedPrecondition with the fix then.
absl::Status CheckNoExtraXdpQueues(const std::string& netdev, uint32_t queue_pairs, uint32_t max_queue_pairs,
                                   uint32_t possible_cpus, bool is_virtio);

}  // namespace sluice

#endif  // SLUICE_CONTROL_DOCTOR_DOCTOR_H_
