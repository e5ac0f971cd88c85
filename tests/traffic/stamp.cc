#include "tests/traffic/stamp.h"

#include <algorithm>
#include <cstring>

namespace sluice::flowgen {
namespace {

constexpr size_t kRunAt = 2;
constexpr size_t kFlowAt = 4;
constexpr size_t kSequenceAt = 7;
constexpr size_t kSendAt = 11;
constexpr size_t kSpacingAt = 16;
constexpr size_t kChecksumAt = 20;
constexpr uint64_t kMaxSpacingTicks = UINT32_MAX;

void PutBe(uint8_t* at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    at[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
  }
}

uint64_t GetBe(const uint8_t* at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) {
    value = value << 8 | at[i];
  }
  return value;
}

// Multiplies and folds, one word at a time. Unlike the internet checksum it notices words in the wrong order.
uint64_t Mix(uint64_t hash, const uint8_t* data, size_t bytes) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
  while (bytes > 0) {
    uint64_t word = 0;
    const size_t step = std::min<size_t>(bytes, sizeof(word));
    std::memcpy(&word, data, step);
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 29;
    data += step;
    bytes -= step;
  }
  return hash;
}

uint16_t Checksum(absl::Span<const uint8_t> payload) {
  uint64_t hash = Mix(payload.size(), payload.data(), kChecksumAt);
  hash = Mix(hash, payload.data() + kStampBytes, payload.size() - kStampBytes);
  return static_cast<uint16_t>(hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48));
}

uint64_t Ticks(int64_t ns) {
  return static_cast<uint64_t>(ns) / kTickNs;
}

}  // namespace

void WriteStamp(const Stamp& stamp, absl::Span<uint8_t> payload) {
  uint8_t* p = payload.data();
  PutBe(p, kStampMagic, 2);
  PutBe(p + kRunAt, stamp.run, 2);
  PutBe(p + kFlowAt, static_cast<uint64_t>(stamp.direction) << 23 | stamp.flow, 3);
  PutBe(p + kSequenceAt, stamp.sequence, 4);
  PutBe(p + kSendAt, Ticks(stamp.send_ns) & kSendTicksMask, 5);
  PutBe(p + kSpacingAt, std::min(Ticks(stamp.spacing_ns), kMaxSpacingTicks), 4);
  std::memset(p + kStampBytes, static_cast<int>(stamp.sequence & 0xff), payload.size() - kStampBytes);
  PutBe(p + kChecksumAt, Checksum(payload), 2);
}

StampState ReadStamp(absl::Span<const uint8_t> payload, Stamp& stamp) {
  const uint8_t* p = payload.data();
  if (payload.size() < kStampBytes || GetBe(p, 2) != kStampMagic) {
    return StampState::kForeign;
  }
  stamp.run = static_cast<uint16_t>(GetBe(p + kRunAt, 2));
  if (GetBe(p + kChecksumAt, 2) != Checksum(payload)) {
    return StampState::kCorrupted;
  }
  const uint64_t flow = GetBe(p + kFlowAt, 3);
  stamp.direction = static_cast<uint8_t>(flow >> 23);
  stamp.flow = static_cast<uint32_t>(flow & (kMaxFlows - 1));
  stamp.sequence = static_cast<uint32_t>(GetBe(p + kSequenceAt, 4));
  stamp.send_ns = static_cast<int64_t>(GetBe(p + kSendAt, 5)) * kTickNs;
  stamp.spacing_ns = static_cast<int64_t>(GetBe(p + kSpacingAt, 4)) * kTickNs;
  return StampState::kGood;
}

int64_t AgeNs(const Stamp& stamp, int64_t now_ns) {
  const uint64_t age = (Ticks(now_ns) - Ticks(stamp.send_ns)) & kSendTicksMask;
  // Sign-extends 40 bits: since clocks are read at different moments, a packet may look sent in the future.
  return (static_cast<int64_t>(age << 24) >> 24) * kTickNs;
}

}  // namespace sluice::flowgen
