// A port on a network device: its steering program, the program's maps, its bridge, and the device's state as the first
// agent found it.
//
//   BringUp:  check ─ link up ─ XDP attached, inactive ─ channels ─ maps ─ bridge      (passes every packet)
//   Activate: addresses, then ACTIVE in one map update                                 (steers)
//   TakeDown: the reverse, and the device as it was found
//
// Ownership: the destructor changes nothing in the kernel, so that traffic flows on without the agent. TakeDown()
// removes. One thread.
#ifndef SLUICE_CONTROL_PORT_NETDEV_PORT_H_
#define SLUICE_CONTROL_PORT_NETDEV_PORT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/config/config.h"
#include "control/kernel/affinity.h"
#include "control/kernel/bridge.h"
#include "control/kernel/netdev_lock.h"
#include "control/kernel/rx_drops.h"
#include "control/kernel/virtio_device.h"
#include "control/kernel/xdp_attachment.h"
#include "control/port/device_queues.h"
#include "control/port/port.h"
#include "control/port/port_steering.h"
#include "control/state/saved_state.pb.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

struct PortSettings {
  std::string object_dir;  // of the .bpf.o files
  std::string pin_root;    // maps are pinned in pin_root/PinFolder(netdev)...
  std::string pin_dir;     // ...unless this names a folder
  uint32_t queue_pairs = 1;
  bool every_frame = false;  // the function wants every frame on the wire, not only unicast to the port's own address
  ModeSetting mode = ModeSetting::kAuto;
  uint32_t flow_buckets = SLUICE_FLOW_BUCKETS;
  // A dataplane that an earlier agent left has lanes on the ports, whether that agent's state is known or not.
  bool has_survivor = false;
};

class NetdevPort final : public Port {
 public:
  using Save = absl::FunctionRef<void(const SavedPort&)>;

  // `saved`: the device's state as an agent that died before us had found it; then the queue pairs are left as they
  // are. `save` is called with what saved() is going to be, before the device is changed. Errors leave the netdev as it
  // was, and say how to go on.
  static absl::StatusOr<std::unique_ptr<Port>> BringUp(const PortConfig& config, const PortSettings& settings,
                                                       const std::optional<SavedPort>& saved, Save save);
  // Puts a device back as an agent had found it that died while it brought the port up or took it down, or whose port
  // is not wanted any more. No dataplane may have sockets on it. A device that is gone is put back.
  static absl::Status PutBack(const SavedPort& saved);

  PortFds fds() const override;
  const SavedPort& saved() const override { return saved_; }

  uint32_t queue_pairs() const override { return queues_.pairs(); }
  absl::Status SetQueuePairs(uint32_t count, SteadyTime deadline) override;
  absl::Status SuspendXdp() override;
  absl::Status ResumeXdp() override;
  Reconciled Reconcile(std::optional<uint32_t> frame_size_bytes) override;
  bool gone() const override { return gone_; }
  absl::Status TakeBack() override;
  uint32_t other_xdp_programs() const override { return xdp_.other_programs(); }
  bool xdp_is_native() const override { return xdp_.mode() == XdpMode::kNative; }
  uint32_t frames_sent_unread() const override { return frames_sent_unread_; }
  absl::Status SpreadOver(uint32_t count) override;
  void RememberPlacement(uint32_t queues) override;
  absl::Status PlaceQueues(const std::vector<uint32_t>& cpus) override;
  std::optional<RxDrops> rx_drops() const override { return rx_drops_.Read(); }

  absl::Status Activate() override { return steering_.Activate(); }
  absl::Status Resteer() override { return steering_.Resteer(); }
  absl::Status FillIdleRules(const std::vector<ActiveRule>& rules) override { return steering_.FillIdleRules(rules); }
  absl::Status FlipRules() override { return steering_.FlipRules(); }
  absl::StatusOr<sluice_rule_hits> ReadHits(uint32_t index) const override { return steering_.maps().ReadHits(index); }
  absl::Status SetList(ListKind kind, int trie) override { return steering_.SetList(kind, trie); }
  absl::StatusOr<UniqueFd> OpenList(ListKind kind) const override { return steering_.maps().OpenList(kind); }
  absl::Status SetFormerList(ListKind kind, int trie) override { return steering_.SetFormerList(kind, trie); }
  absl::StatusOr<UniqueFd> OpenFormerList(ListKind kind) const override {
    return steering_.maps().OpenFormerList(kind);
  }
  absl::StatusOr<std::vector<sluice_address>> JoinedGroups() const override { return steering_.JoinedGroups(); }
  bool HasLocals(const Locals& locals) const override { return steering_.HasLocals(locals); }
  absl::Status SetLocals(const Locals& locals) override { return steering_.SetLocals(locals); }
  absl::Status StartOffload(uint32_t index, const std::vector<uint32_t>& ifindices, uint32_t epoch) override {
    return steering_.StartOffload(index, ifindices, epoch);
  }
  absl::Status StopOffload(uint32_t epoch) override { return steering_.StopOffload(epoch); }
  absl::StatusOr<OffloadState> GetOffloadState() const override { return steering_.GetOffloadState(); }
  absl::Status SetCreditBase(uint32_t queue) override { return steering_.SetCreditBase(queue); }
  absl::Status SetBridgeSocket(int socket) override { return steering_.SetBridgeSocket(socket); }
  absl::StatusOr<sluice_to_kernel_counters> ReadToKernel() const override { return bridge_.ReadToKernel(); }
  absl::StatusOr<sluice_self_test> TestQueue(uint32_t queue, const SelfTestToken& token, bool live) override;
  OnDataplaneDown down_policy() const override { return down_policy_; }
  void SetDownPolicy(OnDataplaneDown policy) override { down_policy_ = policy; }
  absl::Status ApplyDownPolicy(uint32_t queue_pairs) override {
    return steering_.ApplyDownPolicy(down_policy_, queue_pairs);
  }
  absl::StatusOr<sluice_counters> ReadCounters(uint32_t queue) const override {
    return steering_.maps().ReadCounters(queue);
  }

  absl::Status TakeDown() override;

 private:
  // The kernel objects that BringUp() attached.
  struct Attached {
    XdpAttachment xdp;
    SteeringMaps maps;
    Bridge bridge;
    QueueAffinity affinity;
  };
  struct Device;
  // All that a device which was brought up is to the port.
  struct Parts {
    std::optional<NetdevLock> lock;  // nullopt: this process has it elsewhere (device_locks.h)
    PortInfo info;
    Attached attached;
    SteeringFacts facts;
    std::optional<VirtioDevice> virtio;
    uint32_t queue_pairs = 1;
    SavedPort saved;
  };
  static absl::StatusOr<Device> Check(const PortConfig& config, const PortSettings& settings,
                                      const std::optional<SavedPort>& saved);
  static SavedPort AsFound(const Device& device, const PortConfig& config, const PortSettings& settings,
                           const std::optional<SavedPort>& saved);
  static absl::StatusOr<Attached> Attach(const Device& device, const PortSettings& settings, const SavedPort& as_found,
                                         bool takes_over);
  static absl::StatusOr<Parts> Make(const PortConfig& config, const PortSettings& settings,
                                    const std::optional<SavedPort>& saved, Save save);

  NetdevPort(Parts parts, PortConfig config, PortSettings settings);
  absl::StatusOr<Link> Follow();
  absl::Status ReconcileXdp(Reconciled& out);
  bool PacketsPassXdpBy();
  absl::Status WakeXdp(Reconciled& out);
  absl::Status ReconcilePrograms(const Link& link, Reconciled& out);
  absl::Status ReconcilePins(Reconciled& out);
  void ReconcileQueues(Reconciled& out);
  absl::StatusOr<bool> ReconcileQueuePairs(Reconciled& out);
  absl::Status TakeDownRemains();
  void LookForUnreadFrames();

  const PortConfig config_;
  const PortSettings settings_;
  std::optional<NetdevLock> lock_;
  XdpAttachment xdp_;
  Bridge bridge_;
  PortSteering steering_;
  DeviceQueues queues_;
  mutable RxDropsWatch rx_drops_;  // keeps the counts of queues that were closed
  OnDataplaneDown down_policy_;
  std::optional<VirtioDevice> virtio_;
  uint32_t frames_sent_unread_ = 0;
  // Of the last looks at the programs' counters (PacketsPassXdpBy).
  uint64_t bridged_before_ = 0, seen_before_ = 0;
  int looks_passed_by_ = 0;
  bool woke_xdp_ = false;  // in vain, as long as XDP sees no packet
  SavedPort saved_;
  bool gone_ = false;
  absl::Status pairs_stay_;   // the error of the attempt to set the number of queue pairs again
  std::string why_not_back_;  // the last error of TakeBack()
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_PORT_NETDEV_PORT_H_
