// The lane context for a function under test: the test sets its clock, and its frames are ordinary memory.
#ifndef SLUICE_TESTS_DATAPLANE_TEST_LANE_CONTEXT_H_
#define SLUICE_TESTS_DATAPLANE_TEST_LANE_CONTEXT_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "dataplane/function/lane_context.h"
#include "dataplane/function/network_function.h"

namespace sluice {

class TestLaneContext final : public LaneContext {
 public:
  explicit TestLaneContext(uint32_t lane = 0, std::unique_ptr<LaneStats> stats = std::make_unique<LaneStats>())
      : LaneContext(lane, *stats, [] { return now_; }), stats_(std::move(stats)) {}

  Frame* Originate(uint32_t out_port, uint32_t length_bytes) override {
    memory_.emplace_back(length_bytes);
    originated_.push_back(
        {memory_.back().data(), 0, length_bytes, static_cast<uint8_t>(out_port), Verdict::Transmit(out_port)});
    return &originated_.back();
  }
  std::optional<HeldFrame> Hold(Burst& /*burst*/, const Frame& frame) override {
    held_.push_back(frame);
    return HeldFrame{static_cast<uint16_t>(held_.size() - 1)};
  }
  Frame& Held(HeldFrame held) override { return held_[held.slot]; }
  bool Release(HeldFrame held, Verdict verdict) override {
    released_.emplace_back(held_[held.slot], verdict);
    return true;
  }

  void PrepareFor(NetworkFunction& function) { set_part(function.MakeLanePart(lane())); }
  // Begins a round at the given time.
  void SetNow(int64_t now_ns) {
    now_ = now_ns;
    ForgetTime();
  }
  const std::deque<Frame>& originated() const { return originated_; }
  const std::vector<std::pair<Frame, Verdict>>& released() const { return released_; }

 private:
  static inline int64_t now_ = 1;

  std::unique_ptr<LaneStats> stats_;
  std::deque<std::vector<uint8_t>> memory_;
  std::deque<Frame> originated_;
  std::vector<Frame> held_;
  std::vector<std::pair<Frame, Verdict>> released_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_TEST_LANE_CONTEXT_H_
