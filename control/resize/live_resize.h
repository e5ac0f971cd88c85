// Carries out the steps of a resize plan on the running network function. resize_plan.h explains each step.
//
// The window loses few packets: the bridge's clsact program is always attached, so the kernel gives it the packets from
// the moment XDP is off. Lanes that stay keep their sockets and transmit throughout. Flows of lanes that go were moved
// to them before (SetTransmitLanes; drivers/net/tun.c: tun_flow_update brings a flow to the queue on which its other
// direction was last sent).
//
// Packets keep their order: where they change the lane by which they come (XDP off and on, lanes that close, RSS
// tables) or leave (SetTransmitLanes), the lanes to which they change are held back until the others are empty
// (dataplane/process/fence.h).
//
// One object for one run of a plan. One thread; a step blocks for as long as it takes, within the bounds of its parts.
#ifndef SLUICE_CONTROL_RESIZE_LIVE_RESIZE_H_
#define SLUICE_CONTROL_RESIZE_LIVE_RESIZE_H_

#include <cstdint>
#include <vector>

#include "control/resize/resize_costs.h"
#include "control/resize/resize_objects.h"
#include "control/resize/resize_run.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

class LiveResize : public ResizeActions {
 public:
  // `active_pairs`: the pairs that get traffic before the plan runs.
  LiveResize(const ResizeObjects& objects, uint32_t active_pairs)
      : o_(objects), spread_over_(active_pairs), on_bridges_before_(FramesOnBridges(objects)) {}

  absl::Status Do(const Step& step, SteadyTime deadline) override;
  // Ok also when the dataplane died over it: its successor is given the state that this leaves.
  absl::Status Undo(const Step& step) override;
  std::vector<TimedCall> TakeCalls() override { return o_.calls.Take(); }
  // Returns the number of packets that the host may have brought out of order when their flows moved.
  uint64_t mixed_by_host() const { return mixed_by_host_; }

 private:
  absl::Status Reverse(const Step& step);
  absl::Status CloseLanes(uint32_t first, uint32_t end, SteadyTime deadline);
  absl::Status WaitQuiet(uint32_t first, uint32_t end, SteadyTime deadline);
  absl::Status SetChannels(uint32_t port, uint32_t pairs, SteadyTime deadline);
  void RewriteRssTables();
  absl::Status SetXdp(bool on);
  absl::Status SwitchXdp(bool on);
  absl::Status SwitchXdpOfPorts(bool on);
  void WaitForBridges();
  absl::Status SetSpread(uint32_t from, uint32_t to);
  void PollQueues(const std::vector<uint32_t>& lanes);
  void CountMixedByHost(const std::vector<uint32_t>& fresh);

  const ResizeObjects o_;
  uint32_t spread_over_;             // pairs that RSS tables use, where there are any
  const int64_t on_bridges_before_;  // not 0 when a veth ring once overflowed
  uint64_t mixed_by_host_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_LIVE_RESIZE_H_
