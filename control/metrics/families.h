// The agent's status as Prometheus metrics. A pure function: every measured value is in StatusResponse.
//
// Names and labels are a contract with users. Packet counters live in the statistics segment, which survives a restart
// of the agent or the dataplane alone; those of resizes, and drops at sockets that an agent closed, start with
// the agent. The accounting law:
//   sluice_received_packets_total + sluice_originated_packets_total
//     = sluice_transmitted_packets_total + sluice_passed_packets_total + sluice_offloaded_packets_total
//       + sluice_dropped_packets_total + sluice_held_packets
// and sluice_dropped_packets_total is the sum of sluice_drops_total over every reason that does not begin with
// "kernel_". The kernel dropped packets of those other reasons at a socket, before or behind the dataplane.
#ifndef SLUICE_CONTROL_METRICS_FAMILIES_H_
#define SLUICE_CONTROL_METRICS_FAMILIES_H_

#include <vector>

#include <prometheus/metric_family.h>

#include "absl/time/time.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// `age`: the time since the status was made.
std::vector<prometheus::MetricFamily> MetricFamilies(const wire::StatusResponse& status, absl::Duration age);

}  // namespace sluice

#endif  // SLUICE_CONTROL_METRICS_FAMILIES_H_
