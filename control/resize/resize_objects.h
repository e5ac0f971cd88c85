// The objects of the agent that a resize works on. All are borrowed: their owner outlives this struct. One thread.
#ifndef SLUICE_CONTROL_RESIZE_RESIZE_OBJECTS_H_
#define SLUICE_CONTROL_RESIZE_RESIZE_OBJECTS_H_

#include "control/dataplane/call_log.h"
#include "control/dataplane/dataplane_client.h"
#include "control/lanes/lane_set.h"
#include "control/lanes/placement.h"
#include "control/lanes/transmit_spread.h"
#include "control/port/port_set.h"

namespace sluice {

struct ResizeObjects {
  PortSet& ports;
  DataplaneClient& dataplane;
  Placement& placement;
  LaneSet& lanes;
  TransmitSpread& transmit;
  CallLog& calls;  // gets the time of the calls within a step
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZE_OBJECTS_H_
