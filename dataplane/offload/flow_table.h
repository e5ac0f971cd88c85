// A port's flow table, shared with its XDP program (bpf/sluice_abi.h has the entries, bpf/flows.h what XDP does).
//
// The memory is that of BPF arrays, mapped here, so a store is in force at once, without a system call. An entry is in
// two of them: the part that each packet needs, and the rest. An entry's life, with the function that takes each step:
//
//      FREE ──FindOrClaim──► SEEN ─Offload─► PENDING ──XDP─► OFFLOADED ──Age──► LEAVING ──Age──► GONE ──Age──► FREE
//                             │ ▲                │                ▲                │               ▲
//                             └─┘ FindOrClaim    └──Age (idle)────│───────XDP──────┘               │
//                             (another flow)                      └── a packet came                │
//                                                └─────────────────────────────────────────────────┘
//
// An entry of another epoch counts as free, whatever its state: since the epoch changed, every poll that may have
// looked at it has ended (control/offload/offload.h).
//
// Threads: the workers, each for packets of its lanes, and the control thread (Age) at the same time. States change by
// compare-and-swap; the thread that made an entry CLAIMED writes the rest of it, and publishes by a release store of
// the next state. A flow that two lanes meet at the same moment may get two entries; the first one found counts, the
// other expires.
#ifndef SLUICE_DATAPLANE_OFFLOAD_FLOW_TABLE_H_
#define SLUICE_DATAPLANE_OFFLOAD_FLOW_TABLE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "bpf/sluice_abi.h"
#include "dataplane/base/mapping.h"
#include "dataplane/io/queue_credit.h"

namespace sluice {

class FlowTable {
 public:
  // Maps the arrays. Entries that a dead dataplane was writing are free again, so no other may be using the table.
  // Errors: InvalidArgument for a number of buckets that is no power of two; Internal where they cannot be mapped.
  static absl::StatusOr<FlowTable> Map(int flows_fd, int details_fd, int credit_fd, uint32_t buckets);

  // Gets the first entry that FindOrClaim will look at into the cache.
  void Prefetch(uint32_t hash) const { __builtin_prefetch(&PlaceOf(hash, 0)); }
  // Returns the flow's entry; a new one, SEEN, if it has none. nullptr: all places are taken by PENDING and offloaded
  // flows, or another lane was faster.
  sluice_flow* FindOrClaim(const sluice_flow_key& key, uint32_t hash, uint32_t epoch);
  // Makes the flow PENDING, if the entry is still this flow's.
  void Offload(sluice_flow& flow, const sluice_flow_key& key, uint32_t epoch, const sluice_flow_action& action);
  static uint32_t StateOf(const sluice_flow& flow);

  QueueCredit& credit() { return credit_; }

  // Looks once at every entry of the epoch. An entry without a packet in `idle_looks` looks leaves. Between two looks
  // every driver's poll that ran in the first must have ended (Kernel::WaitForRcuGracePeriod). Returns the number of
  // offloaded flows.
  uint32_t Age(uint32_t epoch, uint32_t idle_looks);

  uint32_t entries() const { return entries_; }

 private:
  // Places that a flow may be in, one behind the other.
  static constexpr uint32_t kPlaces = SLUICE_FLOW_PROBES * SLUICE_FLOW_WAYS;

  FlowTable(Mapping flows, Mapping details, QueueCredit credit, uint32_t entries);

  sluice_flow& At(uint32_t entry) const { return reinterpret_cast<sluice_flow*>(flows_.start())[entry]; }
  sluice_flow& PlaceOf(uint32_t hash, uint32_t place) const {
    return At((hash * SLUICE_FLOW_WAYS + place) & (entries_ - 1));
  }
  sluice_flow_detail& DetailOf(const sluice_flow& flow) const {
    return reinterpret_cast<sluice_flow_detail*>(details_.start())[&flow - &At(0)];
  }

  Mapping flows_;
  Mapping details_;
  QueueCredit credit_;
  uint32_t entries_;  // a power of two
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_OFFLOAD_FLOW_TABLE_H_
