// liveload's command line.
#ifndef SLUICE_TESTS_BENCH_LOAD_OPTIONS_H_
#define SLUICE_TESTS_BENCH_LOAD_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/traffic/frame.h"

namespace sluice::liveload {

enum class Macs { kSwapped, kUnchanged, kAny };

struct Options {
  std::string tx;  // the interface where frames are sent
  std::string netns;
  std::string rx;  // the interface where they come back
  std::string rx_netns;
  flowgen::MacAddress dst_mac{};
  Macs expected = Macs::kSwapped;
  uint32_t flows = 1;
  uint32_t queues = 1;          // how many of the peer's queues get frames
  std::vector<uint16_t> sizes;  // used in turn; Ethernet frames without FCS
  double rate_pps = 0;          // 0: as fast as possible
  double duration_s = 0;        // 0: until a signal
  double warmup_s = 0;          // before the duration
  double settle_s = 0;          // after the duration
  std::optional<uint32_t> cpu;
};

// The options, or the exit code to end with: 0 after --help, 2 after a usage error, which has been printed.
struct OptionsResult {
  Options options;
  std::optional<int> exit_code;
};

OptionsResult ParseOptions(int argc, const char* const* argv);

}  // namespace sluice::liveload

#endif  // SLUICE_TESTS_BENCH_LOAD_OPTIONS_H_
