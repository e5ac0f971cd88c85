#include "dataplane/process/fence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/functions/reflect/reflect.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

// Events around a switch. They may come in any order, except that frames of one way keep theirs. kArriveNew may precede
// kArriveOld: a driver on another core may still have an old frame in hand (fence.h, step 3).
enum class Event { kArriveOld, kArriveNew, kPollOld, kPollNew, kCompleteOld, kCompleteNew };

constexpr uint32_t kOldLane = 0;
constexpr uint32_t kNewLane = 1;
constexpr uint32_t kFlow = 7;
constexpr uint64_t kOldFrames = 2;  // sequences 0 and 1 of the flow come by the old lane, 2 by the new one

// Two lanes that only the test polls. No worker has them, so the WorkerPool runs orders on the calling thread.
class Switch : public Kernel {
 public:
  explicit Switch(StatsSegment& stats) : stats_(stats), worker_pool_(Polling::kInterrupt, reflect_, stats) {
    FakeSocketOptions options;
    options.completes_at_once = false;
    for (const uint32_t index : {kOldLane, kNewLane}) {
      fakes_.push_back(std::make_unique<FakeLane>(1, 64, options));
      fakes_.back()->sockets[0]->completed = &wire_;
      lanes_.push_back(fakes_.back()->Open(index, stats_.lanes[index]));
    }
  }

  void Raise() { fence_.Raise({lanes_[kNewLane].get()}); }
  bool Lower(absl::Duration bound = absl::ZeroDuration()) {
    return fence_.Lower({lanes_[kOldLane].get()}, {lanes_[kOldLane].get(), lanes_[kNewLane].get()}, bound);
  }
  void Drop() { fence_.Drop(); }
  bool held_back() const { return !lanes_[kNewLane]->MayReceive(); }

  void Happen(Event event) {
    switch (event) {
      case Event::kArriveOld:
        return Arrive(kOldLane, next_old_++);
      case Event::kArriveNew:
        return Arrive(kNewLane, next_new_++);
      case Event::kPollOld:
        lanes_[kOldLane]->Poll(reflect_);
        return;
      case Event::kPollNew:
        lanes_[kNewLane]->Poll(reflect_);
        return;
      case Event::kCompleteOld:
        return fakes_[kOldLane]->sockets[0]->Complete(UINT32_MAX);
      case Event::kCompleteNew:
        return fakes_[kNewLane]->sockets[0]->Complete(UINT32_MAX);
    }
  }
  // Lets workers and device finish their work.
  void GoOn() {
    for (int round = 0; round < 3; ++round) {
      for (const Event event : {Event::kPollOld, Event::kCompleteOld, Event::kPollNew, Event::kCompleteNew}) {
        Happen(event);
      }
    }
  }
  std::vector<uint64_t> OnTheWire() const {
    std::vector<uint64_t> sequences(wire_.size());
    std::transform(wire_.begin(), wire_.end(), sequences.begin(), SequenceOf);
    return sequences;
  }

  // The interface Kernel. The fence only waits for grace periods; the lanes are made without a Kernel.
  absl::StatusOr<XskSocket> MapSocket(int, const XskRingSizes&) override { return absl::UnimplementedError(""); }
  absl::StatusOr<bool> EnterXskMap(int, uint32_t, int) override { return absl::UnimplementedError(""); }
  absl::Status LeaveXskMap(int, uint32_t) override { return absl::UnimplementedError(""); }
  absl::Status SetRcuWaiter(UniqueFd, UniqueFd) override { return absl::UnimplementedError(""); }
  absl::Status WaitForRcuGracePeriod() override {
    while (next_old_ < kOldFrames) {
      Happen(Event::kArriveOld);
    }
    if (workers_go_on) {
      GoOn();
    }
    return rcu_error;
  }
  bool workers_go_on = true;
  absl::Status rcu_error;

 private:
  void Arrive(uint32_t lane, uint64_t sequence) {
    ASSERT_TRUE(fakes_[lane]->sockets[0]->Deliver(UdpPacket(kFlow, sequence)));
  }

  StatsSegment& stats_;
  functions::reflect::Reflect reflect_;
  WorkerPool worker_pool_;
  Fence fence_{worker_pool_, *this};
  std::vector<std::unique_ptr<FakeLane>> fakes_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::string> wire_;
  uint64_t next_old_ = 0;
  uint64_t next_new_ = kOldFrames;
};

class FenceTest : public ::testing::Test {
 protected:
  void SetUp() override { stats_ = std::make_unique<StatsSegment>(); }
  const LaneStats& fresh() const { return stats_->lanes[kNewLane]; }

  std::unique_ptr<StatsSegment> stats_;
};

std::vector<Event> FirstInterleaving() {
  std::vector<Event> events = {Event::kArriveOld,   Event::kArriveOld, Event::kArriveNew,  Event::kPollOld,
                               Event::kCompleteOld, Event::kPollNew,   Event::kCompleteNew};
  std::sort(events.begin(), events.end());
  return events;
}

TEST_F(FenceTest, KeepsOrderInEveryInterleaving) {
  const std::vector<uint64_t> in_order = {0, 1, 2};
  std::vector<Event> events = FirstInterleaving();
  int interleavings = 0;
  do {
    SetUp();
    Switch both(*stats_);
    both.Raise();
    for (const Event event : events) {
      both.Happen(event);
    }
    ASSERT_TRUE(both.Lower());
    both.GoOn();
    ASSERT_EQ(both.OnTheWire(), in_order);
    ASSERT_EQ(fresh().fence_held.Get(), 1U);
    ASSERT_EQ(fresh().fence_unproven.Get(), 0U);
    ++interleavings;
  } while (std::next_permutation(events.begin(), events.end()));
  EXPECT_EQ(interleavings, 2520);  // 7! / 2!
}

TEST_F(FenceTest, TheSameInterleavingsReorderWithoutIt) {
  std::vector<Event> events = FirstInterleaving();
  int reordered = 0;
  do {
    SetUp();
    Switch both(*stats_);
    for (const Event event : events) {
      both.Happen(event);
    }
    ASSERT_TRUE(both.WaitForRcuGracePeriod().ok());
    both.GoOn();
    const std::vector<uint64_t> sequences = both.OnTheWire();
    ASSERT_EQ(sequences.size(), 3U);
    reordered += std::is_sorted(sequences.begin(), sequences.end()) ? 0 : 1;
  } while (std::next_permutation(events.begin(), events.end()));
  EXPECT_GT(reordered, 100);
}

TEST_F(FenceTest, AtTheBoundEverythingGoesOnAndIsCounted) {
  Switch both(*stats_);
  both.workers_go_on = false;  // the old lane's frames stay in its receive ring
  both.Raise();
  both.Happen(Event::kArriveNew);
  EXPECT_FALSE(both.Lower(absl::Milliseconds(2)));
  EXPECT_FALSE(both.held_back());
  EXPECT_EQ(fresh().fence_held.Get(), 1U);
  EXPECT_EQ(fresh().fence_unproven.Get(), 1U);
  both.GoOn();
  EXPECT_EQ(both.OnTheWire().size(), 3U);
}

TEST_F(FenceTest, ProvesNothingWithoutAGracePeriod) {
  Switch both(*stats_);
  both.Raise();
  both.rcu_error = absl::InternalError("no grace period");
  both.Happen(Event::kArriveNew);
  EXPECT_FALSE(both.Lower());
  EXPECT_FALSE(both.held_back());
  EXPECT_EQ(fresh().fence_unproven.Get(), 1U);
}

TEST_F(FenceTest, ARingThatFillsUpIsNotHeldAnyLonger) {
  Switch both(*stats_);
  both.Raise();
  // Half of the 64 frames are posted. The lane counts as full when more than three quarters of those are used.
  for (int i = 0; i < 24; ++i) {
    both.Happen(Event::kArriveNew);
    both.Happen(Event::kPollNew);
    ASSERT_TRUE(both.held_back()) << i;
  }
  both.Happen(Event::kArriveNew);
  both.Happen(Event::kPollNew);
  EXPECT_FALSE(both.held_back());
  both.GoOn();
  EXPECT_EQ(fresh().fence_unproven.Get(), 25U);
  EXPECT_EQ(both.OnTheWire().size(), 25U);
  both.Happen(Event::kArriveNew);  // the fence is still up, so this frame may overtake as well
  both.GoOn();
  EXPECT_EQ(fresh().fence_unproven.Get(), 26U);
  EXPECT_TRUE(both.Lower());
  both.Happen(Event::kArriveNew);
  both.GoOn();
  EXPECT_EQ(fresh().fence_held.Get(), 25U);
  EXPECT_EQ(fresh().fence_unproven.Get(), 26U);
}

TEST_F(FenceTest, ADroppedFenceHoldsNothingBack) {
  Switch both(*stats_);
  both.Drop();
  both.Raise();
  both.Raise();
  both.Happen(Event::kArriveNew);
  both.Drop();
  EXPECT_FALSE(both.held_back());
  EXPECT_EQ(fresh().fence_unproven.Get(), 1U);
}

}  // namespace
}  // namespace sluice
