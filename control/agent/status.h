// Turns what an Instance holds into the messages users see. Reads only.
#ifndef SLUICE_CONTROL_AGENT_STATUS_H_
#define SLUICE_CONTROL_AGENT_STATUS_H_

#include <cstdint>
#include <vector>

#include "control/agent/instance.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// Busy and idle time of each worker when last asked; makes a ratio out of two answers.
struct WorkerTimes {
  uint64_t busy_ns = 0;
  uint64_t idle_ns = 0;
};

wire::StatusResponse MakeStatus(const Instance& instance, std::vector<WorkerTimes>& previous);
wire::StatsResponse MakeStats(const Instance& instance);
// Frames that the XDP program dropped on purpose, or that found no room in their socket: all that a driver may count as
// its own drops and that is known otherwise. Rather too many: some of them the bridge dropped.
uint64_t DroppedInXdp(const Instance& instance, uint32_t port);
wire::LastResize MakeLastResize(const FinishedResize& resize);

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_STATUS_H_
