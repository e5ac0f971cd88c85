#include "tests/traffic/ledger.h"

#include <algorithm>

namespace sluice::flowgen {
namespace {

// A jump of more than 16 million packets of one flow is no loss: the stamp's checksum matched by chance.
constexpr int64_t kMaxJump = int64_t{1} << 24;
constexpr uint64_t kWordBits = 64;
// The most rows of a timeline. More would come from a wrong clock, not from a measurement.
constexpr int64_t kMaxRows = 1'000'000;

}  // namespace

Ledger::Ledger(uint32_t flows, int64_t start_ns, int64_t interval_ns)
    : flows_(flows), start_ns_(start_ns), interval_ns_(interval_ns) {}

ArrivalKind Ledger::Place(Flow& flow, uint32_t sequence) {
  // A stamp carries 32 bits of the sequence: take the value nearest to the next expected one.
  const auto jump = static_cast<int32_t>(sequence - static_cast<uint32_t>(kFirstSequence + flow.next));
  const int64_t place = static_cast<int64_t>(flow.next) + jump;
  if (place < 0 || jump > kMaxJump) {
    return ArrivalKind::kImpossible;
  }
  const auto index = static_cast<uint64_t>(place);
  if (index / kWordBits >= flow.seen.size()) {
    flow.seen.resize(index / kWordBits + 1);
  }
  uint64_t& word = flow.seen[index / kWordBits];
  const uint64_t bit = uint64_t{1} << (index % kWordBits);
  if ((word & bit) != 0) {
    return ArrivalKind::kDuplicate;
  }
  word |= bit;
  if (jump < 0) {
    totals_.reorder_max_distance = std::max(totals_.reorder_max_distance, static_cast<uint64_t>(-int64_t{jump}));
    missing_.store(missing_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    return ArrivalKind::kReordered;
  }
  missing_.store(missing_.load(std::memory_order_relaxed) + static_cast<uint64_t>(jump), std::memory_order_relaxed);
  flow.next = index + 1;
  return ArrivalKind::kFirst;
}

ArrivalKind Ledger::Record(const Arrival& arrival) {
  last_arrival_ns_.store(arrival.receive_ns, std::memory_order_relaxed);
  if (arrival.flow >= flows_.size()) {
    ++totals_.impossible;
    return ArrivalKind::kImpossible;
  }
  Flow& flow = flows_[arrival.flow];
  const ArrivalKind kind = Place(flow, arrival.sequence);
  if (kind == ArrivalKind::kImpossible) {
    ++totals_.impossible;
    return kind;
  }
  if (kind == ArrivalKind::kDuplicate) {
    ++flow.totals.duplicated;
    ++totals_.duplicated;
    return kind;
  }
  if (kind == ArrivalKind::kReordered) {
    ++flow.totals.reordered;
    ++totals_.reordered;
  }
  ++flow.totals.received;
  ++totals_.received;
  received_.store(totals_.received, std::memory_order_relaxed);
  latency_.Add(arrival.latency_ns);

  TimelineRow* row = RowAt(arrival.receive_ns);
  if (flow.last_arrival_ns != 0) {
    const int64_t gap_ns = arrival.receive_ns - flow.last_arrival_ns - arrival.spacing_ns;
    RecordGap(arrival.flow, gap_ns);
    if (row != nullptr) {
      row->longest_gap_ns = std::max(row->longest_gap_ns, gap_ns);
    }
  }
  flow.last_arrival_ns = arrival.receive_ns;
  if (row != nullptr) {
    ++row->received;
    row->missing = missing();
    row_latency_.Add(arrival.latency_ns);
  }
  return kind;
}

void Ledger::Close(uint32_t flow, uint64_t sent, int64_t last_send_ns) {
  FinishRow();
  Flow& f = flows_[flow];
  f.totals.sent = sent;
  totals_.sent += sent;
  if (f.next < sent && f.last_arrival_ns != 0) {
    RecordGap(flow, last_send_ns - f.last_arrival_ns);
  }
}

void Ledger::RecordGap(uint32_t index, int64_t gap_ns) {
  FlowTotals& flow = flows_[index].totals;
  flow.longest_gap_ns = std::max(flow.longest_gap_ns, gap_ns);
  if (gap_ns > totals_.longest_gap_ns) {
    totals_.longest_gap_ns = gap_ns;
    totals_.longest_gap_flow = index;
  }
}

void Ledger::FinishRow() {
  if (timeline_.empty()) {
    return;
  }
  TimelineRow& row = timeline_.back();
  row.latency_p50_ns = row_latency_.Percentile(0.5);
  row.latency_p99_ns = row_latency_.Percentile(0.99);
  row.latency_max_ns = row_latency_.max_ns();
}

TimelineRow* Ledger::RowAt(int64_t at_ns) {
  if (interval_ns_ <= 0) {
    return nullptr;
  }
  const int64_t wanted = std::clamp<int64_t>((at_ns - start_ns_) / interval_ns_, 0, kMaxRows - 1);
  while (static_cast<int64_t>(timeline_.size()) <= wanted) {
    FinishRow();
    row_latency_ = {};
    TimelineRow row;
    row.missing = timeline_.empty() ? 0 : timeline_.back().missing;  // the same if the interval has no arrivals
    timeline_.push_back(row);
  }
  return &timeline_[static_cast<size_t>(wanted)];
}

}  // namespace sluice::flowgen
