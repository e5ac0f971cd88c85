#include "dataplane/offload/lane_offload.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "dataplane/offload/flow_key.h"

namespace sluice {

void LaneOffload::Set(FlowTables* tables, uint32_t epoch, const Pairs& pairs) {
  tables_ = tables;
  epoch_ = epoch;
  pairs_ = pairs;
  scratch_ = tables == nullptr ? nullptr : std::make_unique<std::array<Found, kBurstFrames>>();
  wanted_ = false;
  begun_ = received_ = sent_ = 0;
  for (uint32_t pair = 0; tables_ != nullptr && pair < pairs_.count; ++pair) {
    QueueCredit& credit = (*tables_)[pairs_.ports[pair]].credit();
    credit.SetOverflowing(pairs_.queue, false);
    shed_[pair] = credit.Shed(pairs_.queue);
  }
}

void LaneOffload::Lookup(Burst& burst) {
  std::array<Found, kBurstFrames>& found = *scratch_;
  burst.offloaded = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    found[i].hash = 0;
    if (FlowKeyOf(frame.data, burst.headers[i], found[i].key)) {
      found[i].hash = sluice_flow_hash(&found[i].key);
    }
  }
  // In a loop of its own: behind a prefetch the stores of the next key would wait for it, and so would the next
  // prefetch (tests/bench/README.md: flows).
  for (uint32_t i = 0; i < burst.count; ++i) {
    (*tables_)[burst.frames[i].in_port].Prefetch(found[i].hash);
  }
  for (uint32_t i = 0; i < burst.count; ++i) {
    Frame& frame = burst.frames[i];
    const uint32_t hash = found[i].hash;
    sluice_flow* flow = hash == 0 ? nullptr : (*tables_)[frame.in_port].FindOrClaim(found[i].key, hash, epoch_);
    found[i].flow = flow;
    if (flow == nullptr) {
      continue;
    }
    const uint32_t state = FlowTable::StateOf(*flow);
    if (state == SLUICE_FLOW_SEEN) {
      frame.may_offload = ++flow->packets >= kOffloadAfterPackets;
    } else if (state == SLUICE_FLOW_PENDING) {
      wanted_ = true;
    }
  }
}

void LaneOffload::Store(const Burst& burst) {
  const std::array<Found, kBurstFrames>& found = *scratch_;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    if (!frame.may_offload) {
      continue;
    }
    if ((burst.offloaded >> i & 1) != 0 && frame.verdict.transmits()) {
      (*tables_)[frame.in_port].Offload(*found[i].flow, found[i].key, epoch_, burst.actions[i]);
    } else {
      found[i].flow->packets = 0;  // the function gets another chance some packets later
    }
  }
}

void LaneOffload::Begin(const RingPositions& receive_ends, const RingPositions& lost) {
  Snapshot& snapshot = snapshots_[begun_ % kSnapshots];
  snapshot.wait_for = receive_ends;
  std::transform(receive_ends.begin(), receive_ends.end(), lost.begin(), snapshot.completed.begin(), std::plus<>());
  for (uint32_t pair = 0; pair < pairs_.count; ++pair) {
    (*tables_)[pairs_.ports[pair]].credit().SetOverflowing(pairs_.queue, DroppedSome(pair, lost[pair]));
  }
  wanted_ = false;
  ++begun_;
}

bool LaneOffload::DroppedSome(uint32_t pair, uint32_t lost) {
  const uint32_t shed = (*tables_)[pairs_.ports[pair]].credit().Shed(pairs_.queue);
  const bool socket_dropped = std::exchange(pairs_.lost[pair], lost) != lost;
  return std::exchange(shed_[pair], shed) != shed || socket_dropped;
}

void LaneOffload::Sent() {
  const Snapshot& snapshot = snapshots_[sent_++ % kSnapshots];
  for (uint32_t pair = 0; pair < pairs_.count; ++pair) {
    (*tables_)[pairs_.ports[pair]].credit().SetCompleted(pairs_.queue, snapshot.completed[pair]);
  }
}

}  // namespace sluice
