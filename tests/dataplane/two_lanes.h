// Two lanes, one of which hands its frames to the other.
#ifndef SLUICE_TESTS_DATAPLANE_TWO_LANES_H_
#define SLUICE_TESTS_DATAPLANE_TWO_LANES_H_

#include <gtest/gtest.h>

#include <memory>

#include "dataplane/functions/reflect/reflect.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {

// A source (lane 1) and a destination (lane 0), connected as HandoffFabric does it.
class TwoLanes : public ::testing::Test {
 protected:
  void Open(const FakeSocket::Options& options = {}) {
    fake_source_ = std::make_unique<FakeLane>(1, 2048, options);
    fake_destination_ = std::make_unique<FakeLane>(1, 2048, options);
    source_ = fake_source_->Open(1, stats_->lanes[1]);
    destination_ = fake_destination_->Open(0, stats_->lanes[0], [] { return now_ns_; });
    destination_->transit().inbox().Attach(1, ring_.get());
    source_->transit().outbox().Attach(0, ring_.get(), &destination_->transit().inbox());
    source_->transit().TransmitByHandoff(1, /*probe=*/false);
  }
  // Lets kSettleNs pass while the destination is polled, since time in which it is not polled does not count.
  void Settle() {
    for (int64_t passed_ns = 0; passed_ns < ReorderHold::kSettleNs; passed_ns += AwakeClock::kLongestNapNs) {
      now_ns_ += AwakeClock::kLongestNapNs;
      destination_->Poll(reflect_);
    }
  }
  FakeSocket& in() { return *fake_source_->sockets[0]; }
  FakeSocket& out() { return *fake_destination_->sockets[0]; }

  inline static int64_t now_ns_ = 1;  // the destination's clock
  std::unique_ptr<StatsSegment> stats_ = std::make_unique<StatsSegment>();
  functions::reflect::Reflect reflect_;
  std::unique_ptr<HandoffRing> ring_ = std::make_unique<HandoffRing>(kNearWrap);
  std::unique_ptr<FakeLane> fake_source_;
  std::unique_ptr<FakeLane> fake_destination_;
  std::unique_ptr<Lane> source_;
  std::unique_ptr<Lane> destination_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_TWO_LANES_H_
