// Counts the costs of resizes since the start: a resize cost the difference between two counts. Reads only; one thread.
#ifndef SLUICE_CONTROL_RESIZE_RESIZE_COSTS_H_
#define SLUICE_CONTROL_RESIZE_RESIZE_COSTS_H_

#include <cstdint>

#include "control/resize/resize_objects.h"

namespace sluice {

// In frames.
struct ResizeCosts {
  uint64_t bridged = 0;    // that came over the bridge
  uint64_t held = 0;       // that waited behind a fence
  uint64_t reordered = 0;  // of those, let go before it was proven that nothing older was still coming: an upper bound
  uint64_t lost = 0;       // drops of any kind that we count

  ResizeCosts operator-(const ResizeCosts& before) const {
    return {bridged - before.bridged, held - before.held, reordered - before.reordered, lost - before.lost};
  }
  ResizeCosts operator+(const ResizeCosts& more) const {
    return {bridged + more.bridged, held + more.held, reordered + more.reordered, lost + more.lost};
  }
};

ResizeCosts CountCosts(const ResizeObjects& objects);

// Frames that clsact put on the bridges and that no lane has received yet, nor the kernel dropped. Stays above 0 when a
// veth ring once overflowed, and below when a merged packet fell into more pieces than it came from.
int64_t FramesOnBridges(const ResizeObjects& objects);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZE_COSTS_H_
