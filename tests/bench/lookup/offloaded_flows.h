// A flow table with so many offloaded flows in it, put there by the product's code, and one of them at random.
//
// Flows are UDP over IPv4, numbered; their headers are computed from the number, so that meeting a flow touches no
// memory but the table's and, where the frames are, a list of four bytes a flow. A flow whose bucket is full of decided
// ones has no entry, in the product as here: it is left out, and another takes its place.
#ifndef SLUICE_TESTS_BENCH_LOOKUP_OFFLOADED_FLOWS_H_
#define SLUICE_TESTS_BENCH_LOOKUP_OFFLOADED_FLOWS_H_

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "bpf/sluice_abi.h"
#include "dataplane/offload/flow_table.h"

namespace sluice::bench {

// The smallest there is, without FCS. On a cache line of its own, as the start of a frame in a UMEM.
struct alignas(64) SmallFrame {
  std::array<uint8_t, 60> bytes;
};

class OffloadedFlows {
 public:
  static constexpr uint32_t kEpoch = 1;

  // So many buckets that there are two entries for each flow, at least, as tests/bench/benches/offload.py has it.
  static uint32_t BucketsFor(uint32_t flows);

  // Into an empty table of BucketsFor(flows) buckets.
  OffloadedFlows(FlowTable& table, uint32_t flows);

  // A frame of one of the flows, all of them equally likely.
  void WriteOne(SmallFrame& frame) {
    const uint64_t number = random_() & UINT32_MAX;
    Write(numbers_[number * numbers_.size() >> 32], frame);
  }
  static sluice_flow_key KeyOf(const SmallFrame& frame);

  // That found no room.
  uint32_t left_out() const { return left_out_; }

 private:
  static void Write(uint32_t number, SmallFrame& frame);

  std::vector<uint32_t> numbers_;
  uint32_t left_out_ = 0;
  std::mt19937_64 random_;  // the same sequence in each run
};

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_OFFLOADED_FLOWS_H_
