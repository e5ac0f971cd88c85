// A histogram of times in ns. A bucket is at most 1/16 of its values wide, so percentiles of any number of packets take
// 8 KiB. Negative values count as 0. Not thread-safe.
#ifndef SLUICE_TESTS_TRAFFIC_HISTOGRAM_H_
#define SLUICE_TESTS_TRAFFIC_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace sluice::flowgen {

class Histogram {
 public:
  void Add(int64_t ns) {
    const auto value = static_cast<uint64_t>(std::max<int64_t>(ns, 0));
    ++buckets_[BucketOf(value)];
    ++count_;
    max_ns_ = std::max(max_ns_, static_cast<int64_t>(value));
  }

  uint64_t count() const { return count_; }
  int64_t max_ns() const { return max_ns_; }

  // Returns the upper edge of the bucket that holds the given part (0..1) of the values, never above the maximum; 0 if
  // there are no values.
  int64_t Percentile(double part) const {
    const auto rank = static_cast<uint64_t>(part * static_cast<double>(count_));
    uint64_t below = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      below += buckets_[i];
      if (below > rank) {
        return std::min(UpperEdge(i), max_ns_);
      }
    }
    return max_ns_;
  }

 private:
  static constexpr uint64_t kSubBits = 4;  // 16 buckets per octave

  static size_t BucketOf(uint64_t value) {
    if (value < (1u << kSubBits)) {
      return value;
    }
    const auto shift = static_cast<uint64_t>(std::bit_width(value)) - kSubBits - 1;
    return ((shift + 1) << kSubBits) + ((value >> shift) & ((1u << kSubBits) - 1));
  }

  static int64_t UpperEdge(size_t bucket) {
    if (bucket < (1u << kSubBits)) {
      return static_cast<int64_t>(bucket);
    }
    const uint64_t shift = (bucket >> kSubBits) - 1;
    const uint64_t mantissa = (1u << kSubBits) + (bucket & ((1u << kSubBits) - 1));
    return static_cast<int64_t>(((mantissa + 1) << shift) - 1);
  }

  std::array<uint64_t, 1024> buckets_{};
  uint64_t count_ = 0;
  int64_t max_ns_ = 0;
};

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_HISTOGRAM_H_
