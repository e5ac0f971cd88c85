// Takes the median of many short measurements, so that other work of the machine does not count.
#ifndef SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_
#define SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_

#include <algorithm>
#include <cstddef>
#include <vector>

namespace sluice::bench {

// Pieces take 0.1 to 1 ms, with two million look-ups in all: less than a second, so that the machine's speed hardly
// changes within a round.
inline constexpr int kPieces = 512;
// Pieces before those, in which clocks rise and caches fill.
inline constexpr int kWarmUpPieces = 64;

inline double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_
