// Turns the agent's objects into the messages that users see. Reads only; one thread, the agent's loop.
#ifndef SLUICE_CONTROL_SERVE_STATUS_H_
#define SLUICE_CONTROL_SERVE_STATUS_H_

#include <cstdint>
#include <vector>

#include "control/serve/served.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// Busy and idle time of a worker as of the last answer: the next answer shows the share since then.
struct WorkerTimes {
  uint64_t busy_ns = 0;
  uint64_t idle_ns = 0;
};

// `previous`: the times of each worker at the caller's last answer; brought up to date.
wire::StatusResponse MakeStatus(const Served& served, std::vector<WorkerTimes>& previous);
wire::StatsResponse MakeStats(const Served& served);
// Returns the number of frames that the XDP program dropped on purpose or that found no room in their socket: a driver
// may count them as its drops although they are accounted for. An upper bound, as the bridge dropped some of them.
uint64_t DroppedInXdp(const Served& served, uint32_t port);
wire::Autoscale MakeAutoscale(const Served& served);
wire::LastResize MakeLastResize(const FinishedResize& resize);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_STATUS_H_
