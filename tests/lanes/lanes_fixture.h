// The agent's objects up to its lanes, over ports, a dataplane and a kernel in memory. All of them write one log, in
// the order of the calls.
#ifndef SLUICE_TESTS_LANES_LANES_FIXTURE_H_
#define SLUICE_TESTS_LANES_LANES_FIXTURE_H_

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/lanes/lane_set.h"
#include "control/lanes/placement.h"
#include "control/lanes/transmit_spread.h"
#include "dataplane/base/steady_time.h"
#include "tests/control_dataplane/fake_dataplane.h"
#include "tests/lanes/fake_lane_kernel.h"
#include "tests/port/fake_port.h"

namespace sluice {

class LanesTest : public testing::Test {
 protected:
  static constexpr uint32_t kPorts = 2;

  // Makes ports with `pairs` queue pairs each; lanes are made in `mode`.
  explicit LanesTest(uint32_t pairs = 4, ModeSetting mode = ModeSetting::kCopy)
      : state_(StateFile::Open(absl::StrCat(testing::TempDir(), "/lanes-state", getpid()))) {
    for (uint32_t index = 0; index < kPorts; ++index) {
      auto port = std::make_unique<FakePort>(FakePort::Info(index), pairs, log_);
      fakes_.push_back(port.get());
      ports_.Add(std::move(port));
    }
    dataplane_.SetStats(*StatsView::Make());
    stats_ = static_cast<StatsSegment*>(
        mmap(nullptr, sizeof(StatsSegment), PROT_READ | PROT_WRITE, MAP_SHARED, dataplane_.stats().fd(), 0));
    placement_.emplace(ports_, dataplane_, state_, PlacementWish{}, [this] { return online_; });
    placement_->SetUsableCores(*online_);
    SetMode(mode);
  }
  ~LanesTest() override {
    munmap(stats_, sizeof(StatsSegment));
    (void)state_.Remove();
  }

  void SetMode(ModeSetting mode) {
    transmit_.reset();
    lanes_.emplace(kernel_, ports_, dataplane_, *placement_, calls_, mode);
    transmit_.emplace(ports_, *lanes_, dataplane_);
  }
  // Starts workers, `lanes` pair lanes and the bridge lane, then clears the log.
  void StartLanes(uint32_t lanes, uint32_t workers = 2) {
    ASSERT_TRUE(placement_->StartWorkers(workers).ok());
    ASSERT_TRUE(lanes_->Open(0, lanes, SteadyTime::InfiniteFuture()).ok());
    ASSERT_TRUE(transmit_->Set(lanes).ok());
    ASSERT_TRUE(lanes_->OpenBridge().ok());
    ASSERT_TRUE(placement_->Place(workers, lanes_->All()).ok());
    log_.clear();
  }
  // Lets the dataplane die, and tells the client as the agent's loop does.
  void Die() {
    connection_.alive = false;
    connection_.lanes.clear();
    dataplane_.SetDown();
  }
  // Returns the lines of the log that contain `part`.
  std::vector<std::string> Logged(const std::string& part) const {
    std::vector<std::string> lines;
    for (const std::string& line : log_) {
      if (line.find(part) != std::string::npos) {
        lines.push_back(line);
      }
    }
    return lines;
  }

  Log log_;
  std::vector<FakePort*> fakes_;
  PortSet ports_;
  FakeDataplane connection_{log_};
  FakeLaneKernel kernel_{log_};
  CallLog calls_;
  StateFile state_;
  DataplaneClient dataplane_{connection_, calls_};
  StatsSegment* stats_ = nullptr;  // the dataplane's view, which can be written
  absl::StatusOr<std::vector<uint32_t>> online_ = std::vector<uint32_t>{0, 1, 2, 3};
  std::optional<Placement> placement_;
  std::optional<LaneSet> lanes_;
  std::optional<TransmitSpread> transmit_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_LANES_LANES_FIXTURE_H_
