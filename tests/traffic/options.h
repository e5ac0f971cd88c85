// flowgen's command line.
#ifndef SLUICE_TESTS_TRAFFIC_OPTIONS_H_
#define SLUICE_TESTS_TRAFFIC_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "tests/traffic/frame.h"

namespace sluice::flowgen {

struct Options {
  std::string tx;        // interface A
  std::string rx;        // interface B; if it is A, the device reflects
  std::string netns;     // A's namespace; empty: the caller's
  std::string rx_netns;  // B's namespace; A's unless given
  bool both = false;     // send from B to A as well

  uint32_t flows = 1;
  double rate_pps = 1000;
  double duration_s = 0;  // 0: until `count` or a signal
  uint64_t count = 0;
  uint64_t window = 0;
  double settle_s = 1;
  FrameFormat format;  // frames from A to B; the MACs are the interfaces', unless a destination is given
  std::optional<MacAddress> dst_mac;
  std::optional<MacAddress> back_dst_mac;

  bool json = false;
  bool progress = false;
  bool per_flow = false;
  bool require_exact = false;
  uint32_t timeline_ms = 0;

  bool reflects() const { return tx == rx && netns == rx_netns; }
};

// The options, or the exit code to end with: 0 after --help, 2 after a usage error, which has been printed.
struct OptionsResult {
  Options options;
  std::optional<int> exit_code;
};

OptionsResult ParseOptions(int argc, const char* const* argv);

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_OPTIONS_H_
