// Estimates the share of a lane's packets that belongs to one flow: the agent's autoscale must know whether a full lane
// could be split (control/autoscale/autoscale.h).
//
// Looks at one frame of every 64 received, at a random place of its burst: senders that go around their flows in step
// with the bursts would show the same flow each time. Keeps one candidate by majority vote (Boyer and Moore, MJRTY): a
// flow with more than half of the packets becomes the candidate and stays it, and its hits show its share; of many
// small flows none stays long enough to be hit. Both directions of a flow count as one (net/flow_hash.h).
//
// One thread: the worker that polls the lane.
#ifndef SLUICE_DATAPLANE_LANE_FLOW_SAMPLER_H_
#define SLUICE_DATAPLANE_LANE_FLOW_SAMPLER_H_

#include <cstdint>

#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"

namespace sluice {

class FlowSampler {
 public:
  // `burst` is as received, parsed, and not empty.
  void Look(Burst& burst, LaneStats& stats) {
    unseen_ += burst.count;
    if (unseen_ < kFramesPerSample) {
      return;
    }
    unseen_ = 0;
    // A linear congruential generator (Numerical Recipes): its upper bits are random enough.
    random_ = random_ * 1664525U + 1013904223U;
    Note(burst.FlowHashOf(static_cast<uint32_t>((uint64_t{random_} * burst.count) >> 32)), stats);
  }

 private:
  static constexpr uint32_t kFramesPerSample = 64;  // the hash of a frame costs some 25 ns
  // Votes that a candidate keeps: the next elephant has taken its place after twice as many samples.
  static constexpr uint32_t kMostVotes = 64;

  void Note(uint32_t flow, LaneStats& stats) {
    stats.flow_samples.Add(1);
    if (flow == candidate_) {
      stats.top_flow_samples.Add(1);
      votes_ += votes_ < kMostVotes ? 1 : 0;
    } else if (votes_ == 0) {
      candidate_ = flow;
      votes_ = 1;
    } else {
      --votes_;
    }
  }

  uint32_t unseen_ = 0;  // frames since the last sample
  uint32_t random_ = 1;
  uint32_t candidate_ = 0;  // no flow's hash
  uint32_t votes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_FLOW_SAMPLER_H_
