// The life of a flow's entry, as workers and the control thread see it. The tests do XDP's part by hand.
#include "dataplane/offload/flow_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "dataplane/function/flow_action.h"
#include "tests/dataplane/flow_memory.h"

namespace sluice {
namespace {

constexpr uint32_t kBuckets = 4;
constexpr uint32_t kEpoch = 7;
constexpr uint32_t kHash = 0xabcd0001;  // bucket 1
constexpr uint32_t kBucket = kHash % kBuckets;

class FlowTableTest : public ::testing::Test {
 protected:
  static sluice_flow_key Key(uint32_t flow) { return KeyOf(UdpPacket(flow, 0)); }
  sluice_flow* Claim(uint32_t flow, uint32_t epoch = kEpoch) { return table_.FindOrClaim(Key(flow), kHash, epoch); }
  void Offload(uint32_t flow, uint32_t epoch = kEpoch) {
    sluice_flow* entry = Claim(flow, epoch);
    ASSERT_NE(entry, nullptr);
    table_.Offload(*entry, Key(flow), epoch, SentOut(flow));
    ASSERT_EQ(FlowTable::StateOf(*entry), SLUICE_FLOW_PENDING);
  }
  // The places for flows of kHash: in its bucket and in the next one.
  static constexpr uint32_t kPlaces = SLUICE_FLOW_PROBES * SLUICE_FLOW_WAYS;
  sluice_flow& way(uint32_t way) { return memory_.flow(kBucket + way / SLUICE_FLOW_WAYS, way % SLUICE_FLOW_WAYS); }
  sluice_flow_detail& detail(uint32_t way) {
    return memory_.detail(kBucket + way / SLUICE_FLOW_WAYS, way % SLUICE_FLOW_WAYS);
  }
  // Ages the table `looks` times and returns the flow's state after each.
  std::vector<uint32_t> Ages(const sluice_flow& flow, uint32_t looks, uint32_t idle_looks) {
    std::vector<uint32_t> states;
    for (uint32_t look = 0; look < looks; ++look) {
      table_.Age(kEpoch, idle_looks);
      states.push_back(FlowTable::StateOf(flow));
    }
    return states;
  }

  static absl::Status Map(const UniqueFd& flows, const UniqueFd& details, const UniqueFd& credit, uint32_t buckets) {
    return FlowTable::Map(flows.get(), details.get(), credit.get(), buckets).status();
  }

  FlowMemory memory_{kBuckets};
  FlowTable table_ = memory_.Map();
};

TEST_F(FlowTableTest, FindsTheSameFlowAgain) {
  sluice_flow* entry = Claim(1);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(FlowTable::StateOf(*entry), SLUICE_FLOW_SEEN);
  EXPECT_EQ(memory_.Find(Key(1)), &way(0));
  EXPECT_EQ(way(0).epoch, kEpoch);
  entry->packets = 3;
  EXPECT_EQ(Claim(1), entry);
  EXPECT_EQ(entry->packets, 3U);
  EXPECT_NE(Claim(2), entry) << "another flow of the same hash";
  EXPECT_EQ(memory_.Count(SLUICE_FLOW_SEEN), 2U);
  EXPECT_EQ(table_.entries(), kBuckets * SLUICE_FLOW_WAYS);
}

TEST_F(FlowTableTest, FindsAFlowBehindAFreeEntry) {
  Claim(1);
  sluice_flow* second = Claim(2);
  way(0).state = SLUICE_FLOW_FREE;
  EXPECT_EQ(Claim(2), second);
  EXPECT_EQ(FlowTable::StateOf(way(0)), SLUICE_FLOW_FREE);
}

TEST_F(FlowTableTest, FindsAnOffloadedFlowInEveryState) {
  Offload(1);
  sluice_flow* entry = Claim(1);
  for (const uint32_t state : {SLUICE_FLOW_PENDING, SLUICE_FLOW_OFFLOADED, SLUICE_FLOW_LEAVING, SLUICE_FLOW_GONE}) {
    way(0).state = state;
    EXPECT_EQ(Claim(1), entry) << state;
    EXPECT_EQ(FlowTable::StateOf(*entry), state);
  }
}

TEST_F(FlowTableTest, AFlowThatIsNotOffloadedMakesRoomInAFullBucket) {
  Offload(1);
  sluice_flow* seen = Claim(2);
  seen->packets = 3;
  for (uint32_t flow = 3; flow < kPlaces; ++flow) {
    Offload(flow);
  }
  EXPECT_NE(Claim(kPlaces), seen) << "a free entry is better";
  Offload(kPlaces);
  EXPECT_EQ(Claim(99), seen);
  EXPECT_EQ(seen->packets, 0U);
  EXPECT_EQ(memory_.Find(Key(2)), nullptr);
  EXPECT_EQ(memory_.Find(Key(99)), &way(1));
  EXPECT_EQ(memory_.Count(SLUICE_FLOW_PENDING), kPlaces - 1);
}

TEST_F(FlowTableTest, AFullBucketHasItsRoomInTheNext) {
  for (uint32_t flow = 1; flow <= SLUICE_FLOW_WAYS; ++flow) {
    Offload(flow);
  }
  ASSERT_NE(Claim(9), nullptr);
  EXPECT_EQ(memory_.Find(Key(9)), &way(SLUICE_FLOW_WAYS));
  EXPECT_EQ(Claim(9), Claim(9));
  way(0).state = SLUICE_FLOW_FREE;
  EXPECT_EQ(memory_.Count(SLUICE_FLOW_SEEN), 1U);
  Claim(9);
  EXPECT_EQ(memory_.Count(SLUICE_FLOW_SEEN), 1U) << "it stays there";
}

TEST_F(FlowTableTest, TheLastBucketsNextIsTheFirst) {
  for (uint32_t flow = 1; flow <= SLUICE_FLOW_WAYS + 1; ++flow) {
    ASSERT_NE(table_.FindOrClaim(Key(flow), kBuckets - 1, kEpoch), nullptr);
  }
  EXPECT_EQ(memory_.Find(Key(SLUICE_FLOW_WAYS + 1)), &memory_.flow(0, 0));
}

TEST_F(FlowTableTest, TwoBucketsFullOfOffloadedFlowsHaveNoRoom) {
  for (uint32_t flow = 1; flow <= kPlaces; ++flow) {
    Offload(flow);
  }
  for (const uint32_t state :
       {SLUICE_FLOW_PENDING, SLUICE_FLOW_OFFLOADED, SLUICE_FLOW_LEAVING, SLUICE_FLOW_GONE, SLUICE_FLOW_CLAIMED}) {
    for (uint32_t i = 0; i < kPlaces; ++i) {
      way(i).state = state;
    }
    EXPECT_EQ(Claim(99), nullptr) << state;
    EXPECT_EQ(memory_.Count(state), kPlaces);
  }
  EXPECT_NE(table_.FindOrClaim(Key(99), kHash + 1, kEpoch), nullptr) << "its pair of buckets is another one";
}

TEST_F(FlowTableTest, NobodyTakesAnEntryThatIsBeingWritten) {
  for (uint32_t flow = 1; flow <= kPlaces; ++flow) {
    Offload(flow);
    way(flow - 1).state = SLUICE_FLOW_CLAIMED;
  }
  EXPECT_EQ(Claim(1), nullptr) << "the flow that is being written";
  EXPECT_EQ(Claim(99, kEpoch + 1), nullptr) << "a flow of another epoch";
  EXPECT_EQ(memory_.Count(SLUICE_FLOW_CLAIMED), kPlaces);
}

TEST_F(FlowTableTest, AnEntryOfAnotherEpochIsFree) {
  for (uint32_t flow = 1; flow <= kPlaces; ++flow) {
    Offload(flow);
    way(flow - 1).state = SLUICE_FLOW_OFFLOADED;
  }
  sluice_flow* entry = Claim(2, kEpoch + 1);
  ASSERT_NE(entry, nullptr) << "entries of another epoch are free";
  EXPECT_EQ(FlowTable::StateOf(*entry), SLUICE_FLOW_SEEN);
  EXPECT_EQ(entry->epoch, kEpoch + 1);
  EXPECT_EQ(Claim(2, kEpoch + 1), entry);
  EXPECT_EQ(memory_.Count(SLUICE_FLOW_OFFLOADED), kPlaces - 1) << "the others stay until they are needed";
}

TEST_F(FlowTableTest, AnOffloadedFlowWaitsWithItsActionAndItsCountersStartAtZero) {
  sluice_flow* entry = Claim(1);
  detail(0).last_queue = 3;  // left by the entry's previous flow
  way(0).packets = way(0).bytes = detail(0).packets_before = 1000;
  detail(0).idle_looks = 29;
  table_.Offload(*entry, Key(1), kEpoch, SentOut(2, SLUICE_FLOW_DEC_TTL));
  EXPECT_EQ(FlowTable::StateOf(way(0)), SLUICE_FLOW_PENDING);
  EXPECT_EQ(way(0).out_port, 2U);
  EXPECT_EQ(way(0).changes, SLUICE_FLOW_DEC_TTL);
  EXPECT_EQ(detail(0).action.out_port, 2U);
  EXPECT_EQ(detail(0).action.changes, SLUICE_FLOW_DEC_TTL);
  EXPECT_EQ(detail(0).last_queue, 0U);
  EXPECT_EQ(way(0).packets, 0U);
  EXPECT_EQ(way(0).bytes, 0U);
  EXPECT_EQ(detail(0).packets_before, 0U);
  EXPECT_EQ(detail(0).idle_looks, 0U);
}

TEST_F(FlowTableTest, ADecisionIsNotForTheFlowThatRoomWasMadeFor) {
  sluice_flow* entry = Claim(1);
  for (uint32_t flow = 2; flow <= kPlaces + 1; ++flow) {
    Claim(flow);
  }
  ASSERT_EQ(memory_.Find(Key(1)), nullptr);
  table_.Offload(*entry, Key(1), kEpoch, SentOut(1));
  EXPECT_EQ(FlowTable::StateOf(*entry), SLUICE_FLOW_SEEN);
  EXPECT_EQ(memory_.Find(Key(kPlaces + 1)), &way(0));
  EXPECT_EQ(entry->out_port, 0U);
}

TEST_F(FlowTableTest, ADecisionOfAFormerEpochIsNone) {
  sluice_flow* entry = Claim(1);
  for (uint32_t flow = 2; flow <= kPlaces; ++flow) {
    Offload(flow, kEpoch + 1);
  }
  ASSERT_EQ(Claim(1, kEpoch + 1), entry);
  table_.Offload(*entry, Key(1), kEpoch, SentOut(1));
  EXPECT_EQ(FlowTable::StateOf(*entry), SLUICE_FLOW_SEEN);
  EXPECT_EQ(entry->out_port, 0U);
}

TEST_F(FlowTableTest, AnEntryThatIsNoLongerSeenIsNotOffloaded) {
  sluice_flow* entry = Claim(1);
  for (const uint32_t state : {SLUICE_FLOW_FREE, SLUICE_FLOW_CLAIMED, SLUICE_FLOW_PENDING, SLUICE_FLOW_OFFLOADED,
                               SLUICE_FLOW_LEAVING, SLUICE_FLOW_GONE}) {
    way(0).state = state;
    table_.Offload(*entry, Key(1), kEpoch, SentOut(1));
    EXPECT_EQ(FlowTable::StateOf(*entry), state);
    EXPECT_EQ(entry->out_port, 0U) << state;
  }
}

TEST_F(FlowTableTest, NumbersBeginWhereTheQueuesSocketBegan) {
  memory_.credit(3).base = 0xfffffffe;
  table_.credit().SetCompleted(3, 5);
  EXPECT_EQ(memory_.done(3), 3U);
  table_.credit().SetCompleted(0, 9);
  EXPECT_EQ(memory_.done(0), 9U);
  EXPECT_EQ(memory_.done(3), 3U);
  EXPECT_EQ(memory_.done(1), 0U);
}

TEST_F(FlowTableTest, APendingFlowThatNoPacketFollowsIsForgotten) {
  Offload(1);
  EXPECT_EQ(Ages(way(0), 4, 3),
            (std::vector<uint32_t>{SLUICE_FLOW_PENDING, SLUICE_FLOW_PENDING, SLUICE_FLOW_GONE, SLUICE_FLOW_FREE}));
}

TEST_F(FlowTableTest, APendingFlowWhosePacketsComeStays) {
  Offload(1);
  for (uint32_t number = 1; number <= 10; ++number) {
    ASSERT_EQ(Ages(way(0), 1, 2).back(), SLUICE_FLOW_PENDING);
    detail(0).last_delivered = number;  // XDP gave a packet to the dataplane
    ASSERT_EQ(Ages(way(0), 1, 2).back(), SLUICE_FLOW_PENDING);
  }
  EXPECT_EQ(Ages(way(0), 3, 2).back(), SLUICE_FLOW_FREE);
}

TEST_F(FlowTableTest, AnIdleFlowLeavesBeforeItIsForgotten) {
  Offload(1);
  way(0).state = SLUICE_FLOW_OFFLOADED;
  way(0).packets = 10;
  EXPECT_EQ(Ages(way(0), 5, 2), (std::vector<uint32_t>{SLUICE_FLOW_OFFLOADED, SLUICE_FLOW_OFFLOADED,
                                                       SLUICE_FLOW_LEAVING, SLUICE_FLOW_GONE, SLUICE_FLOW_FREE}));
}

TEST_F(FlowTableTest, APacketKeepsAFlowAlsoWhenItIsLeaving) {
  Offload(1);
  way(0).state = SLUICE_FLOW_OFFLOADED;
  way(0).packets = 1;
  EXPECT_EQ(Ages(way(0), 3, 2).back(), SLUICE_FLOW_LEAVING);
  way(0).state = SLUICE_FLOW_OFFLOADED;  // XDP does this with the next packet
  ++way(0).packets;
  EXPECT_EQ(Ages(way(0), 2, 2), (std::vector<uint32_t>{SLUICE_FLOW_OFFLOADED, SLUICE_FLOW_OFFLOADED}));
  for (int look = 0; look < 10; ++look) {
    ++way(0).packets;
    ASSERT_EQ(Ages(way(0), 1, 1).back(), SLUICE_FLOW_OFFLOADED);
  }
  EXPECT_EQ(Ages(way(0), 3, 1).back(), SLUICE_FLOW_FREE) << "without packets it ages as usual";
}

TEST_F(FlowTableTest, CountsOffloadedPackets) {
  for (const uint32_t flow : {1U, 2U, 3U}) {
    Offload(flow);
  }
  EXPECT_EQ(table_.Age(kEpoch, 1), 0U) << "no packets were offloaded yet";
  for (uint32_t i = 0; i < 3; ++i) {
    way(i).state = SLUICE_FLOW_OFFLOADED;
    way(i).packets = 1;
  }
  EXPECT_EQ(table_.Age(kEpoch, 1), 3U);
  ++way(0).packets;
  table_.Age(kEpoch, 1);
  EXPECT_EQ(table_.Age(kEpoch + 1, 1), 0U);
  ++way(0).packets;
  EXPECT_EQ(table_.Age(kEpoch, 1), 1U);
}

TEST_F(FlowTableTest, OnlyOffloadedFlowsOfTheEpochAge) {
  Claim(1);
  Offload(2, kEpoch - 1);
  for (int look = 0; look < 5; ++look) {
    table_.Age(kEpoch, 1);
  }
  EXPECT_EQ(FlowTable::StateOf(way(0)), SLUICE_FLOW_SEEN);
  EXPECT_EQ(FlowTable::StateOf(way(1)), SLUICE_FLOW_PENDING);
}

TEST_F(FlowTableTest, AnEntryThatADeadDataplaneWasWritingIsFree) {
  constexpr uint32_t kStates = SLUICE_FLOW_GONE + 1;
  for (uint32_t state = 0; state < kStates; ++state) {
    memory_.flow(state / SLUICE_FLOW_WAYS, state % SLUICE_FLOW_WAYS).state = state;
  }
  memory_.flow(kBuckets - 1, SLUICE_FLOW_WAYS - 1).state = SLUICE_FLOW_CLAIMED;
  const FlowTable successor = memory_.Map();
  EXPECT_EQ(memory_.Count(SLUICE_FLOW_CLAIMED), 0U);
  for (uint32_t state = 0; state < kStates; ++state) {
    EXPECT_EQ(memory_.flow(state / SLUICE_FLOW_WAYS, state % SLUICE_FLOW_WAYS).state,
              state == SLUICE_FLOW_CLAIMED ? uint32_t{SLUICE_FLOW_FREE} : state);
  }
  EXPECT_EQ(memory_.flow(kBuckets - 1, SLUICE_FLOW_WAYS - 1).state, SLUICE_FLOW_FREE);
}

TEST_F(FlowTableTest, RefusesMemoryThatIsNoTable) {
  for (const uint32_t buckets : {0U, 3U, 0xffffffffU}) {
    EXPECT_EQ(Map(memory_.flows_fd, memory_.details_fd, memory_.credit_fd, buckets).code(),
              absl::StatusCode::kInvalidArgument)
        << buckets;
  }
  const UniqueFd none;
  EXPECT_FALSE(Map(none, memory_.details_fd, memory_.credit_fd, kBuckets).ok());
  EXPECT_FALSE(Map(memory_.flows_fd, none, memory_.credit_fd, kBuckets).ok());
  EXPECT_FALSE(Map(memory_.flows_fd, memory_.details_fd, none, kBuckets).ok());
  EXPECT_TRUE(Map(memory_.flows_fd, memory_.details_fd, memory_.credit_fd, kBuckets).ok());
}

// Four threads claim entries in one bucket. Each ends up with a different entry, which has its own key.
TEST_F(FlowTableTest, ThreadsDoNotGetEachOthersEntries) {
  for (uint32_t epoch = 1; epoch <= 200; ++epoch) {
    FlowMemory memory(1);
    FlowTable table = memory.Map();
    std::vector<sluice_flow*> entries(SLUICE_FLOW_WAYS);
    std::atomic<uint32_t> ready = 0;
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < SLUICE_FLOW_WAYS; ++i) {
      threads.emplace_back([&, i] {
        for (++ready; ready < SLUICE_FLOW_WAYS;) {
          std::this_thread::yield();
        }
        while (entries[i] == nullptr) {  // another thread took the entry that this one tried to claim
          entries[i] = table.FindOrClaim(Key(i), kHash, epoch);
        }
        table.Offload(*entries[i], Key(i), epoch, SentOut(i));
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    ASSERT_EQ(std::set(entries.begin(), entries.end()).size(), SLUICE_FLOW_WAYS);
    ASSERT_EQ(memory.Count(SLUICE_FLOW_PENDING), SLUICE_FLOW_WAYS);
    for (uint32_t i = 0; i < SLUICE_FLOW_WAYS; ++i) {
      ASSERT_NE(memory.Find(Key(i)), nullptr);
      ASSERT_EQ(memory.Find(Key(i))->out_port, i);
    }
  }
}

}  // namespace
}  // namespace sluice
