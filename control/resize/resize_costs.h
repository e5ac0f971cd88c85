// Counts the costs of resizes since the start: a resize cost the difference between two counts. Reads only; one thread.
#ifndef SLUICE_CONTROL_RESIZE_RESIZE_COSTS_H_
#define SLUICE_CONTROL_RESIZE_RESIZE_COSTS_H_

#include <cstdint>
#include <map>
#include <string>

#include "control/resize/resize_objects.h"

namespace sluice {

// Lost frames by reason, under the names of `sluicectl status`. Frames that the function decided to drop are not lost.
using Losses = std::map<std::string, uint64_t>;

uint64_t Sum(const Losses& losses);

// In frames.
struct ResizeCosts {
  uint64_t bridged = 0;  // that came over the bridge
  uint64_t held = 0;     // that waited behind a fence
  // An upper bound: held frames that left before older ones were proven to be out, and frames that the host may have
  // mixed (LiveResize::mixed_by_host).
  uint64_t reordered = 0;
  Losses lost;

  ResizeCosts operator-(const ResizeCosts& before) const;
  ResizeCosts operator+(const ResizeCosts& more) const;
};

ResizeCosts CountCosts(const ResizeObjects& objects);

// Frames that clsact put on the bridges and that no lane has received yet, nor the kernel dropped. Stays above 0 when a
// veth ring once overflowed, and below when a merged packet fell into more pieces than it came from.
int64_t FramesOnBridges(const ResizeObjects& objects);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZE_COSTS_H_
