// How long a look-up takes, of many short pieces of time: the median piece's, so that what else the machine did
// meanwhile falls out.
#ifndef SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_
#define SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_

#include <algorithm>
#include <cstddef>
#include <vector>

namespace sluice::bench {

// Pieces of 0.1 to 1 ms, two million look-ups in all: less than a second, so that all of a round is measured at the
// same speed of the machine, or nearly.
inline constexpr int kPieces = 512;
// Before them: clocks rise and caches fill.
inline constexpr int kWarmUpPieces = 64;

inline double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_
