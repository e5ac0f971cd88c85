// Which lane a flow leaves by when it cannot leave by its own: a hash of what stays the same in all of
// its packets.
//
// IPv4 and IPv6 over Ethernet, behind at most two VLAN tags: addresses and protocol, and for TCP, UDP
// and SCTP the ports. Every fragment is hashed without ports, since only the first one has them. IPv6
// extension headers are not walked: such packets are hashed by addresses and next header. Anything else:
// the two MAC addresses and the ethertype. Both directions of a flow have the same hash, so they meet on one
// lane where the device follows the queue we send on.
//
// Cheap rather than good: some multiplications. Not keyed: whoever can choose addresses
// can put flows on one lane, as with any RSS key that is public.
#ifndef SLUICE_DATAPLANE_NET_FLOW_HASH_H_
#define SLUICE_DATAPLANE_NET_FLOW_HASH_H_

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

// Of two ends, in whichever order.
inline uint32_t MixEnds(uint64_t hash, uint64_t one, uint64_t other) {
  return static_cast<uint32_t>(Mix(hash, one + other));
}

inline bool HasPorts(uint8_t protocol) {
  return protocol == 6 || protocol == 17 || protocol == 132;  // TCP, UDP, SCTP: ports come first
}

}  // namespace flow_hash_internal

inline uint32_t FlowHash(const uint8_t* data, uint32_t length_bytes) {
  using flow_hash_internal::HasPorts;
  using flow_hash_internal::Load;
  using flow_hash_internal::Mix;
  using flow_hash_internal::MixEnds;
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
    uint64_t source = Load<uint32_t>(ip + 12);
    uint64_t destination = Load<uint32_t>(ip + 16);
    if (!fragment && HasPorts(protocol) && header_bytes >= kIpv4Header && ip_bytes >= header_bytes + 4) {
      source |= uint64_t{Load<uint16_t>(ip + header_bytes)} << 32;
      destination |= uint64_t{Load<uint16_t>(ip + header_bytes + 2)} << 32;
    }
    return MixEnds(protocol, Mix(0, source), Mix(0, destination));
  }
  if (ethertype == 0x86dd && ip_bytes >= kIpv6Header) {
    const uint8_t next_header = ip[6];
    uint64_t source = Mix(Mix(0, Load<uint64_t>(ip + 8)), Load<uint64_t>(ip + 16));
    uint64_t destination = Mix(Mix(0, Load<uint64_t>(ip + 24)), Load<uint64_t>(ip + 32));
    if (HasPorts(next_header) && ip_bytes >= kIpv6Header + 4) {
      source = Mix(source, Load<uint16_t>(ip + kIpv6Header));
      destination = Mix(destination, Load<uint16_t>(ip + kIpv6Header + 2));
    }
    return MixEnds(next_header, source, destination);
  }
  constexpr uint64_t kMac = 0xffffffffffff;
  const uint64_t destination = Load<uint64_t>(data) & kMac;  // of a little-endian machine
  const uint64_t source = Load<uint64_t>(data + 4) >> 16;
  return MixEnds(ethertype, Mix(0, source), Mix(0, destination));
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_NET_FLOW_HASH_H_
