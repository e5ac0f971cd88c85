// Sends one direction's packets: flows in turn, at a rate, with a limited number outstanding.
//
// Rate: packet n is due n / rate after the start. A sender that lost its core for a while catches up in bursts of at
// most kCatchUpPackets and lets the rest of the schedule slip, so that its own stall does not become a burst that
// overflows the device.
//
// A packet counts as sent if the kernel took it. A packet that the kernel refused (ENOBUFS: a queue on the way to the
// device was full) keeps its sequence and is tried again.
//
// Threads: one thread calls Run(). Any thread may call sent().
#ifndef SLUICE_TESTS_TRAFFIC_SENDER_H_
#define SLUICE_TESTS_TRAFFIC_SENDER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "tests/traffic/frame.h"

namespace sluice::flowgen {

struct SendPlan {
  uint16_t run = 0;
  uint8_t direction = 0;
  uint32_t flows = 1;
  double rate_pps = 0;  // 0: as fast as the kernel takes packets
  uint64_t count = 0;   // 0: until `end_ns` or told to stop
  int64_t end_ns = 0;   // 0: until `count` or told to stop
  uint64_t window = 0;  // 0: open loop
  int64_t start_ns = 0;
  int64_t interval_ns = 0;  // of the timeline; 0: no timeline
};

struct SendTotals {
  uint64_t sent = 0;
  uint64_t refused = 0;          // ENOBUFS, tried again
  uint64_t errors = 0;           // other errors, tried again: mostly an interface that is down
  uint64_t written_off = 0;      // outstanding packets that a full window no longer waits for
  int64_t longest_stall_ns = 0;  // the longest delay of the sender itself
  int64_t first_send_ns = 0;
  int64_t last_send_ns = 0;
};

class Sender {
 public:
  // `received` returns how many packets of this direction have arrived, for the window.
  static absl::StatusOr<Sender> Open(int ifindex, const FrameFormat& format, const SendPlan& plan,
                                     std::function<uint64_t()> received);

  // Sends until done, or until `stop`. Fails if the kernel takes nothing for kGiveUpNs.
  absl::Status Run(const std::atomic<bool>& stop);

  uint32_t flows() const { return plan_.flows; }
  uint64_t sent() const { return sent_->load(std::memory_order_relaxed); }
  const SendTotals& totals() const { return totals_; }
  uint64_t flow_sent(uint32_t flow) const { return flows_[flow].sent; }
  int64_t flow_last_send_ns(uint32_t flow) const { return flows_[flow].last_send_ns; }
  const std::vector<uint64_t>& timeline() const { return timeline_; }

 private:
  static constexpr uint64_t kBatch = 32;
  struct Flow {
    uint64_t sent = 0;
    int64_t last_send_ns = 0;
  };

  Sender(UniqueFd fd, const FrameFormat& format, const SendPlan& plan, std::function<uint64_t()> received);

  bool Finished(int64_t now_ns) const;
  uint64_t DueAt(int64_t now_ns);
  uint64_t RoomInWindow(int64_t now_ns);
  absl::Status SendBatch(uint64_t packets, int64_t now_ns);
  void CountSent(uint64_t packets, int64_t now_ns);
  absl::Status CountFailure(int error, int64_t now_ns);

  UniqueFd fd_;
  SendPlan plan_;
  std::function<uint64_t()> received_;
  std::vector<FrameBuilder> frames_;  // kBatch builders
  std::vector<Flow> flows_;
  uint32_t next_flow_ = 0;
  double slipped_ns_ = 0;         // how far the schedule has slipped
  int64_t window_full_ns_ = 0;    // the time since which the window is full; 0: it is not full
  uint64_t window_received_ = 0;  // arrivals at the last look at the full window
  int64_t failing_since_ns_ = 0;
  SendTotals totals_;
  std::vector<uint64_t> timeline_;
  std::unique_ptr<std::atomic<uint64_t>> sent_;  // on the heap, so that a Sender can be moved
};

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_SENDER_H_
