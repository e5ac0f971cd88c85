#include "tests/bench/load/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "tests/bench/load/live_frames.h"

namespace sluice::liveload {
namespace {

constexpr int kUsageError = 2;
constexpr uint16_t kSmallestFrameBytes = LOAD_HEADER_BYTES;
constexpr uint16_t kLargestFrameBytes = 1514;
// Seven small frames, four medium ones, one large one, spread so that short bursts have a mix.
constexpr uint16_t kImix[] = {64, 590, 64, 64, 590, 64, 1514, 64, 590, 64, 590, 64};
static_assert(sizeof(kImix) / sizeof(kImix[0]) <= LOAD_MAX_SIZES);

// Returns the problem of the text, or "".
std::string ReadMac(const std::string& text, flowgen::MacAddress& mac) {
  int end = 0;
  const bool read = std::sscanf(text.c_str(), "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
                                &mac[3], &mac[4], &mac[5], &end) == 6;
  return read && static_cast<size_t>(end) == text.size() ? "" : "'" + text + "' is no MAC address";
}

}  // namespace

OptionsResult ParseOptions(int argc, const char* const* argv) {
  OptionsResult result;
  Options& o = result.options;
  uint16_t size = 64;
  bool imix = false;
  std::string dst_mac;
  CLI::App app(
      "Sends UDP frames into a veth as fast as the kernel can (XDP live frames), counts and drops the frames that come "
      "back, and prints the counts as JSON");

  app.add_option("--tx", o.tx, "interface to send on; its peer receives")->required();
  app.add_option("--netns", o.netns, "its network namespace");
  app.add_option("--rx", o.rx, "interface where frames come back; default: the same");
  app.add_option("--rx-netns", o.rx_netns, "its network namespace, when it is another one");
  app.add_option("--dst-mac", dst_mac, "destination address of all frames")->required();
  app.add_option("--expect", o.expected, "MAC addresses of frames that come back")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Macs>{
          {"swapped", Macs::kSwapped}, {"unchanged", Macs::kUnchanged}, {"any", Macs::kAny}}))
      ->default_str("swapped");

  app.add_option("--flows", o.flows, "UDP flows, sent in turn")
      ->check(CLI::Range(1u, 16'777'216u))
      ->capture_default_str();
  app.add_option(
         "--queues", o.queues,
         "receive queues of the peer to feed, flow by flow; 1: the one of the sending CPU. More cost speed: frames "
         "go through the stack's entrance")
      ->check(CLI::IsMember({1, 2, 4, 8, 16}))
      ->capture_default_str();
  CLI::Option* sized = app.add_option("--size", size, "frame bytes without FCS")
                           ->check(CLI::Range(kSmallestFrameBytes, kLargestFrameBytes))
                           ->capture_default_str();
  app.add_flag("--imix", imix, "simple IMIX: 7 frames of 64, 4 of 590, 1 of 1514 bytes")->excludes(sized);
  app.add_option("--rate", o.rate_pps, "packets a second, in bursts of a few; 0: as fast as possible")
      ->check(CLI::Range(0.0, 1e8))
      ->capture_default_str();
  app.add_option("--cpu", o.cpu, "CPU to send on; its softirq may run the peer's receive side");
  app.add_option("--warmup", o.warmup_s, "seconds before the window that is reported")->check(CLI::NonNegativeNumber);
  app.add_option("--duration", o.duration_s, "seconds of that window; 0: until SIGINT or SIGTERM")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--settle", o.settle_s, "seconds to wait for late frames in the end")->check(CLI::NonNegativeNumber);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    result.exit_code = app.exit(error) == 0 ? 0 : kUsageError;
    return result;
  }
  if (const std::string problem = ReadMac(dst_mac, o.dst_mac); !problem.empty()) {
    std::fprintf(stderr, "--dst-mac: %s\n", problem.c_str());
    result.exit_code = kUsageError;
  }
  if (o.rx.empty()) {
    o.rx = o.tx;
  }
  if (o.rx_netns.empty()) {
    o.rx_netns = o.netns;
  }
  if (imix) {
    o.sizes.assign(std::begin(kImix), std::end(kImix));
  } else {
    o.sizes = {size};
  }
  return result;
}

}  // namespace sluice::liveload
