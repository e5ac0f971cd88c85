// Numbers in network byte order: be16 and be32, which do not convert to numbers of the machine by themselves.
//
//   be16 port(443);            from a number of the machine
//   port.host() == 443         and back
//   port == other              compares without swapping bytes
//
// Trivial, of alignment 1, so that the structs of headers.h can lie anywhere in a frame. Pure; any thread.
#ifndef SLUICE_DATAPLANE_NET_BYTE_ORDER_H_
#define SLUICE_DATAPLANE_NET_BYTE_ORDER_H_

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace sluice {

template <std::unsigned_integral Word>
requires(sizeof(Word) == 2 || sizeof(Word) == 4) class BigEndian {
 public:
  BigEndian() = default;
  constexpr explicit BigEndian(Word host) : bytes_(std::bit_cast<Bytes>(Swapped(host))) {}
  // From and to a word whose bytes stand in memory as on the wire: BPF's __be16 and __be32, and checksum arithmetic.
  static constexpr BigEndian FromWire(Word wire) { return BigEndian(Swapped(wire)); }
  constexpr Word wire() const { return std::bit_cast<Word>(bytes_); }
  constexpr Word host() const { return Swapped(wire()); }

  constexpr bool operator==(const BigEndian& other) const { return wire() == other.wire(); }

 private:
  using Bytes = std::array<uint8_t, sizeof(Word)>;

  static constexpr Word Swapped(Word word) {
    if constexpr (std::endian::native == std::endian::big) {
      return word;
    } else if constexpr (sizeof(Word) == 2) {
      return __builtin_bswap16(word);
    } else {
      return __builtin_bswap32(word);
    }
  }

  Bytes bytes_;
};

using be16 = BigEndian<uint16_t>;
using be32 = BigEndian<uint32_t>;

static_assert(std::is_trivial_v<be16> && sizeof(be16) == 2 && alignof(be16) == 1);
static_assert(std::is_trivial_v<be32> && sizeof(be32) == 4 && alignof(be32) == 1);
static_assert(be16(0x0102).host() == 0x0102 && be32(0x01020304).host() == 0x01020304);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_NET_BYTE_ORDER_H_
