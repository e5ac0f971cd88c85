// Facts about the machine and its ports, read from the kernel: the input of every check. Collecting them changes
// nothing. Any thread.
#ifndef SLUICE_CONTROL_DOCTOR_FACTS_H_
#define SLUICE_CONTROL_DOCTOR_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/rx_drops.h"
#include "control/kernel/virtio_device.h"
#include "control/kernel/vlan_tags.h"

namespace sluice {

struct MachineFacts {
  std::string kernel_release;  // uname -r
  bool has_btf = false;        // /sys/kernel/btf/vmlinux
  uint32_t online_cpus = 0;
  uint32_t possible_cpus = 0;             // nr_cpu_ids: virtnet_xdp_set asks for as many queue pairs
  std::optional<uint64_t> memlock_bytes;  // nullopt: unlimited
  bool can_lock_memory = false;           // CAP_IPC_LOCK
};

// An agent's self-test of a port, when it started (control/lanes/self_test.h).
struct SelfTestFact {
  bool complete = false;  // nothing was left out
  std::string words;
};

struct PortFacts {
  std::string name;
  std::string netdev;  // the kernel's name
  std::string driver;
  std::string unfit;  // the reason for which it cannot be a port (device_gate.h); empty: it can
  bool up = false;    // links.h
  bool carrier = false;
  uint32_t mtu_bytes = 0;
  std::optional<uint32_t> frame_size_bytes;  // PortToExamine's
  std::optional<Channels> channels;          // nullopt: the driver cannot say
  uint32_t queue_pairs_wanted = 1;
  bool has_rss = false;
  std::optional<VirtioDevice> virtio;  // nullopt: another driver
  TagPlace tags = TagPlace::kInFrame;
  bool xdp_is_skb = false;                 // an XDP program runs in generic mode
  uint32_t frames_sent_unread = 0;         // virtio_device.h
  std::optional<RxDrops> rx_drops;         // nullopt: the driver does not count them
  std::optional<uint64_t> dropped_in_xdp;  // PortToExamine's
  std::optional<SelfTestFact> self_test;   // PortToExamine's
  // irq_cpus[q]: the CPUs that queue q's interrupts may go to; empty when it has no interrupt.
  std::vector<std::vector<uint32_t>> irq_cpus;
};

struct PortToExamine {
  std::string name;
  std::string netdev;
  uint32_t queue_pairs_wanted = 1;
  // The frames that the agent's lanes have; nullopt: there is no agent, and so there are no lanes.
  std::optional<uint32_t> frame_size_bytes;
  // Frames that XDP dropped and that are accounted for elsewhere (by rules, say); nullopt: unknown.
  std::optional<uint64_t> dropped_in_xdp;
  std::optional<SelfTestFact> self_test;  // nullopt: none since the agent started, or no agent
};

// Errors: the call or file that failed, with errno's text.
absl::StatusOr<MachineFacts> CollectMachineFacts();
// NotFound when there is no such netdev. A fact that the driver cannot tell is left out, and is no error.
absl::StatusOr<PortFacts> CollectPortFacts(const PortToExamine& port);

}  // namespace sluice

#endif  // SLUICE_CONTROL_DOCTOR_FACTS_H_
