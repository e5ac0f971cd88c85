// The steps of a resize plan, carried out on a running Instance. resize_plan.h says what each one is for.
//
// Why the window loses little: the bridge's clsact program has been there all along, so the moment XDP is
// off the kernel hands it the packets; surviving lanes keep their sockets and transmit throughout; and
// flows of lanes that go were moved to survivors before (SetTransmitLanes: tun.c steers a flow's receive
// side to the queue its other direction was last sent on).
//
// Why it keeps order: where packets change the lane they come by (XDP off and on, lanes that close, RSS tables) or
// leave by (SetTransmitLanes), the lanes they change to are held back until the others are empty
// (dataplane/process/fence.h).
#ifndef SLUICE_CONTROL_AGENT_LIVE_RESIZE_H_
#define SLUICE_CONTROL_AGENT_LIVE_RESIZE_H_

#include <cstdint>
#include <vector>

#include "control/agent/instance.h"
#include "control/resize/resize_run.h"

namespace sluice {

class LiveResize : public ResizeActions {
 public:
  explicit LiveResize(Instance& instance)
      : instance_(instance), spread_over_(instance.active_pairs()), on_bridges_before_(instance.OnTheBridges()) {}

  absl::Status Do(const Step& step, absl::Time deadline) override;
  absl::Status Undo(const Step& step) override;
  std::vector<TimedCall> TakeCalls() override { return instance_.calls_.Take(); }

 private:
  absl::Status CloseLanes(uint32_t first, uint32_t end, absl::Time deadline);
  absl::Status WaitQuiet(uint32_t first, uint32_t end, absl::Time deadline);
  absl::Status SetChannels(uint32_t port, uint32_t pairs, absl::Time deadline);
  void RewriteRssTables();
  absl::Status SetXdp(bool on);
  absl::Status SwitchXdp(bool on);
  absl::Status SwitchXdpOfPorts(bool on);
  void WaitForBridges();
  absl::Status SetSpread(uint32_t from, uint32_t to);
  absl::Status SwitchSpread(uint32_t from, uint32_t to);
  void PollQueues(const std::vector<uint32_t>& lanes);
  // The pair lanes there are in [first, end).
  std::vector<uint32_t> Lanes(uint32_t first, uint32_t end) const;

  Instance& instance_;
  uint32_t spread_over_;             // pairs that RSS tables use, where there are any
  const int64_t on_bridges_before_;  // not 0 when a veth ring once overflowed
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_LIVE_RESIZE_H_
