#include "dataplane/offload/lane_flows.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "bpf/flow_key.h"

namespace sluice {

void LaneFlows::Set(FlowTables* tables, uint32_t epoch, const Pairs& pairs) {
  tables_ = tables;
  epoch_ = epoch;
  pairs_ = pairs;
  scratch_ = tables == nullptr ? nullptr : std::make_unique<std::array<Looked, kBurstFrames>>();
  wanted_ = false;
  begun_ = received_ = done_ = 0;
  for (uint32_t pair = 0; tables_ != nullptr && pair < pairs_.count; ++pair) {
    QueueMarks& marks = (*tables_)[pairs_.ports[pair]].marks();
    marks.SetOverflows(pairs_.queue, false);
    shed_[pair] = marks.Shed(pairs_.queue);
  }
}

void LaneFlows::Look(Burst& burst) {
  std::array<Looked, kBurstFrames>& looked = *scratch_;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    looked[i].hash = 0;
    if (sluice_flow_key_of(frame.data, frame.data + frame.length_bytes, frame.length_bytes, &looked[i].key) != 0) {
      looked[i].hash = sluice_flow_hash(&looked[i].key);
    }
  }
  // In a loop of its own: behind a prefetch the stores of the next key would wait for it, and so would the next
  // prefetch (tests/bench/README.md: flows).
  for (uint32_t i = 0; i < burst.count; ++i) {
    (*tables_)[burst.frames[i].in_port].Prefetch(looked[i].hash);
  }
  for (uint32_t i = 0; i < burst.count; ++i) {
    Frame& frame = burst.frames[i];
    const uint32_t hash = looked[i].hash;
    sluice_flow* flow = hash == 0 ? nullptr : (*tables_)[frame.in_port].FindOrClaim(looked[i].key, hash, epoch_);
    looked[i].flow = flow;
    if (flow == nullptr) {
      continue;
    }
    const uint32_t state = FlowTable::StateOf(*flow);
    if (state == SLUICE_FLOW_SEEN) {
      frame.asks = ++flow->packets >= kDecideWith;
    } else if (state == SLUICE_FLOW_PENDING) {
      wanted_ = true;
    }
  }
}

void LaneFlows::Keep(const Burst& burst) {
  const std::array<Looked, kBurstFrames>& looked = *scratch_;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    if (!frame.asks) {
      continue;
    }
    if ((burst.decided >> i & 1) != 0 && frame.verdict.transmits()) {
      (*tables_)[frame.in_port].Decide(*looked[i].flow, looked[i].key, epoch_, burst.actions[i]);
    } else {
      looked[i].flow->packets = 0;  // asked again some packets later
    }
  }
}

void LaneFlows::Begin(const RingMarks& received, const RingMarks& lost) {
  Marks& look = looks_[begun_ % kLooks];
  look.marks = received;
  std::transform(received.begin(), received.end(), lost.begin(), look.packets.begin(), std::plus<>());
  for (uint32_t pair = 0; pair < pairs_.count; ++pair) {
    (*tables_)[pairs_.ports[pair]].marks().SetOverflows(pairs_.queue, LostSome(pair, lost[pair]));
  }
  wanted_ = false;
  ++begun_;
}

// Since it was asked last: the pair's socket, or XDP before it.
bool LaneFlows::LostSome(uint32_t pair, uint32_t lost) {
  const uint32_t shed = (*tables_)[pairs_.ports[pair]].marks().Shed(pairs_.queue);
  const bool socket_did = std::exchange(pairs_.lost[pair], lost) != lost;
  return std::exchange(shed_[pair], shed) != shed || socket_did;
}

void LaneFlows::Sent() {
  const Marks& look = looks_[done_++ % kLooks];
  for (uint32_t pair = 0; pair < pairs_.count; ++pair) {
    (*tables_)[pairs_.ports[pair]].marks().SetDone(pairs_.queue, look.packets[pair]);
  }
}

}  // namespace sluice
