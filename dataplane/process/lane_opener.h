// From what the agent sent (a LaneSpec and descriptors) to a Lane: checks all of it, then maps.
#ifndef SLUICE_DATAPLANE_PROCESS_LANE_OPENER_H_
#define SLUICE_DATAPLANE_PROCESS_LANE_OPENER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/dataplane.pb.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/lane/lane.h"
#include "dataplane/process/kernel.h"

namespace sluice {

// Where in a lane's descriptors each one is (contract/dataplane.proto: LaneSpec).
constexpr size_t UmemFdAt() {
  return 0;
}
constexpr size_t SocketFdAt(int socket) {
  return 1 + 2 * static_cast<size_t>(socket);
}
constexpr size_t XskMapFdAt(int socket) {
  return 2 + 2 * static_cast<size_t>(socket);
}

// The descriptors stay the caller's and must outlive the lane. A lane that comes back has its fill rings
// stocked; it is not in any XSKMAP yet.
absl::StatusOr<std::unique_ptr<Lane>> OpenLane(Kernel& kernel, const dataplane::LaneSpec& spec,
                                               const std::vector<UniqueFd>& fds, uint32_t port_count,
                                               StatsSegment& stats);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_LANE_OPENER_H_
