// How long a look-up takes, of many short pieces of time: the median piece's, so that what else the machine did
// meanwhile falls out.
#ifndef SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_
#define SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_

#include <algorithm>
#include <cstddef>
#include <vector>

namespace sluice::bench {

// Pieces of about 0.1 to 1 ms of look-ups: 4 million in all, four for each of the flows where there are most.
inline constexpr int kPieces = 1024;
// Before them: clocks rise and caches fill.
inline constexpr int kWarmUpPieces = 64;

inline double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_SAMPLES_H_
