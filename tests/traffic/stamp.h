// The 22 bytes that flowgen puts at the start of every UDP payload, so that each packet can be accounted
// for on its own. 22 is what a 64-byte IPv4 frame leaves behind its headers (14 + 20 + 8).
//
//   0      2      4         7            11                16            20         22
//   | magic | run  | dir+flow | sequence   | send time        | spacing     | checksum |
//
// All big-endian. Send time and spacing are CLOCK_MONOTONIC in ticks of 16 ns; the send time wraps after
// 4.8 hours, which is harmless because only differences are used. Spacing is the time since the flow's
// previous packet was sent, saturating at 68 s: it lets the receiver tell a pause of the device from a
// pause of the sender. The checksum covers the stamp and everything behind it.
#ifndef SLUICE_TESTS_TRAFFIC_STAMP_H_
#define SLUICE_TESTS_TRAFFIC_STAMP_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace sluice::flowgen {

inline constexpr uint16_t kStampMagic = 0x51ce;
inline constexpr size_t kStampBytes = 22;
inline constexpr uint32_t kMaxFlows = 1u << 23;  // 23 bits beside the direction's one
inline constexpr int64_t kTickNs = 16;
inline constexpr uint64_t kSendTicksMask = (uint64_t{1} << 40) - 1;

struct Stamp {
  uint16_t run = 0;
  uint8_t direction = 0;  // 0: A to B, 1: B to A
  uint32_t flow = 0;
  uint32_t sequence = 0;  // low 32 bits
  int64_t send_ns = 0;    // CLOCK_MONOTONIC; after reading, only meaningful through AgeNs()
  int64_t spacing_ns = 0;
};

enum class StampState { kForeign, kCorrupted, kGood };

// `payload` is at least kStampBytes long; what follows the stamp is filled with a pattern.
void WriteStamp(const Stamp& stamp, absl::Span<uint8_t> payload);

// kForeign: too short, or not flowgen's. kCorrupted: flowgen's, of run `stamp.run`, but the checksum does
// not match, so flow and sequence mean nothing.
StampState ReadStamp(absl::Span<const uint8_t> payload, Stamp& stamp);

// How long before `now_ns` a stamp that was read was sent, exact to a tick.
int64_t AgeNs(const Stamp& stamp, int64_t now_ns);

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_STAMP_H_
