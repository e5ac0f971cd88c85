// EXPECT_OK and ASSERT_OK for absl::Status and StatusOr, which print the status on failure.
#ifndef SLUICE_TESTS_KERNEL_STATUS_MATCHERS_H_
#define SLUICE_TESTS_KERNEL_STATUS_MATCHERS_H_

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

inline absl::Status StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

}  // namespace sluice

#define EXPECT_OK(expression) EXPECT_EQ(::sluice::StatusOf(expression), absl::OkStatus())
#define ASSERT_OK(expression) ASSERT_EQ(::sluice::StatusOf(expression), absl::OkStatus())

#endif  // SLUICE_TESTS_KERNEL_STATUS_MATCHERS_H_
