// The request OffloadFlows, which gives the dataplane flow tables, changes their epoch, or takes them away.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/base/steady_time.h"
#include "tests/dataplane/fake_agent.h"
#include "tests/dataplane/flow_memory.h"

namespace sluice {
namespace {

constexpr uint32_t kBuckets = 16;
constexpr absl::Duration kLookEvery = absl::Seconds(1);
constexpr uint32_t kEpoch = 5;

class OffloadFlowsTest : public DataplaneTest {
 protected:
  using Memories = std::vector<std::unique_ptr<FlowMemory>>;  // by port
  static Memories MakeMemories() {
    Memories memories;
    for (uint32_t port = 0; port < kPorts; ++port) {
      memories.push_back(std::make_unique<FlowMemory>(kBuckets));
    }
    return memories;
  }

  struct Message {
    dataplane::Request request;
    std::vector<UniqueFd> fds;
  };
  static Message WithTables(uint32_t epoch, const Memories& memories) {
    Message message;
    message.request.mutable_offload_flows()->set_epoch(epoch);
    for (const auto& memory : memories) {
      message.request.mutable_offload_flows()->add_buckets(memory->buckets);
      message.fds.push_back(Duplicate(memory->flows_fd));
      message.fds.push_back(Duplicate(memory->details_fd));
      message.fds.push_back(Duplicate(memory->credit_fd));
    }
    return message;
  }
  absl::Status Send(Message message) { return dataplane_->Execute(message.request, std::move(message.fds)); }
  absl::Status SendEpoch(uint32_t epoch) { return Send(WithTables(epoch, {})); }

  // Sends enough packets of the flow through both ports of lane 0 for the function to decide on it.
  void Offload(uint32_t flow) {
    for (uint64_t i = 0; i < 16; ++i) {
      ASSERT_TRUE(socket(0, i % kPorts).Deliver(UdpPacket(flow, i)));
    }
    received_ += 16;
    ASSERT_TRUE(Settled(received_)) << Balance::Of(*stats_);
  }
  // Expects the flow to be offloaded in every port's table, in this epoch.
  static void ExpectOffloaded(const Memories& memories, uint32_t flow, uint32_t epoch) {
    for (const auto& memory : memories) {
      const sluice_flow* entry = memory->Find(KeyOf(UdpPacket(flow, 0)));
      ASSERT_NE(entry, nullptr);
      EXPECT_EQ(FlowMemory::State(*entry), SLUICE_FLOW_PENDING);
      EXPECT_EQ(entry->epoch, epoch);
      EXPECT_EQ(entry->changes, SLUICE_FLOW_SWAP_MACS);
    }
  }
  static void ExpectUnknown(const Memories& memories, uint32_t flow) {
    for (const auto& memory : memories) {
      EXPECT_EQ(memory->Find(KeyOf(UdpPacket(flow, 0))), nullptr);
    }
  }

  // Sends malformed requests and expects each to be refused.
  void SendWhatIsWrong(uint32_t epoch, const Memories& memories) {
    const std::vector<std::pair<const char*, std::function<void(Message&)>>> wrong = {
        {"a descriptor too few", [](Message& message) { message.fds.pop_back(); }},
        {"one too many", [](Message& message) { message.fds.push_back(UniqueFd(memfd_create("more", MFD_CLOEXEC))); }},
        {"no descriptors", [](Message& message) { message.fds.clear(); }},
        {"a port too few",
         [](Message& message) { message.request.mutable_offload_flows()->mutable_buckets()->RemoveLast(); }},
        {"a port too many", [](Message& message) { message.request.mutable_offload_flows()->add_buckets(kBuckets); }},
        {"buckets that are no power of two",
         [](Message& message) { message.request.mutable_offload_flows()->set_buckets(1, 12); }},
        {"no buckets", [](Message& message) { message.request.mutable_offload_flows()->set_buckets(0, 0); }},
    };
    for (const auto& [what, change] : wrong) {
      Message message = WithTables(epoch, memories);
      change(message);
      EXPECT_EQ(Send(std::move(message)).code(), absl::StatusCode::kInvalidArgument) << what;
    }
    Message message = WithTables(epoch, memories);
    message.fds.back().Reset();
    EXPECT_FALSE(Send(std::move(message)).ok()) << "a table that cannot be mapped";
  }

  uint64_t received_ = 0;
};

TEST_F(OffloadFlowsTest, WantsToBeConfiguredFirst) {
  EXPECT_EQ(Send(WithTables(kEpoch, MakeMemories())).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(OffloadFlowsTest, FlowsAreOffloadedInTheTablesThatCame) {
  Start(1);
  const Memories memories = MakeMemories();
  Offload(1);
  ASSERT_TRUE(Send(WithTables(kEpoch, memories)).ok());
  Offload(2);
  ExpectUnknown(memories, 1);
  ExpectOffloaded(memories, 2, kEpoch);
}

TEST_F(OffloadFlowsTest, ARefusedRequestTurnsNothingOn) {
  Start(1);
  const Memories memories = MakeMemories();
  SendWhatIsWrong(kEpoch, memories);
  EXPECT_EQ(SendEpoch(kEpoch).code(), absl::StatusCode::kInvalidArgument) << "there are no tables to keep";
  Offload(1);
  ExpectUnknown(memories, 1);
}

TEST_F(OffloadFlowsTest, ARefusedRequestLeavesEpochAndTables) {
  Start(1);
  const Memories memories = MakeMemories();
  const Memories refused = MakeMemories();
  ASSERT_TRUE(Send(WithTables(kEpoch, memories)).ok());
  SendWhatIsWrong(kEpoch + 1, refused);
  Offload(1);
  ExpectOffloaded(memories, 1, kEpoch);
  ExpectUnknown(refused, 1);
}

TEST_F(OffloadFlowsTest, ANewEpochKeepsTheTables) {
  Start(1);
  const Memories memories = MakeMemories();
  ASSERT_TRUE(Send(WithTables(kEpoch, memories)).ok());
  Offload(1);
  ExpectOffloaded(memories, 1, kEpoch);
  ASSERT_TRUE(SendEpoch(kEpoch + 1).ok());
  Offload(1);
  Offload(2);
  ExpectOffloaded(memories, 1, kEpoch + 1);
  ExpectOffloaded(memories, 2, kEpoch + 1);
}

TEST_F(OffloadFlowsTest, OtherTablesTakeTheirPlace) {
  Start(1);
  const Memories former = MakeMemories();
  const Memories memories = MakeMemories();
  ASSERT_TRUE(Send(WithTables(kEpoch, former)).ok());
  ASSERT_TRUE(Send(WithTables(kEpoch + 1, memories)).ok());
  Offload(1);
  ExpectUnknown(former, 1);
  ExpectOffloaded(memories, 1, kEpoch + 1);
}

TEST_F(OffloadFlowsTest, EpochZeroTurnsItOff) {
  Start(1);
  const Memories memories = MakeMemories();
  ASSERT_TRUE(SendEpoch(0).ok()) << "it was";
  ASSERT_TRUE(Send(WithTables(kEpoch, memories)).ok());
  ASSERT_TRUE(SendEpoch(0).ok());
  Offload(1);
  ExpectUnknown(memories, 1);
  EXPECT_EQ(SendEpoch(kEpoch + 1).code(), absl::StatusCode::kInvalidArgument) << "the tables went";
}

TEST_F(OffloadFlowsTest, LooksAtFlowsOfTheEpochWhenItIsTime) {
  Start(1);
  const Memories memories = MakeMemories();
  ASSERT_TRUE(Send(WithTables(kEpoch, memories)).ok());
  Offload(1);
  for (const auto& memory : memories) {
    memory->Find(KeyOf(UdpPacket(1, 0)))->state = SLUICE_FLOW_OFFLOADED;
  }
  const SteadyTime now = SteadyTime::Now();
  dataplane_->Tick(now);
  EXPECT_EQ(kernel_.fences, 0) << "too early";
  EXPECT_EQ(stats_->flows_offloaded.Get(), 0U);
  dataplane_->Tick(now + kLookEvery);
  EXPECT_EQ(kernel_.fences, 1) << "what XDP was doing has ended";
  EXPECT_EQ(stats_->flows_offloaded.Get(), kPorts);
  ASSERT_TRUE(SendEpoch(kEpoch + 1).ok());
  EXPECT_EQ(stats_->flows_offloaded.Get(), 0U);
  dataplane_->Tick(now + 2 * kLookEvery);
  EXPECT_EQ(kernel_.fences, 2);
  EXPECT_EQ(stats_->flows_offloaded.Get(), 0U) << "of a former epoch";
}

}  // namespace
}  // namespace sluice
