// The interface of a network function: it gets bursts and gives each frame a verdict.
//
//   control thread   Make ─► Start ─► MakeLanePart for each lane ─► Apply, Query … ─► destructor
//   workers                                                      └► Process, Expire, one lane at a time each
//
// A function is a folder in dataplane/functions and a line in its catalogue (functions/catalog.h); its descriptor
// (descriptor.h) names its settings, counters, drop reasons and commands.
//
// Ownership: one object serves every lane; the state memory is the agent's and outlives the process.
// Threads: workers call Process and Expire at the same time for different lanes, so state that lanes share must be
// thread-safe; the state of one lane is in its LanePart. A successor gets the state memory as the dead process left it,
// which may be after any store (kill -9).
#ifndef SLUICE_DATAPLANE_FUNCTION_NETWORK_FUNCTION_H_
#define SLUICE_DATAPLANE_FUNCTION_NETWORK_FUNCTION_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/function/burst.h"
#include "dataplane/function/lane_context.h"
#include "dataplane/function/settings.h"

namespace sluice {

// The function's state memory: zeros when fresh, a dead predecessor's otherwise. Indices only, never pointers: each
// process maps it elsewhere. Its size is what the descriptor's state_bytes says for the settings.
struct StateMemory {
  std::span<std::byte> bytes;
  bool adopted = false;
};

struct Query {
  const CommandSpec* command = nullptr;  // of the descriptor
  Settings arguments;
  std::string cursor;  // "": from the start; otherwise as the page before said
  uint32_t most_rows = 0;
};

struct Page {
  using Value = std::variant<uint64_t, double, std::string>;  // by the column's type: number, seconds, text (UTF-8)
  std::vector<std::vector<Value>> rows;
  std::string next_cursor;  // "": that was all; UTF-8, at most kMaxCursorBytes
};

class NetworkFunction {
 public:
  // Expire is not needed.
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  virtual ~NetworkFunction() = default;

  // Called once, before anything else. `settings` are checked against the descriptor. An error ends the set-up; its
  // text says what the user can do. FailedPrecondition is for adopted state memory that cannot be used (another layout,
  // say) and for nothing else: the agent then gives up the predecessor's memory and calls again with fresh memory
  // (control/function/function_host.h).
  virtual absl::Status Start(const Settings& /*settings*/, StateMemory /*state*/) { return absl::OkStatus(); }
  // New values of live settings, all or nothing. Workers keep calling Process meanwhile.
  virtual absl::Status Apply(const Settings& /*settings*/) { return absl::OkStatus(); }
  // Answers a command of the descriptor with at most query.most_rows rows. Takes a few milliseconds at most. Workers
  // keep calling Process meanwhile. InvalidArgument for a cursor that it did not make.
  virtual absl::StatusOr<Page> Query(const sluice::Query& /*query*/) {
    return absl::UnimplementedError("the function has no commands");
  }
  // The function's part for a lane; nullptr: none.
  virtual std::unique_ptr<LanePart> MakeLanePart(uint32_t /*lane*/) { return nullptr; }

  // Gives each frame of the burst a verdict. In the packet path: no allocation, no lock, no log, no exception.
  //
  // It may change a frame's bytes, its length, and its start (`data` and `address` together) within the UMEM frame. A
  // frame with `may_offload` gives it the chance to offload the flow (Burst::Offload); it need not.
  virtual void Process(LaneContext& lane, Burst& burst) = 0;
  // Does the work that is due by time, at most `budget` steps (entries looked at, frames released). Returns the time of
  // the next call, by LaneContext::now_ns, or kNever. The first call comes in the first round of a lane; calls come to
  // idle and busy lanes alike. In the packet path.
  virtual int64_t Expire(LaneContext& /*lane*/, uint32_t /*budget*/) { return kNever; }
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_NETWORK_FUNCTION_H_
