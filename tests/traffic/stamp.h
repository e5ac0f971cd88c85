// The 22 bytes that flowgen writes at the start of every UDP payload, so that it can account for each packet. A 64-byte
// IPv4 frame has exactly 22 bytes behind its headers (14 + 20 + 8).
//
//   0      2      4         7            11                16            20         22
//   | magic | run  | dir+flow | sequence   | send time        | spacing     | checksum |
//
// All fields are big-endian. Send time and spacing are CLOCK_MONOTONIC in ticks of 16 ns. The send time wraps after 4.8
// hours, which is harmless because only differences are used. Spacing is the time since the flow's previous packet was
// sent, at most 68 s: it lets the receiver tell a pause of the device from a pause of the sender. The checksum covers
// the stamp and everything behind it.
#ifndef SLUICE_TESTS_TRAFFIC_STAMP_H_
#define SLUICE_TESTS_TRAFFIC_STAMP_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace sluice::flowgen {

inline constexpr uint16_t kStampMagic = 0x51ce;
inline constexpr size_t kStampBytes = 22;
inline constexpr uint32_t kMaxFlows = 1u << 23;  // 23 bits for the flow, one for the direction
inline constexpr int64_t kTickNs = 16;
inline constexpr uint64_t kSendTicksMask = (uint64_t{1} << 40) - 1;

struct Stamp {
  uint16_t run = 0;
  uint8_t direction = 0;  // 0: A to B, 1: B to A
  uint32_t flow = 0;
  uint32_t sequence = 0;  // low 32 bits
  int64_t send_ns = 0;    // CLOCK_MONOTONIC; in a stamp that was read, use AgeNs()
  int64_t spacing_ns = 0;
};

enum class StampState { kForeign, kCorrupted, kGood };

// Writes the stamp to `payload`, which has at least kStampBytes, and fills the rest with a pattern.
void WriteStamp(const Stamp& stamp, absl::Span<uint8_t> payload);

// Reads a stamp. Returns kForeign if the payload is too short or not flowgen's, and kCorrupted if it is flowgen's, of
// run `stamp.run`, but the checksum does not match, so that flow and sequence mean nothing.
StampState ReadStamp(absl::Span<const uint8_t> payload, Stamp& stamp);

// Returns how long before `now_ns` a stamp that was read was sent, exact to a tick.
int64_t AgeNs(const Stamp& stamp, int64_t now_ns);

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_STAMP_H_
