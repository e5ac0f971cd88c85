// A port's BPF configuration: rules, blocklist, local addresses, offload, and the policy while no dataplane runs. All
// but the first three are in one element of an array, the config, which is replaced as a whole.
//
// Errors name the port. One thread.
#ifndef SLUICE_CONTROL_PORT_PORT_STEERING_H_
#define SLUICE_CONTROL_PORT_PORT_STEERING_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "control/config/config.h"
#include "control/port/port.h"
#include "control/rules/active_rules.h"
#include "control/rules/steering_maps.h"

namespace sluice {

// Facts that the programs need to steer.
struct SteeringFacts {
  std::array<uint8_t, 6> mac{};
  bool own_mac_only = false;  // the function wants unicast frames to the port's own address only
  bool xdp_is_skb = false;
  bool tags_beside_frames = false;  // TagPlace::kBesideFrame
  uint32_t bridge_ifindex = 0;
  uint32_t own_ifindex = 0;
};

class PortSteering {
 public:
  PortSteering(std::string name, std::string netdev, SteeringFacts facts, SteeringMaps maps)
      : name_(std::move(name)), netdev_(std::move(netdev)), facts_(facts), maps_(std::move(maps)) {}

  const SteeringMaps& maps() const { return maps_; }

  // For error texts, when the device has another name.
  void Rename(std::string netdev) { netdev_ = std::move(netdev); }
  // Takes over a MAC address or a bridge that changed while it steers.
  absl::Status Follow(const std::array<uint8_t, 6>& mac, uint32_t bridge_ifindex);

  // The functions of Port.
  absl::Status Activate();
  absl::Status Resteer();
  absl::Status FillIdleRules(const std::vector<ActiveRule>& rules);
  absl::Status FlipRules() { return OnPort(netdev_, maps_.FlipRules()); }
  absl::Status SetList(ListKind kind, int trie) { return OnPort(netdev_, maps_.SetList(kind, trie)); }
  absl::Status SetFormerList(ListKind kind, int trie) { return OnPort(netdev_, maps_.SetFormerList(kind, trie)); }
  // Leaves no list, in maps that may outlive the port. Goes on past errors and returns the first.
  absl::Status ClearLists();
  absl::StatusOr<std::vector<sluice_address>> JoinedGroups() const;
  bool HasLocals(const Locals& locals) const;
  absl::Status SetLocals(const Locals& locals);
  absl::Status StartOffload(uint32_t index, const std::vector<uint32_t>& ifindices, uint32_t epoch);
  absl::Status StopOffload(uint32_t epoch);
  absl::StatusOr<Port::OffloadState> GetOffloadState() const;
  absl::Status SetBridgeSocket(int socket);
  // Gives `run` the frame to run the program on; the program looks for that meanwhile.
  absl::StatusOr<sluice_self_test> TestQueue(uint32_t queue, const SelfTestToken& token, bool live,
                                             absl::FunctionRef<absl::Status(absl::Span<const uint8_t>)> run);
  absl::Status SetCreditBase(uint32_t queue) { return OnPort(netdev_, maps_.SetCreditBase(queue)); }
  absl::Status ApplyDownPolicy(OnDataplaneDown policy, uint32_t queue_pairs);

  // Passes every packet from now on. The epoch stays: flows of it may outlive us, and must not come back.
  absl::Status Stop();

 private:
  absl::Status ChangeConfig(absl::FunctionRef<void(sluice_config&)> change);

  std::string name_, netdev_;
  SteeringFacts facts_;
  SteeringMaps maps_;
  std::optional<Locals> locals_;  // as written
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_PORT_PORT_STEERING_H_
