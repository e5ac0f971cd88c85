// One port of the network function, as the agent's other objects see it: the device (XDP, channels, RSS table,
// interrupts) and its BPF maps (rules, addresses, blocklist, offload, policy while no dataplane runs).
//
// NetdevPort is the real one; tests put ports in memory in its place. Errors name the port and carry the kernel's
// reason; a call that fails has changed nothing, unless it says otherwise. One thread.
#ifndef SLUICE_CONTROL_PORT_PORT_H_
#define SLUICE_CONTROL_PORT_PORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/config/config.h"
#include "control/kernel/rx_drops.h"
#include "control/rules/active_rules.h"
#include "control/rules/source_list.h"
#include "control/rules/steering_maps.h"
#include "control/state/saved_state.pb.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/self_test_frame.h"

namespace sluice {

// Facts that do not change while the port is up.
struct PortInfo {
  std::string name;    // as the configuration calls it
  std::string netdev;  // the kernel's name, also when the configuration has an alternative one
  std::string driver;
  std::string bridge_netdev;  // the bridge's far end, where the bridge lane's socket is bound
  uint32_t ifindex = 0;
  uint32_t mtu_bytes = 0;
  uint32_t frame_size_bytes = 2048;  // a UMEM chunk that holds a frame of that MTU
  uint32_t max_pairs = 1;
  std::string why_one_pair;   // when max_pairs is 1: the reason users are told
  uint32_t flow_buckets = 0;  // of the offload table; 0: a table of odd size, which cannot be used
  bool is_virtio = false;
  bool has_rss = false;
  bool offers_guest_offloads = false;          // virtio_device.h
  bool sends_stray_zero_copy_headers = false;  // virtio_device.h
  bool adopted_xdp = false;                    // the steering program was there before the first agent, and stays
  bool xdp_was_off = false;  // an agent that died had taken the program off; bringing the port up put it on again

  // The device gives a flow to the pair that its other direction was last sent on (drivers/net/tun.c:
  // tun_flow_update).
  bool FlowsFollowTransmit() const { return is_virtio && !has_rss; }
  // The device spreads packets by its table, but the host's own queues before it may do the former: QEMU without eBPF
  // (hw/net/virtio-net.c: virtio_net_process_rss) reads one tap queue after the other.
  bool HostMayMixFlows() const { return is_virtio && has_rss; }
};

// Descriptors for the dataplane. Borrowed; they live as long as the port.
struct PortFds {
  int xsks = -1;         // the XSKMAP, keyed by receive queue
  int bridge_xsks = -1;  // the XSKMAP of the bridge's far end; the socket goes in at key 0
  int flows = -1;        // the offload table's two maps
  int details = -1;
  int credit = -1;  // bpf/credit.h
};

// The outcome of comparing a port with the kernel; each text is a clause without the port's name.
struct Reconciled {
  std::vector<std::string> repaired;
  std::vector<std::string> degraded;  // differences that are left
  bool attached_xdp = false;          // a virtio device may have lost its RSS table (PortSet::WriteRssTables)
  bool renamed = false;               // saved() names it otherwise now
  absl::Status programs;              // the error, when our programs do not see the port's packets
};

// The outcome of a self-test.
struct SelfTestNote {
  bool complete = false;  // nothing was left out
  std::string words;
};

class Port {
 public:
  virtual ~Port() = default;

  const PortInfo& info() const { return info_; }
  const std::string& name() const { return info_.name; }
  const std::string& netdev() const { return info_.netdev; }
  virtual PortFds fds() const = 0;
  // The device's state before the first agent; the last agent puts it back.
  virtual const SavedPort& saved() const = 0;

  // --- the device

  virtual uint32_t queue_pairs() const = 0;
  // DeadlineExceeded or FailedPrecondition while a closed socket still holds a queue that is to go.
  virtual absl::Status SetQueuePairs(uint32_t count, SteadyTime deadline) = 0;
  // Takes the steering program off the device and puts it back. Doing either twice is no error.
  virtual absl::Status SuspendXdp() = 0;
  virtual absl::Status ResumeXdp() = 0;
  // Compares the device with what bringing it up made of it, puts back what somebody has taken away since, and reads
  // again which other programs are in the dispatcher. `frame_size_bytes`: of the lanes; nullopt: there is none yet.
  virtual Reconciled Reconcile(std::optional<uint32_t> frame_size_bytes) = 0;
  // True from the Reconcile() on that found no such device, until TakeBack().
  virtual bool gone() const = 0;
  // Takes the device of the configured name in place of the one that is gone, with as many queue pairs as that had if
  // it can have them. Sockets of the former one are of no use. NotFound: it is not there yet.
  virtual absl::Status TakeBack() = 0;
  virtual uint32_t other_xdp_programs() const = 0;
  virtual bool xdp_is_native() const = 0;
  // Frames of a transmit queue that count as sent before the device has read them, as of the last time XDP came or
  // went (virtio_device.h); mostly 0.
  virtual uint32_t frames_sent_unread() const = 0;
  // Has queues [0, count) share the RSS table evenly. Only where info().has_rss.
  virtual absl::Status SpreadOver(uint32_t count) = 0;
  // Adds to saved() the settings that PlaceQueues() will change for that many queues.
  virtual void RememberPlacement(uint32_t queues) = 0;
  // Queue q's interrupts and its transmit queue go to cpus[q]. Queues that cannot be placed are named in the error,
  // the others are placed all the same.
  virtual absl::Status PlaceQueues(const std::vector<uint32_t>& cpus) = 0;
  // Frames that the driver dropped; nullopt: it does not count them.
  virtual std::optional<RxDrops> rx_drops() const = 0;

  // --- its maps

  // Writes the local addresses and groups, and starts steering, in one map update.
  virtual absl::Status Activate() = 0;
  // Steers again after ApplyDownPolicy().
  virtual absl::Status Resteer() = 0;
  // Fills the bank of rules that is not in force with those for this port. Between the last FlipRules() and this, a
  // grace period must have passed (RcuWaiter::Wait).
  virtual absl::Status FillIdleRules(const std::vector<ActiveRule>& rules) = 0;
  // Puts the other bank in force: one write to an array. A second call takes the first back.
  virtual absl::Status FlipRules() = 0;
  virtual absl::StatusOr<sluice_rule_hits> ReadHits(uint32_t index) const = 0;
  // Puts a trie of sources in force; -1: none. Returns when no packet is looked up in the former one any more.
  virtual absl::Status SetList(ListKind kind, int trie) = 0;
  // The trie in force; an empty descriptor when there is none.
  virtual absl::StatusOr<UniqueFd> OpenList(ListKind kind) const = 0;
  // Both for a trie that is in force no more, and that the next agent may put back; -1, empty: none.
  virtual absl::Status SetFormerList(ListKind kind, int trie) = 0;
  virtual absl::StatusOr<UniqueFd> OpenFormerList(ListKind kind) const = 0;
  // Returns the multicast groups of whose packets the guest's own stack gets a copy (kernel/joined_groups.h); none
  // where the function leaves it all multicast packets.
  virtual absl::StatusOr<std::vector<sluice_address>> JoinedGroups() const = 0;
  // Makes the sets of the guest's own addresses and groups exactly this. Cheap when nothing changed.
  virtual bool HasLocals(const Locals& locals) const = 0;
  virtual absl::Status SetLocals(const Locals& locals) = 0;

  // Has XDP send the packets of flows that were offloaded in this epoch, or of none. One write to an array: a packet
  // that XDP is looking at may still follow the former state. `ifindices`: of all ports; `index` is this one's place
  // among them.
  virtual absl::Status StartOffload(uint32_t index, const std::vector<uint32_t>& ifindices, uint32_t epoch) = 0;
  virtual absl::Status StopOffload(uint32_t epoch) = 0;
  struct OffloadState {
    bool on = false;
    uint32_t epoch = 0;  // the last one there was
  };
  // As the map has it, which may outlive an agent.
  virtual absl::StatusOr<OffloadState> GetOffloadState() const = 0;
  // Notes that no packet has been given to the queue's new socket yet, which must not be in the XSKMAP.
  virtual absl::Status SetCreditBase(uint32_t queue) = 0;

  // Lets frames that the dataplane gives to the kernel pass: `socket` is the bridge lane's for the far end of this
  // port's bridge (bpf/to_kernel.h). It need not be bound yet, and should not: its first frames would be strays.
  virtual absl::Status SetBridgeSocket(int socket) = 0;
  // Frames at the near end of the bridge: those that went on to the kernel, and strays. Since the program was loaded.
  virtual absl::StatusOr<sluice_to_kernel_counters> ReadToKernel() const = 0;

  // Runs the port's XDP program on a self-test's frame, as received on the queue, and returns what it noted
  // (bpf/self_test.h). Only before Activate(): Unimplemented when the port steers already, since a running queue's
  // socket has another producer then. With `live` the frame goes on to the socket, on queue 0 alone
  // (XdpAttachment::Run).
  virtual absl::StatusOr<sluice_self_test> TestQueue(uint32_t queue, const SelfTestToken& token, bool live) = 0;
  // The last self-test's; nullopt: none since this agent started.
  const std::optional<SelfTestNote>& self_test() const { return self_test_; }
  void set_self_test(SelfTestNote note) { self_test_ = std::move(note); }

  // The policy for the function's packets while no dataplane runs.
  virtual OnDataplaneDown down_policy() const = 0;
  virtual void SetDownPolicy(OnDataplaneDown policy) = 0;
  // Puts the policy in force for queues [0, queue_pairs).
  virtual absl::Status ApplyDownPolicy(uint32_t queue_pairs) = 0;

  // Summed over CPUs, since the program was loaded.
  virtual absl::StatusOr<sluice_counters> ReadCounters(uint32_t queue) const = 0;
  // Packets of queues [first, end) that ended in `verdict`; queues that cannot be read count as none.
  uint64_t Packets(sluice_verdict verdict, uint32_t first, uint32_t end) const;
  // Returns the packets of queues [first, end) that clsact put into the bridge, also if the kernel got a copy.
  uint64_t BridgedPackets(uint32_t first, uint32_t end) const {
    return Packets(SLUICE_VERDICT_BRIDGED, first, end) + Packets(SLUICE_VERDICT_BOTH, first, end);
  }

  // Puts the device back as it was found. Goes on past errors and returns the first.
  virtual absl::Status TakeDown() = 0;

 protected:
  explicit Port(PortInfo info) : info_(std::move(info)) {}

  PortInfo info_;

 private:
  std::optional<SelfTestNote> self_test_;
};

// Returns the error with the port's name in front.
absl::Status OnPort(const std::string& netdev, const absl::Status& s);

}  // namespace sluice

#endif  // SLUICE_CONTROL_PORT_PORT_H_
