// One port of the network function, as the agent holds it: netdev, steering program, its maps, bridge,
// and what the device was like before we came.
//
//   BringUp: link up ─ channels ─ XDP attached, inactive ─ maps ─ bridge      (passes everything)
//   Activate: rules, addresses, then ACTIVE in one map update                 (steers)
//   TakeDown: the reverse, and the device as it was found
//
// Ownership: nothing in the kernel goes when the object goes (traffic flows on without the agent);
// TakeDown() is what removes. One thread.
#ifndef SLUICE_CONTROL_PORT_PORT_H_
#define SLUICE_CONTROL_PORT_PORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/config/config.h"
#include "control/kernel/affinity.h"
#include "control/kernel/bridge.h"
#include "control/kernel/links.h"
#include "control/kernel/rx_drops.h"
#include "control/kernel/virtio_device.h"
#include "control/kernel/xdp_attachment.h"
#include "control/rules/active_rules.h"
#include "control/rules/steering_maps.h"
#include "control/state/saved_state.pb.h"

namespace sluice {

struct PortSettings {
  std::string object_dir;  // of the .bpf.o files
  std::string pin_root;    // maps are pinned in pin_root/NETDEV
  uint32_t queue_pairs = 1;
  bool own_mac_only = false;  // the function wants unicast frames to the port's own address only
  bool promiscuous = false;   // the function wants every frame on the wire
  ModeSetting mode = ModeSetting::kAuto;
  uint32_t flow_buckets = SLUICE_FLOW_BUCKETS;
};

// The error, with the port it was on.
absl::Status OnPort(const std::string& netdev, const absl::Status& s);

class AgentPort {
 public:
  // `saved`: what an agent that died before us had found on this netdev, if one did; its queue pairs are
  // then left as they are. Errors leave the netdev as it was, and say what to do.
  static absl::StatusOr<AgentPort> BringUp(const PortConfig& config, const PortSettings& settings,
                                           const std::optional<SavedPort>& saved);

  // Those of them that are for this port, ready beside the ones in force; then in their place, in one step, or back.
  // Between one flip and the next filling: RcuWaiter::Wait().
  absl::Status FillIdleRules(const std::vector<ActiveRule>& rules);
  absl::Status FlipRules() { return OnPort(netdev(), maps_.FlipRules()); }
  // The guest's addresses, then everything in force at once.
  absl::Status Activate();
  // XDP carries the flows that are offloaded in this epoch (dataplane/offload/flow_table.h), or none at all. One write
  // to an array: packets that are under way may still follow what was in force before. `ifindices`: of all ports;
  // `port` is this one's place among them.
  absl::Status CarryFlows(uint32_t port, const std::vector<uint32_t>& ifindices, uint32_t epoch);
  absl::Status CarryNoFlows(uint32_t epoch);
  absl::Status SetCreditBase(uint32_t queue) { return OnPort(netdev(), maps_.SetCreditBase(queue)); }
  // As the map has it, which may outlive an agent.
  struct FlowState {
    bool carries = false;
    uint32_t epoch = 0;  // the last one there was
  };
  absl::StatusOr<FlowState> GetFlowState() const;
  // What happens to the function's packets while the dataplane is down; Resteer() ends it.
  absl::Status ApplyDownPolicy(uint32_t queue_pairs);
  void SetDownPolicy(OnDataplaneDown policy) { config_.on_dataplane_down = policy; }
  absl::Status Resteer();
  // Keeps the map of the guest's own addresses true. Cheap when nothing changed.
  bool HasLocals(const std::vector<sluice_address>& addresses) const;
  absl::Status RefreshLocals(const std::vector<sluice_address>& addresses);

  // Looks again who else is in the dispatcher.
  absl::Status RefreshXdp() { return xdp_.Refresh(); }
  absl::Status SuspendXdp();
  absl::Status ResumeXdp();
  absl::Status SetQueuePairs(uint32_t count, absl::Time deadline);
  // Queues [0, count) share the RSS table evenly.
  absl::Status SpreadOver(uint32_t count);
  // What PlaceQueues() will change for that many queues is in saved() from now on.
  void RememberPlacement(uint32_t queues);
  absl::Status PlaceQueues(const std::vector<uint32_t>& cpus);
  // Frames of queues [first, end) that went to the bridge, since the program was loaded.
  uint64_t BridgedFrames(uint32_t first, uint32_t end) const;

  absl::Status TakeDown();

  const PortConfig& config() const { return config_; }
  const std::string& netdev() const { return config_.netdev; }
  const std::string& driver() const { return driver_; }
  const Link& link() const { return link_; }
  const XdpAttachment& xdp() const { return xdp_; }
  const SteeringMaps& maps() const { return maps_; }
  // The trie of blocked sources; -1: none.
  absl::Status SetBlocklist(int trie) { return OnPort(netdev(), maps_.SetBlocklist(trie)); }
  const Bridge& bridge() const { return bridge_; }
  const std::optional<VirtioDevice>& virtio() const { return virtio_; }
  bool SendsStrayZeroCopyHeaders() const { return virtio_.has_value() && virtio_->SendsStrayZeroCopyHeaders(); }
  uint32_t max_pairs() const { return max_pairs_; }
  uint32_t queue_pairs() const { return queue_pairs_; }
  const std::string& why_one_pair() const { return why_one_pair_; }
  bool has_rss() const { return has_rss_; }
  // An agent that died had taken the program off, and BringUp put it on again.
  bool xdp_was_off() const { return xdp_was_off_; }
  // As found when XDP was last taken off or put on (virtio_device.h).
  uint32_t frames_sent_unread() const { return frames_sent_unread_; }
  uint32_t frame_size_bytes() const { return frame_size_bytes_; }
  const SavedPort& saved() const { return saved_; }
  std::optional<RxDrops> rx_drops() const { return rx_drops_.Read(); }

 private:
  void LookForUnreadFrames();

  AgentPort(PortConfig config, XdpAttachment xdp, SteeringMaps maps, Bridge bridge)
      : config_(std::move(config)),
        xdp_(std::move(xdp)),
        maps_(std::move(maps)),
        bridge_(std::move(bridge)),
        affinity_(config_.netdev),
        rx_drops_(config_.netdev) {}

  PortConfig config_;
  XdpAttachment xdp_;
  SteeringMaps maps_;
  Bridge bridge_;
  QueueAffinity affinity_;
  mutable RxDropsWatch rx_drops_;  // keeps what it saw
  std::string driver_;
  Link link_;
  std::optional<VirtioDevice> virtio_;
  uint32_t max_pairs_ = 1;
  uint32_t queue_pairs_ = 1;
  std::string why_one_pair_;
  bool has_rss_ = false;
  bool xdp_was_off_ = false;
  bool own_mac_only_ = false;
  uint32_t frame_size_bytes_ = 2048;
  uint32_t frames_sent_unread_ = 0;
  SavedPort saved_;
  std::optional<std::vector<sluice_address>> locals_;  // as written
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_PORT_PORT_H_
