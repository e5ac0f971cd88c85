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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/config/config.h"
#include "control/kernel/affinity.h"
#include "control/kernel/bridge.h"
#include "control/kernel/rx_drops.h"
#include "control/kernel/virtio_device.h"
#include "control/kernel/xdp_attachment.h"
#include "control/port/port.h"
#include "control/port/port_steering.h"
#include "control/state/saved_state.pb.h"

namespace sluice {

struct PortSettings {
  std::string object_dir;  // of the .bpf.o files
  std::string pin_root;    // maps are pinned in pin_root/NETDEV
  uint32_t queue_pairs = 1;
  bool every_frame = false;  // the function wants every frame on the wire, not only unicast to the port's own address
  ModeSetting mode = ModeSetting::kAuto;
  uint32_t flow_buckets = SLUICE_FLOW_BUCKETS;
};

class NetdevPort final : public Port {
 public:
  // `saved`: the device's state as an agent that died before us had found it; then the queue pairs are left as they
  // are. Errors leave the netdev as it was, and say how to go on.
  static absl::StatusOr<std::unique_ptr<Port>> BringUp(const PortConfig& config, const PortSettings& settings,
                                                       const std::optional<SavedPort>& saved);

  PortFds fds() const override;
  const SavedPort& saved() const override { return saved_; }

  uint32_t queue_pairs() const override { return queue_pairs_; }
  absl::Status SetQueuePairs(uint32_t count, absl::Time deadline) override;
  absl::Status SuspendXdp() override;
  absl::Status ResumeXdp() override;
  Reconciled Reconcile() override;
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
  absl::Status SetBlocklist(int trie) override { return steering_.SetBlocklist(trie); }
  absl::StatusOr<UniqueFd> OpenBlocklist() const override { return steering_.maps().OpenBlocklist(); }
  bool HasLocals(const std::vector<sluice_address>& addresses) const override { return steering_.HasLocals(addresses); }
  absl::Status SetLocals(const std::vector<sluice_address>& addresses) override {
    return steering_.SetLocals(addresses);
  }
  absl::Status StartOffload(uint32_t index, const std::vector<uint32_t>& ifindices, uint32_t epoch) override {
    return steering_.StartOffload(index, ifindices, epoch);
  }
  absl::Status StopOffload(uint32_t epoch) override { return steering_.StopOffload(epoch); }
  absl::StatusOr<OffloadState> GetOffloadState() const override { return steering_.GetOffloadState(); }
  absl::Status SetCreditBase(uint32_t queue) override { return steering_.SetCreditBase(queue); }
  absl::Status SetBridgeSocket(int socket) override { return steering_.SetBridgeSocket(socket); }
  absl::StatusOr<sluice_to_kernel_counters> ReadToKernel() const override { return bridge_.ReadToKernel(); }
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
  static absl::StatusOr<Device> Check(const PortConfig& config, const PortSettings& settings,
                                      const std::optional<SavedPort>& saved);
  static absl::StatusOr<Attached> Attach(const Device& device, const PortSettings& settings,
                                         const std::optional<SavedPort>& saved);

  NetdevPort(PortInfo info, Attached attached, SteeringFacts facts, const PortSettings& settings,
             OnDataplaneDown down_policy);
  void ReconcileXdp(Reconciled& out);
  void RememberAsFound(const Device& device);
  void LookForUnreadFrames();

  const PortSettings settings_;
  XdpAttachment xdp_;
  Bridge bridge_;
  PortSteering steering_;
  QueueAffinity affinity_;
  mutable RxDropsWatch rx_drops_;  // keeps the counts of queues that were closed
  OnDataplaneDown down_policy_;
  std::optional<VirtioDevice> virtio_;
  uint32_t queue_pairs_ = 1;
  uint32_t frames_sent_unread_ = 0;
  SavedPort saved_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_PORT_NETDEV_PORT_H_
