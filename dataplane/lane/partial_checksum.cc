#include "dataplane/lane/partial_checksum.h"

#include <cstring>

#include "dataplane/net/checksum.h"

namespace sluice {
namespace {

// Loose and strict source route (RFC 791 section 3.1): the last address of the route is the pseudo header's. True also
// for options that cannot be read to their end.
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

// The home address is the pseudo header's source (RFC 6275 section 11.3.1). `options`: the whole options header.
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

// Only hop-by-hop and destination options leave the checksum as it is described; an atomic fragment's is complete.
bool HasOnlyOptions(const uint8_t* ip, uint32_t header_bytes) {
  uint8_t next = ip[offsetof(Ipv6Header, next_header)];
  for (uint32_t at = SLUICE_IPV6_BYTES; at < header_bytes;) {
    const auto& extension = HeaderAt<Ipv6Extension>(ip, at);
    const uint32_t bytes = sluice_ipv6_extension_bytes(next, extension.length);
    if ((next != SLUICE_PROTO_HOP_BY_HOP && next != SLUICE_PROTO_DESTINATION_OPTIONS) ||
        HasHomeAddress(ip + at, bytes)) {
      return false;
    }
    next = extension.next_header;
    at += bytes;
  }
  return true;
}

// True when options or extension headers say that the pseudo header has another address than the IP header.
bool HasOtherAddress(const uint8_t* frame, const Headers& headers) {
  const uint8_t* ip = frame + headers.l3_offset;
  const uint32_t header_bytes = headers.l4_offset - headers.l3_offset;
  return headers.network == Network::kIpv4 ? HasSourceRoute(ip + SLUICE_IPV4_BYTES, header_bytes - SLUICE_IPV4_BYTES)
                                           : !HasOnlyOptions(ip, header_bytes);
}

// Completes the checksum in `field`, which equals the pseudo header's sum, unless it is another kind of packet.
[[gnu::noinline]] bool Complete(uint8_t* frame, const Headers& headers) {
  const bool udp = headers.protocol == SLUICE_PROTO_UDP;
  if ((udp && HeaderAt<UdpHeader>(frame, headers.l4_offset).length_bytes.host() != headers.l4_bytes) ||
      HasOtherAddress(frame, headers)) {
    return false;
  }
  // The pseudo header's part stands in the field. 0xffff is the other 0, and the one that UDP does not take for "none";
  // the kernel writes it for TCP as well (net/core/dev.c: skb_checksum_help).
  be16& field = udp ? HeaderAt<UdpHeader>(frame, headers.l4_offset).checksum
                    : HeaderAt<TcpHeader>(frame, headers.l4_offset).checksum;
  const be16 sum = Checksum(Sum(frame + headers.l4_offset, headers.l4_bytes));
  const be16 complete = sum == be16(0) ? be16(0xffff) : sum;
  const bool changed = field != complete;
  field = complete;
  return changed;
}

// True when the checksum equals the pseudo header's sum, nearly never.
[[gnu::always_inline]] inline bool LooksPartial(const uint8_t* frame, const Headers& headers) {
  uint32_t at = headers.l4_offset;
  if (headers.protocol == SLUICE_PROTO_TCP) {
    at += offsetof(TcpHeader, checksum);
  } else if (headers.protocol == SLUICE_PROTO_UDP) {
    at += offsetof(UdpHeader, checksum);
  } else {
    return false;
  }
  if (headers.fragment != Fragment::kNone) {
    return false;
  }
  const uint64_t pseudo_header =
      headers.network == Network::kIpv4
          ? PseudoHeader(HeaderAt<Ipv4Header>(frame, headers.l3_offset), headers.protocol, headers.l4_bytes)
          : PseudoHeader(HeaderAt<Ipv6Header>(frame, headers.l3_offset), headers.protocol, headers.l4_bytes);
  return HeaderAt<be16>(frame, at) == Fold(pseudo_header);
}

}  // namespace

bool CompletePartialChecksum(uint8_t* frame, const Headers& headers) {
  return LooksPartial(frame, headers) && Complete(frame, headers);
}

uint32_t ParseAndCompleteChecksums(Burst& burst) {
  uint32_t completed = 0;
  Headers* headers = burst.headers;
  for (const Frame& frame : burst) {
    // A plain frame's offsets are constants in its branch.
    uint8_t* const data = frame.data;
    bool partial;
    if (ParsePlain(data, frame.length_bytes, *headers)) {
      partial = LooksPartial(data, *headers);
    } else {
      ParseAny(data, frame.length_bytes, *headers);
      partial = LooksPartial(data, *headers);
    }
    if (partial) [[unlikely]] {
      completed += Complete(data, *headers) ? 1 : 0;
    }
    ++headers;
  }
  return completed;
}

}  // namespace sluice
