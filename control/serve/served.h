// The objects of the agent that requests ask and change. All are borrowed: their owner outlives this struct.
// One thread.
#ifndef SLUICE_CONTROL_SERVE_SERVED_H_
#define SLUICE_CONTROL_SERVE_SERVED_H_

#include "control/autoscale/autoscaler.h"
#include "control/config/config.h"
#include "control/dataplane/dataplane_client.h"
#include "control/dataplane/dataplane_supervisor.h"
#include "control/function/function_host.h"
#include "control/lanes/lane_set.h"
#include "control/lanes/placement.h"
#include "control/offload/offload.h"
#include "control/port/port_set.h"
#include "control/resize/resizer.h"
#include "control/steering/steering.h"

namespace sluice {

struct Served {
  const Config& config;  // that the agent was started with; the objects know what changed since
  const FunctionHost& function;
  PortSet& ports;
  DataplaneClient& dataplane;
  const DataplaneSupervisor& supervisor;
  const Placement& placement;
  const LaneSet& lanes;
  const Offload& offload;
  Steering& steering;
  Resizer& resizer;
  Autoscaler& autoscaler;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_SERVED_H_
