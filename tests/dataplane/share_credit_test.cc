// The request ShareCredit, after which present and future lanes tell XDP how many packets they have room for.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "tests/dataplane/fake_agent.h"
#include "tests/dataplane/flow_memory.h"

namespace sluice {
namespace {

class ShareCreditTest : public DataplaneTest {
 protected:
  void SetUp() override {
    for (uint32_t port = 0; port < kPorts; ++port) {
      memories_.push_back(std::make_unique<FlowMemory>(1));
    }
  }
  std::vector<UniqueFd> CreditFds() const {
    std::vector<UniqueFd> fds;
    for (const auto& memory : memories_) {
      fds.push_back(Duplicate(memory->credit_fd));
    }
    return fds;
  }
  absl::Status Send(std::vector<UniqueFd> fds) {
    dataplane::Request request;
    request.mutable_share_credit();
    return dataplane_->Execute(request, std::move(fds));
  }
  // Sets the limits that a dead dataplane leaves.
  void LeaveLimits() {
    for (const auto& memory : memories_) {
      for (uint32_t queue = 0; queue < SLUICE_MAX_QUEUES; ++queue) {
        memory->credit(queue).limited = 1;
      }
    }
  }
  bool Limited(uint32_t queue) {
    bool limited = false;
    for (const auto& memory : memories_) {
      limited |= __atomic_load_n(&memory->credit(queue).limited, __ATOMIC_ACQUIRE) != 0;
    }
    return limited;
  }

  std::vector<std::unique_ptr<FlowMemory>> memories_;  // by port
};

TEST_F(ShareCreditTest, PresentAndFutureLanesBeginWithoutLimit) {
  Start(2);
  LeaveLimits();
  ASSERT_TRUE(Send(CreditFds()).ok());
  EXPECT_FALSE(Limited(0));
  EXPECT_FALSE(Limited(1));
  EXPECT_TRUE(Limited(2)) << "no lane has this queue";
  ASSERT_TRUE(Add(MakeLane(2)).ok());
  EXPECT_FALSE(Limited(2));
}

TEST_F(ShareCreditTest, TheBridgesLaneHasNoQueueOfTheDevice) {
  Start(1);
  ASSERT_TRUE(Add(MakeLane(kBridgeLane, dataplane::LANE_KIND_BRIDGE)).ok());
  ASSERT_TRUE(Send(CreditFds()).ok());
  ASSERT_TRUE(socket(kBridgeLane, 0).Deliver(UdpPacket(1, 1)));
  EXPECT_TRUE(Settled(1)) << Balance::Of(*stats_);
}

TEST_F(ShareCreditTest, OtherMemoryTakesItsPlace) {
  Start(1);
  ASSERT_TRUE(Send(CreditFds()).ok());
  const auto former = std::exchange(memories_, {});
  SetUp();
  LeaveLimits();
  ASSERT_TRUE(Send(CreditFds()).ok());
  EXPECT_FALSE(Limited(0));
  ASSERT_TRUE(socket(0, 0).Deliver(UdpPacket(1, 1)));
  EXPECT_TRUE(Settled(1)) << Balance::Of(*stats_);
}

TEST_F(ShareCreditTest, ARequestThatDoesNotFitIsRefused) {
  EXPECT_EQ(Send(CreditFds()).code(), absl::StatusCode::kFailedPrecondition) << "not configured yet";
  Start(1);
  LeaveLimits();
  EXPECT_EQ(Send({}).code(), absl::StatusCode::kInvalidArgument);
  std::vector<UniqueFd> fds = CreditFds();
  fds.pop_back();
  EXPECT_EQ(Send(std::move(fds)).code(), absl::StatusCode::kInvalidArgument) << "a port too few";
  fds = CreditFds();
  fds.back().Reset();
  EXPECT_FALSE(Send(std::move(fds)).ok());
  EXPECT_TRUE(Limited(0)) << "nothing was changed";
}

}  // namespace
}  // namespace sluice
