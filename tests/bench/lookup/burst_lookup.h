// Measures the dataplane's look-up: LaneOffload::Lookup on full bursts.
//
// The frames, 4 kB that stay in the first-level cache, are rewritten for each burst, outside of the measured time.
// Nothing else happens between two look-ups, so the table's entries stay in the caches better than in a worker, which
// also sends.
#ifndef SLUICE_TESTS_BENCH_LOOKUP_BURST_LOOKUP_H_
#define SLUICE_TESTS_BENCH_LOOKUP_BURST_LOOKUP_H_

#include "dataplane/offload/lane_offload.h"
#include "tests/bench/lookup/offloaded_flows.h"

namespace sluice::bench {

// Returns nanoseconds per frame: making the key from its headers, the hash, the prefetch and the look-up.
double BurstLookupNs(FlowTables& tables, OffloadedFlows& flows);

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_BURST_LOOKUP_H_
