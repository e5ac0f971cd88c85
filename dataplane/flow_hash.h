// Which lane a flow leaves by when it cannot leave by its own: a hash of what stays the same in all of
// its packets.
//
// IPv4 and IPv6 over Ethernet, behind at most two VLAN tags: addresses and protocol, and for TCP, UDP
// and SCTP the ports. Every fragment is hashed without ports, since only the first one has them. IPv6
// extension headers are not walked: such packets are hashed by addresses and next header. Anything else:
// the two MAC addresses and the ethertype. The two directions of a flow hash differently; they arrive on
// different lanes anyway.
//
// Cheap rather than good: two multiplications per eight bytes. Not keyed: whoever can choose addresses
// can put flows on one lane, as with any RSS key that is public.
#ifndef SLUICE_DATAPLANE_FLOW_HASH_H_
#define SLUICE_DATAPLANE_FLOW_HASH_H_

#include <cstdint>
#include <cstring>

namespace sluice {
namespace flow_hash_internal {

template <typename T>
T Load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// The finalizer of MurmurHash3 (public domain), one word at a time.
inline uint64_t Mix(uint64_t hash, uint64_t word) {
  hash ^= word;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53ULL;
  hash ^= hash >> 33;
  return hash;
}

inline bool HasPorts(uint8_t protocol) {
  return protocol == 6 || protocol == 17 || protocol == 132;  // TCP, UDP, SCTP: ports come first
}

}  // namespace flow_hash_internal

inline uint32_t FlowHash(const uint8_t* data, uint32_t length_bytes) {
  using flow_hash_internal::HasPorts;
  using flow_hash_internal::Load;
  using flow_hash_internal::Mix;
  constexpr uint32_t kMacs = 12;
  constexpr uint32_t kTag = 4;
  constexpr uint32_t kIpv4Header = 20;
  constexpr uint32_t kIpv6Header = 40;

  if (length_bytes < kMacs + 2) {
    return 0;
  }
  uint32_t at = kMacs;
  uint16_t ethertype = __builtin_bswap16(Load<uint16_t>(data + at));
  for (int tags = 0; tags < 2 && (ethertype == 0x8100 || ethertype == 0x88a8) && at + kTag + 2 <= length_bytes;
       ++tags) {
    at += kTag;
    ethertype = __builtin_bswap16(Load<uint16_t>(data + at));
  }
  at += 2;

  const uint8_t* ip = data + at;
  const uint32_t ip_bytes = length_bytes - at;
  if (ethertype == 0x0800 && ip_bytes >= kIpv4Header) {
    const uint32_t header_bytes = (ip[0] & 0x0fU) * 4U;
    const uint8_t protocol = ip[9];
    // More-fragments flag or an offset, RFC 791 section 3.1.
    const bool fragment = (__builtin_bswap16(Load<uint16_t>(ip + 6)) & 0x3fff) != 0;
    uint64_t hash = Mix(protocol, Load<uint64_t>(ip + 12));
    if (!fragment && HasPorts(protocol) && header_bytes >= kIpv4Header && ip_bytes >= header_bytes + 4) {
      hash = Mix(hash, Load<uint32_t>(ip + header_bytes));
    }
    return static_cast<uint32_t>(hash);
  }
  if (ethertype == 0x86dd && ip_bytes >= kIpv6Header) {
    const uint8_t next_header = ip[6];
    uint64_t hash = next_header;
    for (uint32_t i = 8; i < kIpv6Header; i += 8) {
      hash = Mix(hash, Load<uint64_t>(ip + i));
    }
    if (HasPorts(next_header) && ip_bytes >= kIpv6Header + 4) {
      hash = Mix(hash, Load<uint32_t>(ip + kIpv6Header));
    }
    return static_cast<uint32_t>(hash);
  }
  return static_cast<uint32_t>(Mix(Mix(ethertype, Load<uint64_t>(data)), Load<uint32_t>(data + 8)));
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FLOW_HASH_H_
