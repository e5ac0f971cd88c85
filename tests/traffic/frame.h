// Builds and reads the Ethernet frames that carry a stamp: UDP in IPv4 or IPv6, perhaps behind one VLAN tag. Sizes are
// of Ethernet frames as a packet socket sees them, without the frame check sequence.
#ifndef SLUICE_TESTS_TRAFFIC_FRAME_H_
#define SLUICE_TESTS_TRAFFIC_FRAME_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "tests/traffic/stamp.h"

namespace sluice::flowgen {

using MacAddress = std::array<uint8_t, 6>;

struct FrameFormat {
  MacAddress src_mac{};
  MacAddress dst_mac{};
  bool ipv6 = false;
  std::array<uint8_t, 16> src_ip{};  // IPv4 in the first four bytes
  std::array<uint8_t, 16> dst_ip{};
  uint16_t dst_port = 9;         // the discard service
  bool reversed = false;         // exchange source and destination of IP and UDP (B to A)
  std::optional<uint16_t> vlan;  // 802.1Q id
  uint32_t size_bytes = 64;      // without the tag: a tagged frame is four bytes longer on the wire
};

// Flows have source ports 1024..61023, then the next source address: 60,000 flows per address.
inline constexpr uint32_t kFirstSourcePort = 1024;
inline constexpr uint32_t kFlowsPerAddress = 60'000;

// Returns the bytes of headers and stamp; IPv6 needs 20 bytes more than IPv4.
uint32_t SmallestFrameBytes(bool ipv6);

// A frame of one direction, rewritten in place for each packet.
class FrameBuilder {
 public:
  explicit FrameBuilder(const FrameFormat& format);

  // Sets everything in the frame for this stamp, with complete checksums.
  absl::Span<const uint8_t> Build(const Stamp& stamp);

 private:
  void SetFlow(uint32_t flow);
  void SetUdpChecksum();

  FrameFormat format_;
  std::vector<uint8_t> frame_;
  size_t ip_at_;
  size_t udp_at_;
};

struct ParsedFrame {
  MacAddress src_mac{};
  MacAddress dst_mac{};
  std::optional<uint16_t> vlan;  // of a tag that is still in the frame; the kernel usually removes it
  bool checksums_good = false;   // IPv4 header and UDP
  absl::Span<const uint8_t> payload;
};

// Returns nullopt unless the frame is UDP in IPv4 or IPv6 with consistent lengths, and without options or extension
// headers, which flowgen never sends.
std::optional<ParsedFrame> ParseFrame(absl::Span<const uint8_t> frame);

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_FRAME_H_
