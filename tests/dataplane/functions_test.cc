#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/function/burst.h"
#include "dataplane/functions/catalog.h"
#include "dataplane/functions/function_factory.h"
#include "tests/dataplane/test_lane_context.h"

namespace sluice {
namespace {

// A burst over the given packets, received on `port`.
Burst BurstOf(std::vector<std::string>& packets, uint8_t port) {
  Burst burst{};
  for (std::string& packet : packets) {
    burst.frames[burst.count++] = {reinterpret_cast<uint8_t*>(packet.data()), 0, static_cast<uint32_t>(packet.size()),
                                   port, Verdict()};
  }
  return burst;
}

TEST(Verdict, IsDropUntilOneIsGiven) {
  const Verdict verdict;
  EXPECT_FALSE(verdict.transmits());
  EXPECT_EQ(verdict.drop_index(), static_cast<uint32_t>(DropReason::kFunction));
  EXPECT_EQ(Verdict::Transmit(3).port(), 3U);
  EXPECT_TRUE(Verdict::Transmit(3).transmits());
  EXPECT_EQ(Verdict::Drop(DropReason::kMalformed).drop_index(), static_cast<uint32_t>(DropReason::kMalformed));
  EXPECT_EQ(Verdict::DropFor(2).drop_index(), kDropReasons + 2);
}

TEST(Verdict, IsOfOneKind) {
  EXPECT_EQ(Verdict().kind(), Verdict::Kind::kDrop);
  EXPECT_EQ(Verdict::Transmit(0).kind(), Verdict::Kind::kTransmit);
  EXPECT_EQ(Verdict::ToKernel().kind(), Verdict::Kind::kToKernel);
  EXPECT_EQ(Verdict::Hold().kind(), Verdict::Kind::kHold);
  EXPECT_FALSE(Verdict::ToKernel().transmits());
  EXPECT_NE(Verdict::ToKernel(), Verdict::Transmit(0)) << "the two have the same detail byte";
}

TEST(Burst, IteratesOverItsCountOnly) {
  Burst burst{};
  EXPECT_EQ(burst.begin(), burst.end());
  burst.count = kBurstFrames;
  EXPECT_EQ(burst.end() - burst.begin(), kBurstFrames);
}

TEST(Reflect, SwapsAddressesAndSendsBack) {
  std::vector<std::string> packets = {"DDDDDDSSSSSS\x08\x00payload", "DDDDDDSSSSSS\x08", ""};
  packets[0] = std::string("DDDDDDSSSSSS\x08\x00payload", 21);
  Burst burst = BurstOf(packets, 2);
  TestLaneContext lane;
  MakeFunction("reflect", 4)->function->Process(lane, burst);
  EXPECT_EQ(packets[0], std::string("SSSSSSDDDDDD\x08\x00payload", 21));
  EXPECT_EQ(burst.frames[0].verdict, Verdict::Transmit(2));
  for (const int shorter : {1, 2}) {
    EXPECT_EQ(burst.frames[shorter].verdict, Verdict::Drop(DropReason::kMalformed));
  }
  EXPECT_EQ(packets[1], "DDDDDDSSSSSS\x08") << "a malformed frame is left alone";
}

TEST(Forward, SendsOutOfTheOtherPortUnchanged) {
  std::vector<std::string> packets = {"DDDDDDSSSSSS..payload"};
  for (const uint8_t port : {0, 1}) {
    Burst burst = BurstOf(packets, port);
    TestLaneContext lane;
    MakeFunction("forward", 2)->function->Process(lane, burst);
    EXPECT_EQ(burst.frames[0].verdict, Verdict::Transmit(1U - port));
    EXPECT_EQ(packets[0], "DDDDDDSSSSSS..payload");
  }
}

TEST(FunctionFactory, SaysWhatItCannotMake) {
  for (const uint32_t ports : {0U, 1U, 3U, 4U}) {
    const auto function = MakeFunction("forward", ports);
    EXPECT_EQ(function.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(function.status().message().find("works on 2 ports"), absl::string_view::npos);
  }
  EXPECT_FALSE(MakeFunction("reflect", kMaxPorts + 1).ok());
  const auto unknown = MakeFunction("nat", 2);
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(unknown.status().message().find(FunctionNames()), absl::string_view::npos) << "it lists all that there are";
}

}  // namespace
}  // namespace sluice
