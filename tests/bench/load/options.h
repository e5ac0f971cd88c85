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
  std::string tx;  // where frames are sent
  std::string netns;
  std::string rx;  // where they come back
  std::string rx_netns;
  flowgen::MacAddress dst_mac{};
  Macs expected = Macs::kSwapped;
  uint32_t flows = 1;
  uint32_t queues = 1;          // of the peer that are fed
  std::vector<uint16_t> sizes;  // in turn; Ethernet frames without FCS
  double rate_pps = 0;          // 0: as fast as possible
  double duration_s = 0;        // 0: until a signal
  double warmup_s = 0;          // before the duration
  double settle_s = 0;          // after it
  std::optional<uint32_t> cpu;
};

// What to do after the command line was read: go on, or leave with this exit code (0 after --help, 2 after a usage
// error, which has been printed).
struct OptionsResult {
  Options options;
  std::optional<int> exit_code;
};

OptionsResult ParseOptions(int argc, const char* const* argv);

}  // namespace sluice::liveload

#endif  // SLUICE_TESTS_BENCH_LOAD_OPTIONS_H_
