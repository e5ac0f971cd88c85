#include "dataplane/lane/partial_checksum.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

constexpr uint32_t kMacs = 12;
constexpr uint32_t kTag = 4;
constexpr uint32_t kIpv4Header = 20;
constexpr uint32_t kIpv6Header = 40;
constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;

// What a checksum covers besides the pseudo header's constants.
struct Segment {
  uint8_t protocol = 0;  // 0: there is none that we know
  uint8_t* data = nullptr;
  uint32_t length_bytes = 0;
  uint64_t addresses = 0;  // their sum
};

uint16_t Load16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}

// As it stands in memory: ones' complement sums are the same in either order of bytes (RFC 1071 section 2).
uint16_t LoadAsIs(const uint8_t* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// Exact up to 16 GiB.
uint64_t Sum(const uint8_t* data, uint32_t length_bytes) {
  uint64_t sum = 0;
  uint32_t word;
  for (; length_bytes >= sizeof(word); data += sizeof(word), length_bytes -= sizeof(word)) {
    std::memcpy(&word, data, sizeof(word));
    sum += word;
  }
  word = 0;
  std::memcpy(&word, data, length_bytes);
  return sum + word;
}

uint16_t Fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  for (int fold = 0; fold < 3; ++fold) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

uint16_t PseudoHeader(uint64_t addresses, uint8_t protocol, uint32_t length_bytes) {
  return Fold(addresses + htons(protocol) + htons(static_cast<uint16_t>(length_bytes)));
}

// Nearly every frame: IPv4 without tag, options or fragments, its checksum not that of the pseudo header. Whatever else
// it has, it is none of ours then. False: it may be, or is another kind of frame.
bool IsComplete(const uint8_t* frame, uint32_t length_bytes) {
  constexpr uint32_t kIp = kMacs + 2;
  constexpr uint32_t kTransport = kIp + kIpv4Header;
  constexpr uint32_t kShortest = kTransport + 20;
  if (length_bytes < kShortest || LoadAsIs(frame + kMacs) != htons(0x0800) || frame[kIp] != 0x45 ||
      (LoadAsIs(frame + kIp + 6) & htons(0x3fff)) != 0) {
    return false;
  }
  const uint8_t protocol = frame[kIp + 9];
  const uint32_t at = protocol == kTcp ? kTransport + 16 : kTransport + 6;
  return (protocol == kTcp || protocol == kUdp) &&
         LoadAsIs(frame + at) !=
             PseudoHeader(Sum(frame + kIp + 12, 8), protocol, Load16(frame + kIp + 2) - kIpv4Header);
}

// Loose and strict source route (RFC 791 section 3.1): the last address of the route is the pseudo header's. So is an
// option list that we cannot read to its end.
bool HasSourceRoute(const uint8_t* options, uint32_t length_bytes) {
  for (uint32_t at = 0; at < length_bytes && options[at] != 0;) {
    if (options[at] == 1) {
      ++at;
      continue;
    }
    if (options[at] == 131 || options[at] == 137 || at + 2 > length_bytes || options[at + 1] < 2) {
      return true;
    }
    at += options[at + 1];
  }
  return false;
}

// The home address is the pseudo header's source (RFC 6275 section 11.3.1). `options`: all of an options header.
bool HasHomeAddress(const uint8_t* options, uint32_t length_bytes) {
  for (uint32_t at = 2; at < length_bytes;) {
    if (options[at] == 0) {
      ++at;
      continue;
    }
    if (options[at] == 201 || at + 2 > length_bytes) {
      return true;
    }
    at += 2U + options[at + 1];
  }
  return false;
}

Segment Ipv4Segment(uint8_t* ip, uint32_t rest_bytes) {
  if (rest_bytes < kIpv4Header) {
    return {};
  }
  const uint32_t header_bytes = (ip[0] & 0x0fU) * 4U;
  const uint32_t total_bytes = Load16(ip + 2);
  const bool fragment = (Load16(ip + 6) & 0x3fff) != 0;  // more to come, or an offset
  if (ip[0] >> 4 != 4 || header_bytes < kIpv4Header || total_bytes < header_bytes || total_bytes > rest_bytes ||
      fragment || HasSourceRoute(ip + kIpv4Header, header_bytes - kIpv4Header)) {
    return {};
  }
  return {ip[9], ip + header_bytes, total_bytes - header_bytes, Sum(ip + 12, 8)};
}

Segment Ipv6Segment(uint8_t* ip, uint32_t rest_bytes) {
  if (rest_bytes < kIpv6Header || ip[0] >> 4 != 6) {
    return {};
  }
  const uint32_t end = kIpv6Header + Load16(ip + 4);
  if (end > rest_bytes) {
    return {};
  }
  uint8_t next = ip[6];
  uint32_t at = kIpv6Header;
  // Hop-by-hop and destination options; of other headers none leaves the checksum as it is described.
  while (next == 0 || next == 60) {
    if (at + 8 > end) {
      return {};
    }
    const uint32_t header_bytes = 8U + ip[at + 1] * 8U;
    if (at + header_bytes > end || HasHomeAddress(ip + at, header_bytes)) {
      return {};
    }
    next = ip[at];
    at += header_bytes;
  }
  return {next, ip + at, end - at, Sum(ip + 8, 32)};
}

Segment FindSegment(uint8_t* frame, uint32_t length_bytes) {
  uint32_t ip = kMacs + 2;
  if (length_bytes < ip) {
    return {};
  }
  uint16_t ethertype = Load16(frame + kMacs);
  for (int tags = 0; tags < 2 && (ethertype == 0x8100 || ethertype == 0x88a8) && ip + kTag <= length_bytes; ++tags) {
    ip += kTag;
    ethertype = Load16(frame + ip - 2);
  }
  return ethertype == 0x0800   ? Ipv4Segment(frame + ip, length_bytes - ip)
         : ethertype == 0x86dd ? Ipv6Segment(frame + ip, length_bytes - ip)
                               : Segment();
}

// Where the segment's checksum is; null where it has none, or its lengths contradict each other.
uint8_t* ChecksumOf(const Segment& segment) {
  if (segment.protocol == kTcp && segment.length_bytes >= 20) {
    return segment.data + 16;
  }
  if (segment.protocol == kUdp && segment.length_bytes >= 8 && Load16(segment.data + 4) == segment.length_bytes) {
    return segment.data + 6;
  }
  return nullptr;
}

}  // namespace

bool CompletePartialChecksum(uint8_t* frame, uint32_t length_bytes) {
  if (IsComplete(frame, length_bytes)) {
    return false;
  }
  const Segment segment = FindSegment(frame, length_bytes);
  uint8_t* field = ChecksumOf(segment);
  if (field == nullptr) {
    return false;
  }
  const uint16_t before = LoadAsIs(field);
  if (before != PseudoHeader(segment.addresses, segment.protocol, segment.length_bytes)) {
    return false;
  }
  // The pseudo header's part stands in the field. 0xffff is the other 0, and the one that UDP does not take for "none";
  // the kernel writes it for TCP as well (net/core/dev.c: skb_checksum_help).
  const uint16_t sum = static_cast<uint16_t>(~Fold(Sum(segment.data, segment.length_bytes)));
  const uint16_t complete = sum == 0 ? 0xffff : sum;
  std::memcpy(field, &complete, sizeof(complete));
  return complete != before;
}

uint32_t CompletePartialChecksums(const Burst& burst) {
  return static_cast<uint32_t>(std::count_if(burst.begin(), burst.end(), [](const Frame& frame) {
    return CompletePartialChecksum(frame.data, frame.length_bytes);
  }));
}

}  // namespace sluice
