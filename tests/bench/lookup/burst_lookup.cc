#include "tests/bench/lookup/burst_lookup.h"

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/function/burst.h"
#include "tests/bench/lookup/samples.h"
#include "tests/traffic/clock.h"

namespace sluice::bench {
namespace {

using flowgen::NowNs;

constexpr int kBurstsPerPiece = 64;

}  // namespace

double BurstLookupNs(FlowTables& tables, OffloadedFlows& flows) {
  LaneOffload lane;
  lane.Set(&tables, OffloadedFlows::kEpoch, {.queue = 0, .count = 1});
  const auto burst = std::make_unique<Burst>();
  std::array<SmallFrame, kBurstFrames> memory{};
  for (uint32_t i = 0; i < kBurstFrames; ++i) {
    burst->frames[i] = {.data = memory[i].bytes.data(), .length_bytes = sizeof(memory[i].bytes)};
  }
  std::vector<double> pieces_ns;
  for (int piece = -kWarmUpPieces; piece < kPieces; ++piece) {
    int64_t looking_ns = 0;
    for (int i = 0; i < kBurstsPerPiece; ++i) {
      for (uint32_t frame = 0; frame < kBurstFrames; ++frame) {
        flows.WriteOne(memory[frame]);
        burst->headers[frame] = Parse(memory[frame].bytes.data(), sizeof(memory[frame].bytes));
      }
      // First an empty burst, to measure the cost of the clock and the call.
      burst->count = 0;
      const int64_t began_ns = NowNs();
      lane.Lookup(*burst);
      const int64_t none_ns = NowNs();
      burst->count = kBurstFrames;
      lane.Lookup(*burst);
      looking_ns += NowNs() - none_ns - (none_ns - began_ns);
    }
    if (piece >= 0) {
      pieces_ns.push_back(static_cast<double>(looking_ns) / (kBurstsPerPiece * kBurstFrames));
    }
  }
  return Median(std::move(pieces_ns));
}

}  // namespace sluice::bench
