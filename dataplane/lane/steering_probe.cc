#include "dataplane/lane/steering_probe.h"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

constexpr MacAddress kNobody = {{0x01, 0x80, 0xc2, 0x00, 0x00, 0x01}};
// Ports, or the SPI of AH (include/linux/in.h: proto_ports_offset).
constexpr uint32_t kHashedBytes = 8;
constexpr uint32_t kMinFrameBytes = 60;  // Ethernet, without the frame check sequence

}  // namespace

uint32_t MakeSteeringProbe(const uint8_t* frame, uint32_t length_bytes, const Headers& headers, uint8_t* probe) {
  const uint32_t end = headers.l4_offset + kHashedBytes;
  if (!headers.has_ip() || end > kMaxProbeBytes) {
    return 0;
  }
  // The host's hash uses no bytes that the frame does not have.
  const uint32_t copied = std::min(end, length_bytes);
  std::memcpy(probe, frame, copied);
  const uint32_t probe_bytes = std::max(end, kMinFrameBytes);
  std::memset(probe + copied, 0, probe_bytes - copied);

  auto& ethernet = HeaderAt<EthernetHeader>(probe, 0);
  ethernet.source = ethernet.destination;  // as a reply would have it
  ethernet.source.bytes[0] &= 0xfe;        // a group cannot send
  ethernet.destination = kNobody;
  if (headers.network == Network::kIpv4) {
    auto& ip = HeaderAt<Ipv4Header>(probe, headers.l3_offset);
    ip.checksum = be16(ip.checksum.host() ^ 0xff55);
  } else {
    HeaderAt<Ipv6Header>(probe, headers.l3_offset).payload_bytes = be16(0xffff);
  }
  return probe_bytes;
}

}  // namespace sluice
