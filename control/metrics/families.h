// The agent's status as Prometheus metrics. A pure function: whatever is measured is in StatusResponse.
//
// Names and labels are the contract of DESIGN.md section 5. Packet counters live in the statistics segment, which a
// restart of agent or dataplane alone survives; those of resizes, and drops at sockets that an agent closed, start with
// the agent. The accounting law:
//   sluice_received_packets_total + sluice_originated_packets_total
//     = sluice_transmitted_packets_total + sluice_dropped_packets_total + sluice_held_packets
// and sluice_dropped_packets_total is the sum of sluice_drops_total over every reason that does not begin with
// "kernel_": those the kernel dropped at a socket, before or behind the dataplane.
#ifndef SLUICE_CONTROL_METRICS_FAMILIES_H_
#define SLUICE_CONTROL_METRICS_FAMILIES_H_

#include <vector>

#include <prometheus/metric_family.h>

#include "absl/time/time.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// `age`: how long ago the status was made.
std::vector<prometheus::MetricFamily> MetricFamilies(const wire::StatusResponse& status, absl::Duration age);

}  // namespace sluice

#endif  // SLUICE_CONTROL_METRICS_FAMILIES_H_
