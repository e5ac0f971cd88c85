// Fills a flow table with offloaded flows by the product's code, and makes frames of random ones of them.
//
// Flows are UDP over IPv4. Their headers are computed from a number, so that a look-up touches no memory but the
// table's and, where frames are made, a list with four bytes per flow. A flow whose buckets are full of offloaded ones
// gets no entry, as in the product: it is left out, and another takes its place.
#ifndef SLUICE_TESTS_BENCH_LOOKUP_OFFLOADED_FLOWS_H_
#define SLUICE_TESTS_BENCH_LOOKUP_OFFLOADED_FLOWS_H_

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "bpf/sluice_abi.h"
#include "dataplane/offload/flow_table.h"

namespace sluice::bench {

// The smallest Ethernet frame, without FCS. It begins on a cache line, like a frame in a UMEM.
struct alignas(64) SmallFrame {
  std::array<uint8_t, 60> bytes;
};

class OffloadedFlows {
 public:
  static constexpr uint32_t kEpoch = 1;

  // Returns a number of buckets with at least two entries per flow, as in tests/bench/benches/offload.py.
  static uint32_t BucketsFor(uint32_t flows);

  // Offloads `flows` flows in an empty table of BucketsFor(flows) buckets.
  OffloadedFlows(FlowTable& table, uint32_t flows);

  // Writes a frame of one of the flows, all of them equally likely.
  void WriteOne(SmallFrame& frame) {
    const uint64_t number = random_() & UINT32_MAX;
    Write(numbers_[number * numbers_.size() >> 32], frame);
  }
  static sluice_flow_key KeyOf(const SmallFrame& frame);

  // The number of flows that found no room.
  uint32_t left_out() const { return left_out_; }

 private:
  static void Write(uint32_t number, SmallFrame& frame);

  std::vector<uint32_t> numbers_;
  uint32_t left_out_ = 0;
  std::mt19937_64 random_;  // the same sequence in each run
};

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_OFFLOADED_FLOWS_H_
