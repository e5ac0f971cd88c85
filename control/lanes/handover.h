// Gives a dataplane everything that it needs, or takes over the lanes that it has:
//
//   fresh      at the start: it is configured, and the lanes are opened with it
//   successor  of one that died: it is configured, and gets the lanes that there are
//   survivor   of an agent that died: it is configured, and gives us the lanes
//
// One thread. Blocks for as long as the lanes take. After an error the dataplane is of no use: the caller ends it.
#ifndef SLUICE_CONTROL_LANES_HANDOVER_H_
#define SLUICE_CONTROL_LANES_HANDOVER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "control/config/config.h"
#include "control/dataplane/dataplane_client.h"
#include "control/dataplane/dataplane_link.h"
#include "control/function/function_host.h"
#include "control/lanes/lane_set.h"
#include "control/lanes/placement.h"
#include "control/lanes/transmit_spread.h"
#include "control/port/port_set.h"
#include "dataplane/base/rcu.h"

namespace sluice {

class Handover {
 public:
  // Borrows all. Of `config` it takes ports and poll mode.
  Handover(const Config& config, FunctionHost& function, const RcuWaiter& rcu, const PortSet& ports,
           DataplaneClient& dataplane, Placement& placement, LaneSet& lanes, TransmitSpread& transmit)
      : config_(config),
        function_(function),
        rcu_(rcu),
        ports_(ports),
        dataplane_(dataplane),
        placement_(placement),
        lanes_(lanes),
        transmit_(transmit) {}

  // Opens a lane for each of `pairs` queue pairs, and the bridge lane, on new counters.
  absl::Status ToFresh(uint32_t pairs, uint32_t workers);
  // Hands over all lanes. Where the kernel does not let it map their rings, others are opened in their place.
  absl::Status ToSuccessor();
  // Takes over lanes, counters and workers; the function's live settings stay those that run
  // (FunctionHost::ApplyAdopted). FailedPrecondition when it runs another function, or has other ports: then
  // nothing was taken over, and it goes on as it is.
  absl::Status FromSurvivor(Greeting greeting);

 private:
  absl::Status Configure(uint32_t workers);
  absl::Status OpenAll(uint32_t pairs);
  absl::Status HandOverAll();
  absl::Status TakeOverFunction(const dataplane::Configure& running, UniqueFd state);
  absl::Status Place();

  const Config& config_;
  FunctionHost& function_;
  const RcuWaiter& rcu_;
  const PortSet& ports_;
  DataplaneClient& dataplane_;
  Placement& placement_;
  LaneSet& lanes_;
  TransmitSpread& transmit_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_HANDOVER_H_
