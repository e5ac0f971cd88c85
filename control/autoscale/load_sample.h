// One look at the load: differences of counters over a fraction of a second. Data only.
#ifndef SLUICE_CONTROL_AUTOSCALE_LOAD_SAMPLE_H_
#define SLUICE_CONTROL_AUTOSCALE_LOAD_SAMPLE_H_

#include <cstdint>
#include <vector>

namespace sluice {

struct LaneLoad {
  uint32_t worker = 0;   // that polls it
  uint64_t packets = 0;  // received, on all ports
  // Packets for which there was no room: XDP's verdict `overloaded`, and the kernel's drops at the sockets.
  uint64_t drops = 0;
  uint64_t offloaded = 0;  // packets that XDP sent on by itself, unseen by a worker
  // Packets whose flow was looked at, and those of the flow seen most (dataplane/lane/flow_sampler.h).
  uint64_t flow_samples = 0;
  uint64_t top_flow_samples = 0;
};

struct WorkerLoad {
  int64_t busy_ns = 0;  // in rounds that found work
  int64_t idle_ns = 0;  // in other rounds, and asleep
  uint64_t busy_rounds = 0;
};

struct LoadSample {
  int64_t at_ns = 0;                // its end, by a monotonic clock
  int64_t took_ns = 0;              // since the sample before
  std::vector<LaneLoad> lanes;      // by lane: the pairs that get traffic
  std::vector<WorkerLoad> workers;  // by worker
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AUTOSCALE_LOAD_SAMPLE_H_
