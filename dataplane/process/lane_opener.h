// Opens a lane from a LaneSpec and descriptors that the agent sent: checks all of them, then maps.
//
// Threads: the control thread.
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

// The places of descriptors in a lane's list (contract/dataplane.proto: LaneSpec).
constexpr size_t UmemFdAt() {
  return 0;
}
constexpr size_t SocketFdAt(int socket) {
  return 1 + 2 * static_cast<size_t>(socket);
}
constexpr size_t XskMapFdAt(int socket) {
  return 2 + 2 * static_cast<size_t>(socket);
}

// Returns a lane whose fill rings are stocked and whose sockets are in no XSKMAP yet. The descriptors stay the caller's
// and must outlive it. Errors: InvalidArgument for a LaneSpec that is not possible or does not fit the descriptors;
// those of Umem::Map and Kernel::MapSocket.
absl::StatusOr<std::unique_ptr<Lane>> OpenLane(Kernel& kernel, const dataplane::LaneSpec& spec,
                                               const std::vector<UniqueFd>& fds, uint32_t port_count,
                                               StatsSegment& stats);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_LANE_OPENER_H_
