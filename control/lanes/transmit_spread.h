// By which lanes frames leave. As a rule by the lane they came by, of lanes [0, count). After the number of lanes grew,
// for a while each flow by a lane of its own (Spread), so that a device that brings a flow to the queue its other
// direction left by moves running flows to the fresh lanes (drivers/net/tun.c: tun_flow_update).
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

namespace sluice {

class TransmitSpread {
 public:
  // Borrows all.
  TransmitSpread(const PortSet& ports, const LaneSet& lanes, DataplaneClient& dataplane)
      : ports_(ports), lanes_(lanes), dataplane_(dataplane) {}

  uint32_t count() const { return count_; }
  // Flows are being spread, until Tick() ends it.
  bool spreading() const { return spread_for_.has_value(); }

  // Takes over what the dataplane was told already, or is to be told.
  void Adopt(uint32_t count);
  // Tells the dataplane, while no traffic runs.
  absl::Status Set(uint32_t count) { return Tell(count, /*every_lane=*/false); }
  // Tells it while traffic runs: what was sent before is out when others send.
  absl::Status Change(uint32_t count);
  absl::Status Spread(absl::Time now);
  // Once a second or so: ends the spreading when its time is over. Without a dataplane it only takes note of the time.
  void Tick(absl::Time now);

 private:
  absl::Status Tell(uint32_t count, bool every_lane);
  absl::Status TellFenced(uint32_t count, bool every_lane);

  const PortSet& ports_;
  const LaneSet& lanes_;
  DataplaneClient& dataplane_;
  uint32_t count_ = 0;
  std::optional<absl::Duration> spread_for_;  // what is left of it
  absl::Time last_tick_ = absl::InfinitePast();
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_TRANSMIT_SPREAD_H_
