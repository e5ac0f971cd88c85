#include "dataplane/flow_table.h"

#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

uint32_t Load(const uint32_t& word) {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

// What XDP counts, and need not be the newest.
template <typename Word>
uint64_t Glance(const Word& word) {
  return __atomic_load_n(&word, __ATOMIC_RELAXED);
}

void Publish(sluice_flow& flow, uint32_t state) {
  __atomic_store_n(&flow.state, state, __ATOMIC_RELEASE);
}

bool Change(sluice_flow& flow, uint32_t from, uint32_t to) {
  return __atomic_compare_exchange_n(&flow.state, &from, to, /*weak=*/false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool SameKey(const sluice_flow_key& a, const sluice_flow_key& b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

}  // namespace

absl::StatusOr<FlowTable> FlowTable::Map(int flows_fd, int marks_fd, uint32_t buckets) {
  if (!std::has_single_bit(buckets)) {
    return absl::InvalidArgumentError(absl::StrCat("a flow table of ", buckets, " buckets: no power of two"));
  }
  absl::StatusOr<Mapping> flows =
      Mapping::Share(flows_fd, size_t{buckets} * sizeof(sluice_flow_bucket), 0, "the flow table");
  if (!flows.ok()) {
    return flows.status();
  }
  absl::StatusOr<QueueMarks> marks = QueueMarks::Map(marks_fd);
  if (!marks.ok()) {
    return marks.status();
  }
  return FlowTable(*std::move(flows), *std::move(marks), buckets);
}

FlowTable::FlowTable(Mapping flows, QueueMarks marks, uint32_t buckets)
    : flows_(std::move(flows)), marks_(std::move(marks)), buckets_(buckets) {
  for (uint32_t bucket = 0; bucket < buckets_; ++bucket) {
    for (sluice_flow& flow : BucketOf(bucket).flows) {
      Change(flow, SLUICE_FLOW_CLAIMED, SLUICE_FLOW_FREE);
    }
  }
}

uint32_t FlowTable::StateOf(const sluice_flow& flow) {
  return Load(flow.state);
}

sluice_flow* FlowTable::FindOrClaim(const sluice_flow_key& key, uint32_t hash, uint32_t epoch) {
  sluice_flow* room = nullptr;
  uint32_t room_state = SLUICE_FLOW_CLAIMED;
  for (sluice_flow& flow : BucketOf(hash).flows) {
    const uint32_t state = Load(flow.state);
    if (state == SLUICE_FLOW_CLAIMED) {
      continue;
    }
    const bool is_free = state == SLUICE_FLOW_FREE || flow.epoch != epoch;
    if (!is_free && flow.hash == hash && SameKey(flow.key, key)) {
      return &flow;
    }
    // An undecided flow makes room where there is no free entry: XDP knows nothing of it.
    if (is_free ? room == nullptr || room_state == SLUICE_FLOW_SEEN : room == nullptr && state == SLUICE_FLOW_SEEN) {
      room = &flow;
      room_state = state;
    }
  }
  if (room == nullptr || !Change(*room, room_state, SLUICE_FLOW_CLAIMED)) {
    return nullptr;
  }
  room->epoch = epoch;
  room->hash = hash;
  room->key = key;
  room->seen = 0;
  Publish(*room, SLUICE_FLOW_SEEN);
  return room;
}

void FlowTable::Decide(sluice_flow& flow, const sluice_flow_key& key, uint32_t epoch,
                       const sluice_flow_action& action) {
  if (!Change(flow, SLUICE_FLOW_SEEN, SLUICE_FLOW_CLAIMED)) {
    return;
  }
  if (flow.epoch != epoch || !SameKey(flow.key, key)) {  // it made room for another
    Publish(flow, SLUICE_FLOW_SEEN);
    return;
  }
  flow.mark_queue = 0;
  flow.packets = 0;
  flow.bytes = 0;
  flow.packets_before = 0;
  flow.idle_looks = 0;
  flow.action = action;
  Publish(flow, SLUICE_FLOW_PENDING);
}

uint32_t FlowTable::Age(uint32_t epoch, uint32_t idle_looks) {
  uint32_t carried = 0;
  for (uint32_t bucket = 0; bucket < buckets_; ++bucket) {
    for (sluice_flow& flow : BucketOf(bucket).flows) {
      const uint32_t state = Load(flow.state);
      if (state < SLUICE_FLOW_PENDING || flow.epoch != epoch) {
        continue;
      }
      if (state == SLUICE_FLOW_GONE) {
        Change(flow, state, SLUICE_FLOW_FREE);
        continue;
      }
      if (state == SLUICE_FLOW_LEAVING) {
        Change(flow, state, SLUICE_FLOW_GONE);
        continue;
      }
      carried += state == SLUICE_FLOW_CARRIED ? 1 : 0;
      const uint64_t packets = state == SLUICE_FLOW_CARRIED ? Glance(flow.packets) : Glance(flow.mark);
      flow.idle_looks = packets == flow.packets_before ? flow.idle_looks + 1 : 0;
      flow.packets_before = packets;
      if (flow.idle_looks >= idle_looks) {
        Change(flow, state, state == SLUICE_FLOW_CARRIED ? SLUICE_FLOW_LEAVING : SLUICE_FLOW_GONE);
      }
    }
  }
  return carried;
}

}  // namespace sluice
