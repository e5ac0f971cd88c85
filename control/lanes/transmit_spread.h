// The lanes by which frames leave. As a rule a frame leaves by the lane it came by, of lanes [0, count). After the
// number of lanes grew, each flow leaves for a while by the lane of its hash (Spread): a device that brings a flow to
// the queue by which its other direction left then moves running flows to the fresh lanes (drivers/net/tun.c:
// tun_flow_update).
//
// One thread. Errors are the dataplane's.
#ifndef SLUICE_CONTROL_LANES_TRANSMIT_SPREAD_H_
#define SLUICE_CONTROL_LANES_TRANSMIT_SPREAD_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control/dataplane/dataplane_client.h"
#include "control/lanes/lane_set.h"
#include "control/port/port_set.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

class TransmitSpread {
 public:
  // Borrows all.
  TransmitSpread(const PortSet& ports, const LaneSet& lanes, DataplaneClient& dataplane)
      : ports_(ports), lanes_(lanes), dataplane_(dataplane) {}

  uint32_t count() const { return count_; }
  // True while flows are being spread, until Tick() ends that.
  bool spreading() const { return spread_for_.has_value(); }

  // Takes over the number that the dataplane was told already, or will be told by Set().
  void Adopt(uint32_t count);
  // Tells the dataplane, while no traffic runs.
  absl::Status Set(uint32_t count) { return Tell(count, /*every_lane=*/false); }
  // Tells it while traffic runs: frames sent before are out when other lanes send.
  absl::Status Change(uint32_t count);
  absl::Status Spread(SteadyTime now);
  // Once a second or so: ends the spreading when its time is over. Without a dataplane it only takes note of the time.
  void Tick(SteadyTime now);

 private:
  absl::Status Tell(uint32_t count, bool every_lane);
  absl::Status TellFenced(uint32_t count, bool every_lane);

  const PortSet& ports_;
  const LaneSet& lanes_;
  DataplaneClient& dataplane_;
  uint32_t count_ = 0;
  std::optional<absl::Duration> spread_for_;  // the rest of the time
  SteadyTime last_tick_ = SteadyTime::InfinitePast();
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_TRANSMIT_SPREAD_H_
