#include "dataplane/process/flow_ager.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "dataplane/base/steady_time.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/dataplane/flow_memory.h"

namespace sluice {
namespace {

constexpr uint32_t kEpoch = 3;
constexpr absl::Duration kLookEvery = absl::Seconds(1);

class FlowAgerTest : public ::testing::Test {
 protected:
  // Makes a table of each of these sizes.
  void Open(const std::vector<uint32_t>& buckets) {
    auto tables = std::make_unique<FlowTables>();
    for (const uint32_t count : buckets) {
      memories_.push_back(std::make_unique<FlowMemory>(count));
      tables->push_back(memories_.back()->Map());
    }
    ager_ = std::make_unique<FlowAger>(std::move(tables), offloaded_, now_);
    ager_->set_epoch(kEpoch);
  }
  sluice_flow& Offload(uint32_t table = 0) {
    sluice_flow& flow = memories_[table]->flow(0, 0);
    flow.epoch = kEpoch;
    flow.state = SLUICE_FLOW_OFFLOADED;
    return flow;
  }
  void LookAfter(absl::Duration time) {
    now_ += time;
    ager_->Look(kernel_, now_);
  }

  SteadyTime now_ = SteadyTime();
  FakeKernel kernel_;
  StatsCounter offloaded_;
  std::vector<std::unique_ptr<FlowMemory>> memories_;
  std::unique_ptr<FlowAger> ager_;
};

TEST_F(FlowAgerTest, LooksWhenALookIsDue) {
  Open({16, 16});
  Offload(0);
  Offload(1);
  LookAfter(kLookEvery - absl::Milliseconds(1));
  EXPECT_EQ(kernel_.fences, 0);
  EXPECT_EQ(offloaded_.Get(), 0U);
  LookAfter(absl::Milliseconds(1));
  EXPECT_EQ(kernel_.fences, 1) << "XDP programs that ran at the last look have ended";
  EXPECT_EQ(offloaded_.Get(), 2U);
  LookAfter(absl::ZeroDuration());
  EXPECT_EQ(kernel_.fences, 1);
}

TEST_F(FlowAgerTest, LooksAtALargeTableLessOften) {
  Open({16});
  EXPECT_EQ(ager_->look_every(), kLookEvery);
  Open({16, 65536 / SLUICE_FLOW_WAYS});
  EXPECT_EQ(ager_->look_every(), kLookEvery);
  Open({8 * 65536 / SLUICE_FLOW_WAYS, 16});
  EXPECT_EQ(ager_->look_every(), 8 * kLookEvery);
}

TEST_F(FlowAgerTest, AFlowGoesWhenItHasBeenIdleForHalfAMinute) {
  Open({16});
  const sluice_flow& flow = Offload();
  for (absl::Duration idle; idle < FlowAger::kIdle; idle += kLookEvery) {
    ASSERT_EQ(FlowMemory::State(flow), SLUICE_FLOW_OFFLOADED) << idle;
    LookAfter(kLookEvery);
  }
  EXPECT_EQ(FlowMemory::State(flow), SLUICE_FLOW_LEAVING);
  LookAfter(kLookEvery);
  EXPECT_EQ(FlowMemory::State(flow), SLUICE_FLOW_GONE);
  LookAfter(kLookEvery);
  EXPECT_EQ(FlowMemory::State(flow), SLUICE_FLOW_FREE);
  EXPECT_EQ(offloaded_.Get(), 0U);
}

TEST_F(FlowAgerTest, APacketKeepsAFlow) {
  Open({16});
  sluice_flow& flow = Offload();
  for (int i = 0; i < 100; ++i) {
    if (i % 25 == 0) {
      ++flow.packets;
    }
    LookAfter(kLookEvery);
    ASSERT_EQ(FlowMemory::State(flow), SLUICE_FLOW_OFFLOADED) << i;
  }
}

TEST_F(FlowAgerTest, AFlowOfALargeTableGoesAfterAsManyLooksAsFitHalfAMinute) {
  Open({65536 * 8 / SLUICE_FLOW_WAYS});
  const sluice_flow& flow = Offload();
  for (absl::Duration idle; idle + ager_->look_every() < FlowAger::kIdle; idle += ager_->look_every()) {
    ASSERT_EQ(FlowMemory::State(flow), SLUICE_FLOW_OFFLOADED) << idle;
    LookAfter(ager_->look_every());
  }
  EXPECT_EQ(FlowMemory::State(flow), SLUICE_FLOW_LEAVING) << "three looks, eight seconds apart";
}

TEST_F(FlowAgerTest, FlowsOfAnotherEpochDoNotCount) {
  Open({16});
  Offload();
  ager_->set_epoch(kEpoch + 1);
  LookAfter(kLookEvery);
  EXPECT_EQ(offloaded_.Get(), 0U);
}

}  // namespace
}  // namespace sluice
