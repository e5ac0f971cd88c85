// The internet checksum (RFC 1071): of bytes, of a pseudo header, and by difference (RFC 1624).
//
//   ip.checksum = Checksum(Sum(&ip, sizeof(ip)));                             with the field 0 before
//   udp.checksum = Checksum(Sum(&udp, bytes, PseudoHeader(ip, SLUICE_PROTO_UDP, bytes)));
//   ip.checksum = Update16(ip.checksum, before, after);
//   Fold(Sum(&ip, sizeof(ip))) == kChecksumIsRight                            with the field as received
//
// A *sum* has 64 bits, not yet folded, and adds words as they stand in memory: ones' complement sums are the same in
// either byte order (RFC 1071 section 2). Sums are added by Plus, which adds the carry as well. Pure; any thread.
#ifndef SLUICE_DATAPLANE_NET_CHECKSUM_H_
#define SLUICE_DATAPLANE_NET_CHECKSUM_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bpf/header_numbers.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/net/headers.h"

namespace sluice {

namespace checksum_internal {

inline uint64_t Load64(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// Shifting by 8 bits swaps the bytes as far as a folded sum is concerned: 65,536 is 1 in ones' complement.
constexpr uint64_t PseudoTail(uint8_t protocol, uint32_t l4_bytes) {
  static_assert(std::endian::native == std::endian::little);
  return (uint64_t{l4_bytes} + protocol) << 8;
}

}  // namespace checksum_internal

// Adds two sums and the carry. 0 only if both are 0.
constexpr uint64_t Plus(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum + (sum < b ? 1 : 0);
}

// Returns `sum` and the bytes added up. The bytes added before are of even number. An odd last byte counts as if a 0
// followed it.
inline uint64_t Sum(const void* data, size_t bytes, uint64_t sum = 0) {
  const auto* at = static_cast<const uint8_t*>(data);
  uint64_t word;
  for (; bytes >= sizeof(word); at += sizeof(word), bytes -= sizeof(word)) {
    std::memcpy(&word, at, sizeof(word));
    sum = Plus(sum, word);
  }
  if (bytes > 0) {
    word = 0;
    std::memcpy(&word, at, bytes);
    sum = Plus(sum, word);
  }
  return sum;
}

// Folds a sum into 16 bits. 0 only for a sum of 0.
inline be16 Fold(uint64_t sum) {
  // Adding both halves in either order leaves their sum and its carry in the upper half.
  sum += std::rotl(sum, 32);
  return be16::FromWire(sluice_fold(static_cast<uint32_t>(sum >> 32)));
}

// Returns the checksum for a sum over everything that it covers, the field itself as 0.
inline be16 Checksum(uint64_t sum) {
  return be16::FromWire(static_cast<uint16_t>(~Fold(sum).wire()));
}

// The folded sum over everything that a right checksum covers, the field included.
inline constexpr be16 kChecksumIsRight{0xffff};

// Sums of the pseudo header of TCP, UDP or ICMPv6 (RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1). `l4_bytes` is
// the length of header and payload. Without loops, as every received frame is asked for its.
inline uint64_t PseudoHeader(const Ipv4Header& ip, uint8_t protocol, uint32_t l4_bytes) {
  const uint8_t* addresses = reinterpret_cast<const uint8_t*>(&ip.source);
  return Plus(checksum_internal::Load64(addresses), checksum_internal::PseudoTail(protocol, l4_bytes));
}
inline uint64_t PseudoHeader(const Ipv6Header& ip, uint8_t protocol, uint32_t l4_bytes) {
  const uint8_t* addresses = ip.source.bytes;
  const uint64_t source = Plus(checksum_internal::Load64(addresses), checksum_internal::Load64(addresses + 8));
  const uint64_t destination =
      Plus(checksum_internal::Load64(addresses + 16), checksum_internal::Load64(addresses + 24));
  return Plus(Plus(source, destination), checksum_internal::PseudoTail(protocol, l4_bytes));
}

// Returns the sum's change when these bytes become others. `bytes` is even. Changes add up by Plus.
inline uint64_t Difference(const void* from, const void* to, size_t bytes) {
  const auto* was = static_cast<const uint8_t*>(from);
  const auto* is = static_cast<const uint8_t*>(to);
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes; i += 2) {
    sum += uint64_t{static_cast<uint16_t>(~sluice_load_be16(was + i))} + sluice_load_be16(is + i);
  }
  return sum;
}

// The checksum after a change, by RFC 1624 equation 3: a wrong one stays wrong. A result of 0 is written as 0xffff by
// UDP, where 0 says that there is none (RFC 768).
inline be16 Updated(be16 checksum, uint64_t difference) {
  return Checksum(Plus(difference, static_cast<uint16_t>(~checksum.wire())));
}
inline be16 Update16(be16 checksum, be16 from, be16 to) {
  return Updated(checksum, Difference(&from, &to, sizeof(from)));
}
inline be16 Update32(be16 checksum, be32 from, be32 to) {
  return Updated(checksum, Difference(&from, &to, sizeof(from)));
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_NET_CHECKSUM_H_
