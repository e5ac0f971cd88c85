#include "dataplane/offload/flow_table.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

static_assert(sizeof(sluice_flow) == 64, "one cache line");
static_assert(sizeof(sluice_flow_detail) == 128, "two cache lines");
static_assert(offsetof(sluice_flow_action, dst_be) + sizeof(uint32_t) <= 64, "rewriting IPv4 takes the first");

uint32_t Load(const uint32_t& word) {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

// For counters of XDP that need not be the newest.
uint32_t LoadRelaxed(const uint32_t& word) {
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

absl::StatusOr<FlowTable> FlowTable::Map(int flows_fd, int details_fd, int credit_fd, uint32_t buckets) {
  if (!std::has_single_bit(buckets)) {
    return absl::InvalidArgumentError(absl::StrCat("a flow table of ", buckets, " buckets: no power of two"));
  }
  absl::StatusOr<Mapping> flows =
      Mapping::Share(flows_fd, size_t{buckets} * sizeof(sluice_flow_bucket), 0, "the flow table");
  if (!flows.ok()) {
    return flows.status();
  }
  absl::StatusOr<Mapping> details =
      Mapping::Share(details_fd, size_t{buckets} * sizeof(sluice_detail_bucket), 0, "the flow table's details");
  if (!details.ok()) {
    return details.status();
  }
  absl::StatusOr<QueueCredit> credit = QueueCredit::Map(credit_fd);
  if (!credit.ok()) {
    return credit.status();
  }
  return FlowTable(*std::move(flows), *std::move(details), *std::move(credit), buckets * SLUICE_FLOW_WAYS);
}

FlowTable::FlowTable(Mapping flows, Mapping details, QueueCredit credit, uint32_t entries)
    : flows_(std::move(flows)), details_(std::move(details)), credit_(std::move(credit)), entries_(entries) {
  for (uint32_t entry = 0; entry < entries_; ++entry) {
    Change(At(entry), SLUICE_FLOW_CLAIMED, SLUICE_FLOW_FREE);
  }
}

uint32_t FlowTable::StateOf(const sluice_flow& flow) {
  return Load(flow.state);
}

sluice_flow* FlowTable::FindOrClaim(const sluice_flow_key& key, uint32_t hash, uint32_t epoch) {
  sluice_flow* room = nullptr;
  uint32_t room_state = SLUICE_FLOW_CLAIMED;
  for (uint32_t place = 0; place < kPlaces; ++place) {
    sluice_flow& flow = PlaceOf(hash, place);
    const uint32_t state = Load(flow.state);
    if (state == SLUICE_FLOW_CLAIMED) {
      continue;
    }
    const bool is_free = state == SLUICE_FLOW_FREE || flow.epoch != epoch;
    if (!is_free && SameKey(flow.key, key)) {
      return &flow;
    }
    // A flow that is only SEEN makes room where there is no free entry: XDP knows nothing of it.
    if (is_free ? room == nullptr || room_state == SLUICE_FLOW_SEEN : room == nullptr && state == SLUICE_FLOW_SEEN) {
      room = &flow;
      room_state = state;
    }
  }
  if (room == nullptr || !Change(*room, room_state, SLUICE_FLOW_CLAIMED)) {
    return nullptr;
  }
  room->epoch = epoch;
  room->key = key;
  room->packets = 0;
  Publish(*room, SLUICE_FLOW_SEEN);
  return room;
}

void FlowTable::Offload(sluice_flow& flow, const sluice_flow_key& key, uint32_t epoch,
                        const sluice_flow_action& action) {
  if (!Change(flow, SLUICE_FLOW_SEEN, SLUICE_FLOW_CLAIMED)) {
    return;
  }
  if (flow.epoch != epoch || !SameKey(flow.key, key)) {  // it made room for another
    Publish(flow, SLUICE_FLOW_SEEN);
    return;
  }
  flow.packets = 0;
  flow.bytes = 0;
  flow.changes = static_cast<uint16_t>(action.changes);
  flow.out_port = static_cast<uint16_t>(action.out_port);
  DetailOf(flow) = {.action = action};
  Publish(flow, SLUICE_FLOW_PENDING);
}

uint32_t FlowTable::Age(uint32_t epoch, uint32_t idle_looks) {
  uint32_t offloaded = 0;
  for (uint32_t entry = 0; entry < entries_; ++entry) {
    sluice_flow& flow = At(entry);
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
    offloaded += state == SLUICE_FLOW_OFFLOADED ? 1 : 0;
    sluice_flow_detail& detail = DetailOf(flow);
    const uint32_t packets = LoadRelaxed(state == SLUICE_FLOW_OFFLOADED ? flow.packets : detail.last_delivered);
    detail.idle_looks = packets == detail.packets_before ? detail.idle_looks + 1 : 0;
    detail.packets_before = packets;
    if (detail.idle_looks >= idle_looks) {
      Change(flow, state, state == SLUICE_FLOW_OFFLOADED ? SLUICE_FLOW_LEAVING : SLUICE_FLOW_GONE);
    }
  }
  return offloaded;
}

}  // namespace sluice
