// The dataplane's look-up: LaneOffload::Look on full bursts.
//
// Frames are 4 kB that stay in the first-level cache, and are written anew for each burst, outside of the time that is
// taken. Between two looks nothing else happens, so what the table leaves in the caches stays there: a worker that also
// sends has less of them to itself.
#ifndef SLUICE_TESTS_BENCH_LOOKUP_BURST_LOOKUP_H_
#define SLUICE_TESTS_BENCH_LOOKUP_BURST_LOOKUP_H_

#include "dataplane/offload/lane_offload.h"
#include "tests/bench/lookup/offloaded_flows.h"

namespace sluice::bench {

// Nanoseconds a frame: of the key out of its headers, the hash, the prefetch and the look-up.
double BurstLookupNs(FlowTables& tables, OffloadedFlows& flows);

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_BURST_LOOKUP_H_
