// The fuzz targets' assertion: ends the process, so that libFuzzer keeps the input and a replay fails.
#ifndef SLUICE_TESTS_FUZZ_REQUIRE_H_
#define SLUICE_TESTS_FUZZ_REQUIRE_H_

#include <cstdlib>

namespace sluice {

inline void Require(bool condition) {
  if (!condition) {
    abort();
  }
}

}  // namespace sluice

#endif  // SLUICE_TESTS_FUZZ_REQUIRE_H_
