// Accounts for every packet of one direction. Pure: no clock, no socket.
//
// Words, per flow:
//   received    packets that came at least once
//   duplicated  arrivals of a packet that had come before
//   reordered   first arrivals with a sequence below the highest one seen (RFC 4737's type P)
//   missing     sequences below the highest one seen that have not come (yet)
//   lost        sent and not received, known when the sender has finished
//   gap         time between two arrivals minus the time between the sending of the later one and of its
//               predecessor: how long the flow was blocked beyond its own spacing
//
// Threads: one thread records, closes and reads the results. Any thread may call received(), missing() and
// last_arrival_ns() meanwhile.
#ifndef SLUICE_TESTS_TRAFFIC_LEDGER_H_
#define SLUICE_TESTS_TRAFFIC_LEDGER_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "tests/traffic/histogram.h"

namespace sluice::flowgen {

// The first sequence of every flow: a little below 2^32, so that a run with more than 256 packets per flow crosses the
// wrap of the 32 bits in a stamp.
inline constexpr uint64_t kFirstSequence = (uint64_t{1} << 32) - 256;

struct Arrival {
  uint32_t flow = 0;
  uint32_t sequence = 0;  // low 32 bits
  int64_t receive_ns = 0;
  int64_t latency_ns = 0;
  int64_t spacing_ns = 0;
};

enum class ArrivalKind { kFirst, kReordered, kDuplicate, kImpossible };

struct FlowTotals {
  uint64_t sent = 0;  // set by Close()
  uint64_t received = 0;
  uint64_t duplicated = 0;
  uint64_t reordered = 0;
  int64_t longest_gap_ns = 0;
};

struct Totals {
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t duplicated = 0;
  uint64_t reordered = 0;
  uint64_t reorder_max_distance = 0;  // sequences between a late packet and the highest one before it
  uint64_t impossible = 0;            // good stamps of flows or sequences that were never sent
  int64_t longest_gap_ns = 0;
  uint32_t longest_gap_flow = 0;

  int64_t lost() const { return static_cast<int64_t>(sent) - static_cast<int64_t>(received); }
};

struct TimelineRow {
  uint64_t received = 0;  // in this interval
  uint64_t missing = 0;   // at the end of it
  int64_t longest_gap_ns = 0;
  int64_t latency_p50_ns = 0;  // of the packets received in this interval
  int64_t latency_p99_ns = 0;
  int64_t latency_max_ns = 0;
};

class Ledger {
 public:
  // The timeline has a row for each `interval_ns` from `start_ns` on; 0: no timeline.
  Ledger(uint32_t flows, int64_t start_ns, int64_t interval_ns);

  ArrivalKind Record(const Arrival& arrival);

  // Call it once per flow, after the last arrival, with the number of packets that the sender sent and the time of the
  // last one. A flow whose last packets are lost was blocked from its last arrival to its last sending.
  void Close(uint32_t flow, uint64_t sent, int64_t last_send_ns);

  uint64_t received() const { return received_.load(std::memory_order_relaxed); }
  uint64_t missing() const { return missing_.load(std::memory_order_relaxed); }
  int64_t last_arrival_ns() const { return last_arrival_ns_.load(std::memory_order_relaxed); }

  const Totals& totals() const { return totals_; }
  const FlowTotals& flow(uint32_t index) const { return flows_[index].totals; }
  const std::vector<TimelineRow>& timeline() const { return timeline_; }
  const Histogram& latency() const { return latency_; }

 private:
  struct Flow {
    FlowTotals totals;
    uint64_t next = 0;  // highest sequence seen + 1, counted from kFirstSequence
    int64_t last_arrival_ns = 0;
    std::vector<uint64_t> seen;  // one bit per sequence
  };

  ArrivalKind Place(Flow& flow, uint32_t sequence);
  void RecordGap(uint32_t index, int64_t gap_ns);
  TimelineRow* RowAt(int64_t at_ns);
  void FinishRow();

  std::vector<Flow> flows_;
  Totals totals_;
  Histogram latency_;
  const int64_t start_ns_;
  const int64_t interval_ns_;
  std::vector<TimelineRow> timeline_;
  Histogram row_latency_;  // of the last row
  // Relaxed: each number stands alone and publishes nothing else. Only Record() writes.
  std::atomic<uint64_t> received_{0};
  std::atomic<uint64_t> missing_{0};
  std::atomic<int64_t> last_arrival_ns_{0};
};

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_LEDGER_H_
