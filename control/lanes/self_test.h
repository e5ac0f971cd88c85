// The self-test of a port, before it steers: a frame in by XDP, through the XSKMAP, out at the dataplane.
//
//   every queue   the program that is on the device runs on the frame: does it see the frame, and is there a socket of
//                 that queue in the XSKMAP?
//   queue 0       the kernel carries out the redirect, the lane receives the frame with its VLAN tag, and counts it
//
// The kernel runs live frames as received on queue 0 only (net/bpf/test_run.c: xdp_test_run_setup), so the last step of
// the other queues is not tested; nor is the driver's part before XDP, and a tag that a driver has beside the frame:
// no frame gets into a driver without a peer. In zero-copy mode no live frame is sent, since driver and test would take
// buffers from the same pool at the same time. The frames are no packets: they are in no count of the ports.
//
// A port that steers is not tested: its receive ring has one producer, the queue's NAPI poll
// (net/xdp/xsk.c: xsk_rcv), and a live frame would be a second one. One thread.
#ifndef SLUICE_CONTROL_LANES_SELF_TEST_H_
#define SLUICE_CONTROL_LANES_SELF_TEST_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control/dataplane/dataplane_client.h"
#include "control/lanes/lane_set.h"
#include "control/port/port_set.h"

namespace sluice {

// The bound for a frame to reach the dataplane: it takes well under a millisecond, and longer on a starved machine.
inline constexpr absl::Duration kSelfTestBound = absl::Seconds(5);

// Tests all ports, whose lanes must be open, and leaves each its note (Port::self_test). FailedPrecondition, with port,
// queue and step, when a frame does not arrive; errors of DataplaneClient.
absl::Status RunSelfTest(PortSet& ports, const LaneSet& lanes, DataplaneClient& dataplane,
                         absl::Duration bound = kSelfTestBound);

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_SELF_TEST_H_
