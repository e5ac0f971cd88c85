// Copies a frame that another lane handed over into the memory of the lane that sends it. Threads: the one that polls
// this lane.
#ifndef SLUICE_DATAPLANE_LANE_COPY_IN_H_
#define SLUICE_DATAPLANE_LANE_COPY_IN_H_

#include <cstring>
#include <optional>

#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/io/umem.h"
#include "dataplane/lane/handoff.h"

namespace sluice {

// Returns the copy. nullopt, and the drop is counted: no frame is free, or it is too long for one.
inline std::optional<Frame> CopyIn(const HandoffFrame& theirs, Verdict verdict, Umem& umem, LaneStats& stats) {
  if (umem.free_frames() == 0 || theirs.length_bytes > umem.layout().frame_size_bytes) {
    stats.ports[theirs.in_port].CountDrops(DropReason::kNoFrame);
    return std::nullopt;
  }
  const uint64_t address = umem.Take();
  uint8_t* data = umem.Data(address);
  std::memcpy(data, theirs.data, theirs.length_bytes);
  return Frame{data, address, theirs.length_bytes, theirs.in_port, verdict};
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_COPY_IN_H_
