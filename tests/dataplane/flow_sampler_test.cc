#include "dataplane/lane/flow_sampler.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/dataplane/parse_burst.h"
#include "tests/lib/packet.h"

namespace sluice {
namespace {

class FlowSamplerTest : public testing::Test {
 protected:
  // Frame i of the next burst is of flow `flow_of(i)`.
  template <typename FlowOf>
  void Receive(uint32_t frames, FlowOf flow_of) {
    burst_->count = frames;
    for (uint32_t i = 0; i < frames; ++i) {
      packets_[i] =
          Packet().eth().ipv4("192.0.2.1", absl::StrCat("198.51.100.", flow_of(i) % 250)).udp(1000, 53).bytes();
      burst_->frames[i].data = packets_[i].data();
      burst_->frames[i].length_bytes = static_cast<uint32_t>(packets_[i].size());
      burst_->headers[i] = {};
    }
    ParseHeaders(*burst_);
    sampler_.Look(*burst_, *stats_);
  }
  double Share() const {
    return static_cast<double>(stats_->top_flow_samples.Get()) / static_cast<double>(stats_->flow_samples.Get());
  }

  std::unique_ptr<Burst> burst_ = std::make_unique<Burst>();
  std::unique_ptr<LaneStats> stats_ = std::make_unique<LaneStats>();
  Bytes packets_[kBurstFrames];
  FlowSampler sampler_;
};

TEST_F(FlowSamplerTest, LooksAtOneFrameOfEvery64) {
  for (int i = 0; i < 640; ++i) {
    Receive(1, [](uint32_t) { return 7; });
  }
  EXPECT_EQ(stats_->flow_samples.Get(), 10U);
  EXPECT_EQ(stats_->top_flow_samples.Get(), 9U) << "the first made it the candidate";
}

TEST_F(FlowSamplerTest, OneFlowHasAll) {
  for (int i = 0; i < 200; ++i) {
    Receive(64, [](uint32_t) { return 7; });
  }
  EXPECT_GT(Share(), 0.99);
}

TEST_F(FlowSamplerTest, ManyFlowsInStepWithTheBurstsHaveNone) {
  for (int i = 0; i < 2000; ++i) {
    Receive(64, [](uint32_t place) { return place; });
  }
  EXPECT_EQ(stats_->flow_samples.Get(), 2000U);
  EXPECT_LT(Share(), 0.05);
}

TEST_F(FlowSamplerTest, TheShareOfAnElephantAmongMice) {
  for (int i = 0; i < 4000; ++i) {
    Receive(64, [](uint32_t place) { return place % 5 == 0 ? 1 + place : 0; });  // 51 of 64
  }
  EXPECT_NEAR(Share(), 0.8, 0.05);
}

TEST_F(FlowSamplerTest, ANewElephantTakesTheOldOnesPlace) {
  for (int i = 0; i < 1000; ++i) {
    Receive(64, [](uint32_t) { return 7; });
  }
  const uint64_t before = stats_->top_flow_samples.Get();
  for (int i = 0; i < 200; ++i) {
    Receive(64, [](uint32_t) { return 8; });
  }
  EXPECT_GE(stats_->top_flow_samples.Get() - before, 200U - 70);
}

}  // namespace
}  // namespace sluice
