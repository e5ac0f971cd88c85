#include "tests/traffic/stamp.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::flowgen {
namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;

Stamp SomeStamp() {
  return {.run = 0xbeef,
          .direction = 1,
          .flow = kMaxFlows - 1,
          .sequence = 0xfffffffe,
          .send_ns = 5 * kHourNs,
          .spacing_ns = 1'000'000};
}

TEST(Stamp, SurvivesTheWire) {
  for (const size_t size : {kStampBytes, kStampBytes + 1, kStampBytes + 7, size_t{1472}}) {
    std::vector<uint8_t> payload(size);
    WriteStamp(SomeStamp(), absl::MakeSpan(payload));
    Stamp read;
    ASSERT_EQ(ReadStamp(payload, read), StampState::kGood) << size;
    EXPECT_EQ(read.run, 0xbeef);
    EXPECT_EQ(read.direction, 1);
    EXPECT_EQ(read.flow, kMaxFlows - 1);
    EXPECT_EQ(read.sequence, 0xfffffffe);
    EXPECT_EQ(read.spacing_ns, 1'000'000);
  }
}

TEST(Stamp, AnyChangedByteIsNoticed) {
  std::vector<uint8_t> payload(kStampBytes + 13);
  WriteStamp(SomeStamp(), absl::MakeSpan(payload));
  for (size_t i = 0; i < payload.size(); ++i) {
    std::vector<uint8_t> changed = payload;
    changed[i] ^= 0x40;
    Stamp read;
    const StampState expected = i < 2 ? StampState::kForeign : StampState::kCorrupted;
    EXPECT_EQ(ReadStamp(changed, read), expected) << "byte " << i;
  }
}

TEST(Stamp, CutOffPayloadIsNoticed) {
  std::vector<uint8_t> payload(100);
  WriteStamp(SomeStamp(), absl::MakeSpan(payload));
  Stamp read;
  EXPECT_EQ(ReadStamp(absl::MakeConstSpan(payload).first(99), read), StampState::kCorrupted);
  EXPECT_EQ(ReadStamp(absl::MakeConstSpan(payload).first(kStampBytes - 1), read), StampState::kForeign);
}

TEST(Stamp, AgeIsRightAcrossTheWrapOfTheSendTime) {
  constexpr int64_t kWrapNs = static_cast<int64_t>(kSendTicksMask + 1) * kTickNs;
  for (const int64_t sent_ns : {int64_t{1600}, kWrapNs - 1600, 3 * kWrapNs - 16}) {
    std::vector<uint8_t> payload(kStampBytes);
    WriteStamp({.send_ns = sent_ns}, absl::MakeSpan(payload));
    Stamp read;
    ASSERT_EQ(ReadStamp(payload, read), StampState::kGood);
    EXPECT_EQ(AgeNs(read, sent_ns + 4000), 4000) << sent_ns;
    EXPECT_EQ(AgeNs(read, sent_ns - 160), -160) << "clocks may differ a little";
  }
}

TEST(Stamp, LongSpacingSaturates) {
  std::vector<uint8_t> payload(kStampBytes);
  WriteStamp({.spacing_ns = kHourNs}, absl::MakeSpan(payload));
  Stamp read;
  ASSERT_EQ(ReadStamp(payload, read), StampState::kGood);
  EXPECT_EQ(read.spacing_ns, int64_t{UINT32_MAX} * kTickNs);
}

}  // namespace
}  // namespace sluice::flowgen
