// The steps of a resize plan, carried out on the running network function. resize_plan.h says what each one is for.
//
// Why the window loses little: the bridge's clsact program has been there all along, so the moment XDP is off the
// kernel hands it the packets. Surviving lanes keep their sockets and transmit throughout. Flows of lanes that go were
// moved to survivors before (SetTransmitLanes: tun.c steers a flow's receive side to the queue its other direction was
// last sent on).
//
// Why it keeps order: where packets change the lane they come by (XDP off and on, lanes that close, RSS tables) or
// leave by (SetTransmitLanes), the lanes they change to are held back until the others are empty
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

namespace sluice {

class LiveResize : public ResizeActions {
 public:
  // `active_pairs`: that get traffic before the plan runs.
  LiveResize(const ResizeObjects& objects, uint32_t active_pairs)
      : o_(objects), spread_over_(active_pairs), on_bridges_before_(FramesOnBridges(objects)) {}

  absl::Status Do(const Step& step, absl::Time deadline) override;
  // Ok also when the dataplane died over it: its successor is given the state that this leaves.
  absl::Status Undo(const Step& step) override;
  std::vector<TimedCall> TakeCalls() override { return o_.calls.Take(); }

 private:
  absl::Status Reverse(const Step& step);
  absl::Status CloseLanes(uint32_t first, uint32_t end, absl::Time deadline);
  absl::Status WaitQuiet(uint32_t first, uint32_t end, absl::Time deadline);
  absl::Status SetChannels(uint32_t port, uint32_t pairs, absl::Time deadline);
  void RewriteRssTables();
  absl::Status SetXdp(bool on);
  absl::Status SwitchXdp(bool on);
  absl::Status SwitchXdpOfPorts(bool on);
  void WaitForBridges();
  absl::Status SetSpread(uint32_t from, uint32_t to);
  void PollQueues(const std::vector<uint32_t>& lanes);

  const ResizeObjects o_;
  uint32_t spread_over_;             // pairs that RSS tables use, where there are any
  const int64_t on_bridges_before_;  // not 0 when a veth ring once overflowed
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_LIVE_RESIZE_H_
