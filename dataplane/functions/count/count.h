// "count": a bump in the wire between two ports that counts packets and bytes by source address, IPv4 and IPv6.
//
// The table is in the state memory (source_table.h): it survives kill -9 with its counts. Flows are never offloaded,
// since XDP would count them elsewhere. Fragments count like any packet; frames without an IP header do not count, and
// pass all the same.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_COUNT_COUNT_H_
#define SLUICE_DATAPLANE_FUNCTIONS_COUNT_COUNT_H_

#include <atomic>
#include <cstdint>

#include "dataplane/function/network_function.h"
#include "dataplane/functions/count/source_table.h"

namespace sluice::functions::count {

class Count final : public NetworkFunction {
 public:
  absl::Status Start(const Settings& settings, StateMemory state) override;
  absl::Status Apply(const Settings& settings) override;
  absl::StatusOr<Page> Query(const sluice::Query& query) override;
  void Process(LaneContext& lane, Burst& burst) override;
  int64_t Expire(LaneContext& lane, uint32_t budget) override;

 private:
  void CountFrame(LaneContext& lane, const Frame& frame, const Headers& headers);
  absl::StatusOr<Page> Top(uint64_t rows) const;

  SourceTable table_;
  std::atomic<int64_t> idle_ns_{0};
  // The entry that Expire looks at next. Shared by the lanes, so that each entry is looked at by one of them at a time;
  // touched only in rounds in which Expire is due.
  std::atomic<uint64_t> next_to_expire_{0};
};

}  // namespace sluice::functions::count

#endif  // SLUICE_DATAPLANE_FUNCTIONS_COUNT_COUNT_H_
