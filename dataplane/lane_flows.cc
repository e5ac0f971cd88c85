#include "dataplane/lane_flows.h"

#include <cstring>

#include "bpf/flow_key.h"

namespace sluice {

void LaneFlows::Set(FlowTables* tables, uint32_t epoch, uint32_t queue) {
  tables_ = tables;
  epoch_ = epoch;
  queue_ = queue;
  scratch_ = tables == nullptr ? nullptr : std::make_unique<std::array<Looked, kBurstFrames>>();
  waits_ = false;
  received_ = waiting_ = done_ = {};
}

void LaneFlows::Look(Burst& burst) {
  std::array<Looked, kBurstFrames>& looked = *scratch_;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    looked[i].hash = 0;
    if (sluice_flow_key_of(frame.data, frame.data + frame.length_bytes, frame.length_bytes, &looked[i].key) != 0) {
      looked[i].hash = sluice_flow_hash(&looked[i].key);
      (*tables_)[frame.in_port].Prefetch(looked[i].hash);
    }
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
      frame.asks = ++flow->seen >= kDecideWith;
    } else if (state == SLUICE_FLOW_PENDING) {
      ReadMark(frame, hash);
    }
  }
}

// Headroom that is used again keeps what an earlier frame had there: a mark is another flow's unless it has our hash,
// and read once.
void LaneFlows::ReadMark(const Frame& frame, uint32_t hash) {
  sluice_flow_mark mark;
  uint8_t* at = frame.data - sizeof(mark);
  std::memcpy(&mark, at, sizeof(mark));
  if (mark.hash == hash && mark.mark != 0) {
    received_[frame.in_port] = mark.mark;
    std::memset(at, 0, sizeof(mark));
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
      looked[i].flow->seen = 0;  // asked again some packets later
    }
  }
}

void LaneFlows::NoteSent(const RingMarks& sent) {
  if (waits_ || received_ == done_) {
    return;
  }
  waiting_ = received_;
  sent_ = sent;
  waits_ = true;
}

void LaneFlows::Publish() {
  for (uint32_t port = 0; port < tables_->size(); ++port) {
    if (waiting_[port] != done_[port]) {
      (*tables_)[port].MarksDone(queue_, waiting_[port]);
    }
  }
  done_ = waiting_;
  waits_ = false;
}

}  // namespace sluice
