#include "tests/traffic/histogram.h"

#include <gtest/gtest.h>

namespace sluice::flowgen {
namespace {

TEST(Histogram, EmptyIsZero) {
  EXPECT_EQ(Histogram().Percentile(0.99), 0);
}

TEST(Histogram, PercentilesAreWithinASixteenth) {
  Histogram histogram;
  for (int64_t i = 1; i <= 100'000; ++i) {
    histogram.Add(i);
  }
  EXPECT_NEAR(static_cast<double>(histogram.Percentile(0.5)), 50'000, 50'000.0 / 16);
  EXPECT_NEAR(static_cast<double>(histogram.Percentile(0.99)), 99'000, 99'000.0 / 16);
  EXPECT_EQ(histogram.Percentile(1), 100'000);
  EXPECT_EQ(histogram.max_ns(), 100'000);
}

TEST(Histogram, ExtremesHaveABucket) {
  Histogram histogram;
  histogram.Add(-5);
  EXPECT_EQ(histogram.Percentile(0), 0);
  histogram.Add(INT64_MAX);
  EXPECT_EQ(histogram.Percentile(1), INT64_MAX);
  EXPECT_EQ(histogram.count(), 2u);
}

TEST(Histogram, EachEdgeOfAnOctaveIsAtMostItself) {
  for (int shift = 0; shift < 62; ++shift) {
    Histogram histogram;
    const int64_t value = int64_t{1} << shift;
    histogram.Add(value);
    histogram.Add(INT64_MAX);
    EXPECT_GE(histogram.Percentile(0), value);
    EXPECT_LE(histogram.Percentile(0), value + value / 16);
  }
}

}  // namespace
}  // namespace sluice::flowgen
