// One direction of a run: its sender and receiver, and a thread for each.
#ifndef SLUICE_TESTS_TRAFFIC_DIRECTION_H_
#define SLUICE_TESTS_TRAFFIC_DIRECTION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/traffic/receiver.h"
#include "tests/traffic/report.pb.h"
#include "tests/traffic/sender.h"

namespace sluice::flowgen {

class TrafficDirection {
 public:
  TrafficDirection(std::string from, std::string to, const FrameFormat& format, Sender sender,
                   std::unique_ptr<Receiver> receiver);
  ~TrafficDirection();

  void Start();
  // True once the sender has ended, by itself or after StopSending.
  bool finished() const { return finished_.load(std::memory_order_acquire); }
  void StopSending() { stop_sending_.store(true, std::memory_order_relaxed); }
  // Joins both threads and closes the ledger.
  absl::Status Finish();

  uint64_t sent() const { return sender_.sent(); }
  const Ledger& ledger() const { return receiver_->ledger(); }

  // Call it after Finish(). Includes the timeline if `interval_ns` is not 0, and each flow if `per_flow`.
  Direction Report(int64_t interval_ns, bool per_flow) const;

 private:
  const std::string from_;
  const std::string to_;
  const FrameFormat format_;
  Sender sender_;
  std::unique_ptr<Receiver> receiver_;
  absl::Status send_status_;  // written by the sender's thread before finished_
  std::atomic<bool> finished_{false};
  std::atomic<bool> stop_sending_{false};
  std::atomic<bool> stop_receiving_{false};
  std::thread send_thread_;
  std::thread receive_thread_;
};

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_DIRECTION_H_
