// The stats segment: the dataplane's counters in shared memory.
//
// Ownership: the agent makes it, a memfd of zeros with magic and version, passes it to the dataplane, and maps it
// read-only itself. It outlives either process, so counters never go backwards when one of them is restarted.
//
//      worker thread w ──writes──► workers[w]           agent ──reads──► everything
//      the worker that polls l ──► lanes[l]
//      the control thread ───────► control_beats
//
// Every counter has exactly one writer at any time: for a lane, the thread that polls it. So the writer adds by a
// relaxed load and a relaxed store instead of a locked instruction. Readers use relaxed loads: each value is exact; two
// values may be a few packets apart while traffic runs. When a lane moves to another worker, the orders that move it
// also order the two writers (Worker::Run).
//
// Units: packets, bytes and nanoseconds, monotonic since the segment was made, unless said otherwise.
#ifndef SLUICE_DATAPLANE_CONTRACT_STATS_SEGMENT_H_
#define SLUICE_DATAPLANE_CONTRACT_STATS_SEGMENT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "bpf/sluice_abi.h"

namespace sluice {

inline constexpr uint32_t kStatsMagic = 0x534c5354;  // "SLST"
inline constexpr uint32_t kStatsVersion = 9;
inline constexpr uint32_t kMaxPorts = SLUICE_MAX_PORTS;       // of one network function
inline constexpr uint32_t kMaxPairLanes = SLUICE_MAX_QUEUES;  // queue pairs of one port
inline constexpr uint32_t kBridgeLane = kMaxPairLanes;        // its index, behind all pairs
inline constexpr uint32_t kMaxLanes = kMaxPairLanes + 1;      // pairs and the bridge
inline constexpr uint32_t kMaxWorkers = SLUICE_MAX_QUEUES;    // a worker without a lane is useless
inline constexpr size_t kStatsCacheLine = 64;
// A thread without work beats this often. By missing beats the agent finds one that hangs
// (control/dataplane/watchdog.h).
inline constexpr int kBeatEveryMs = 200;

// The reasons for which the dataplane drops a frame. DropReasonName has the names that users see.
enum class DropReason : uint32_t {
  kFunction = 0,      // the network function's own decision
  kMalformed = 1,     // too short for what the function needs
  kTxRingFull = 2,    // the transmit ring had no room
  kHandoffFull = 3,   // the other lane's hand-off ring had no room
  kNoFrame = 4,       // the destination lane had no free frame to copy into
  kNoRoute = 5,       // the lane to leave by, or its port, is gone
  kLaneClosed = 6,    // not sent when a lane's drain reached its bound
  kCrash = 7,         // in the hands of a dataplane that died; fate unknown
  kToKernelFull = 8,  // the way to the kernel had no room (dataplane/lane/kernel_path.h)
  kCount = 9,
};
inline constexpr uint32_t kDropReasons = static_cast<uint32_t>(DropReason::kCount);
// A function's own reasons and counters, whose names are in its descriptor (function/descriptor.h).
inline constexpr uint32_t kMaxFunctionDropReasons = 16;
inline constexpr uint32_t kMaxFunctionCounters = 32;

constexpr const char* DropReasonName(DropReason reason) {
  switch (reason) {
    case DropReason::kFunction:
      return "function";
    case DropReason::kMalformed:
      return "malformed";
    case DropReason::kTxRingFull:
      return "tx_ring_full";
    case DropReason::kHandoffFull:
      return "handoff_full";
    case DropReason::kNoFrame:
      return "no_frame";
    case DropReason::kNoRoute:
      return "no_route";
    case DropReason::kLaneClosed:
      return "lane_closed";
    case DropReason::kCrash:
      return "crash";
    case DropReason::kToKernelFull:
      return "to_kernel_full";
    case DropReason::kCount:
      break;
  }
  return "";
}

// A counter with one writer. The head of this file says why Add is not a locked instruction.
class StatsCounter {
 public:
  void Add(uint64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void Set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// One port's socket in one lane.
struct alignas(kStatsCacheLine) LanePortStats {
  StatsCounter rx_packets;  // taken from the receive ring
  StatsCounter rx_bytes;
  StatsCounter tx_packets;           // completed: the kernel has given the frame back
  StatsCounter passed;               // the same of frames for the kernel itself; in the bridge lane only
  StatsCounter tx_bytes;             // of frames put on the transmit ring (completions carry no length)
  StatsCounter held;                 // gauge: on the transmit ring or with the kernel, not yet completed
  StatsCounter tx_wakeups;           // sendto() calls
  StatsCounter rx_wakeups;           // recvfrom() calls for a fill ring that asked to be woken
  StatsCounter handoff_in;           // frames copied in from other lanes and put on this transmit ring, or far end
  StatsCounter originated;           // frames made here: steering probes, and the function's own
  StatsCounter checksums_completed;  // of frames received here (dataplane/lane/partial_checksum.h)
  StatsCounter self_test_packets;    // frames of self-tests, which are in no other count
  // By the port a frame was received on. The function's own reasons are behind ours.
  StatsCounter drops[kDropReasons + kMaxFunctionDropReasons];
  void CountDrops(DropReason reason, uint64_t frames = 1) { drops[static_cast<uint32_t>(reason)].Add(frames); }
};

struct alignas(kStatsCacheLine) LaneStats {
  // Gauge: frames received here that another lane has not yet copied, or that wait here for older frames of their flow
  // from other lanes (dataplane/lane/reorder_hold.h).
  StatsCounter handoff_held;
  // Gauge: frames received here, for the kernel, that wait in the ring to the bridge lane.
  StatsCounter to_kernel_held;
  StatsCounter handoff_out;  // frames given to other lanes, the bridge lane's for the kernel among them
  StatsCounter free_frames;  // gauge: in the lane's pool
  // Frames that waited behind a fence (dataplane/process/fence.h) or in a ReorderHold. Unproven are those of them that
  // were released before it was certain that every older frame of their flows had been sent.
  StatsCounter fence_held;
  StatsCounter fence_unproven;
  StatsCounter function_held;  // gauge: frames that the function keeps for later (Verdict::Hold)
  // Received frames whose flow was looked at, and those of them that belong to the flow seen most
  // (dataplane/lane/flow_sampler.h).
  StatsCounter flow_samples;
  StatsCounter top_flow_samples;
  StatsCounter function_counters[kMaxFunctionCounters];
  LanePortStats ports[kMaxPorts];
};

struct alignas(kStatsCacheLine) WorkerStats {
  StatsCounter busy_ns;      // in rounds that found work
  StatsCounter idle_ns;      // in rounds that found none, and asleep
  StatsCounter sleeps;       // epoll_wait calls that could block
  StatsCounter beats;        // rounds
  StatsCounter thread;       // gauge: the kernel's id of the thread; 0: there is no such worker
  StatsCounter busy_rounds;  // rounds that found work
};

struct StatsSegment {
  uint32_t magic = kStatsMagic;
  uint32_t version = kStatsVersion;
  StatsCounter control_beats;    // turns of the control thread's loop, and of the waits in it
  StatsCounter flows_offloaded;  // gauge: offloaded flows at the last look (dataplane/process/flow_ager.h)
  LaneStats lanes[kMaxLanes];
  WorkerStats workers[kMaxWorkers];
};

static_assert(std::atomic<uint64_t>::is_always_lock_free, "shared between processes");
static_assert(sizeof(StatsCounter) == sizeof(uint64_t), "shared between processes");
static_assert(std::is_standard_layout_v<StatsSegment>, "shared between processes");

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTRACT_STATS_SEGMENT_H_
