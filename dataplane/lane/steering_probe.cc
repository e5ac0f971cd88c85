#include "dataplane/lane/steering_probe.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace sluice {
namespace {

constexpr uint8_t kNobody[6] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x01};
constexpr uint32_t kMacs = 12;
constexpr uint32_t kTag = 4;
constexpr uint32_t kIpv4Header = 20;
constexpr uint32_t kIpv6Header = 40;
constexpr uint32_t kPorts = 4;
constexpr uint32_t kMinFrame = 60;  // Ethernet, without the frame check sequence

uint16_t Load16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}

bool IsTag(uint16_t ethertype) {
  return ethertype == 0x8100 || ethertype == 0x88a8;
}

// Hop-by-hop, routing, destination options: a length in 8 bytes beyond the first 8 (RFC 8200 section 4).
bool IsExtension(uint8_t next_header) {
  return next_header == 0 || next_header == 43 || next_header == 60;
}

// Where what the host hashes of an IPv6 packet ends, counted from its header. 0: not before `length_bytes`.
uint32_t Ipv6FlowBytes(const uint8_t* ip, uint32_t length_bytes) {
  uint32_t at = kIpv6Header;
  if (at > length_bytes) {
    return 0;
  }
  for (uint8_t next = ip[6]; IsExtension(next);) {
    if (at + 2 > length_bytes) {
      return 0;
    }
    next = ip[at];
    at += 8U + ip[at + 1] * 8U;
  }
  return at + 8;  // ports, or a fragment header
}

}  // namespace

uint32_t MakeSteeringProbe(const uint8_t* frame, uint32_t length_bytes, uint8_t* probe) {
  uint32_t ip = kMacs + 2;
  while (ip <= length_bytes && IsTag(Load16(frame + ip - 2)) && ip < kMacs + 2 + 2 * kTag) {
    ip += kTag;
  }
  if (ip > length_bytes) {
    return 0;
  }
  const uint16_t ethertype = Load16(frame + ip - 2);
  const uint32_t rest = length_bytes - ip;
  uint32_t flow_bytes = 0;
  if (ethertype == 0x0800 && rest >= kIpv4Header) {
    flow_bytes = std::max((frame[ip] & 0x0fU) * 4U, kIpv4Header) + kPorts;
  } else if (ethertype == 0x86dd) {
    flow_bytes = Ipv6FlowBytes(frame + ip, rest);
  }
  const uint32_t end = ip + flow_bytes;
  if (flow_bytes == 0 || end > kMaxProbeBytes) {
    return 0;
  }
  // What the frame itself does not have, the host's hash does not use.
  const uint32_t copied = std::min(end, length_bytes);
  std::memcpy(probe, frame, copied);
  const uint32_t probe_bytes = std::max(end, kMinFrame);
  std::memset(probe + copied, 0, probe_bytes - copied);

  // From whom a reply would come; a group cannot send.
  std::memcpy(probe + 6, frame, 6);
  probe[6] = static_cast<uint8_t>(probe[6] & ~1U);
  std::copy(std::begin(kNobody), std::end(kNobody), probe);
  if (ethertype == 0x0800) {
    probe[ip + 10] = static_cast<uint8_t>(~probe[ip + 10]);
    probe[ip + 11] = static_cast<uint8_t>(probe[ip + 11] ^ 0x55U);
  } else {
    probe[ip + 4] = probe[ip + 5] = 0xff;
  }
  return probe_bytes;
}

}  // namespace sluice
