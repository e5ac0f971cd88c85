// The agent's objects up to the resizer, over ports, a dataplane and a kernel in memory.
#ifndef SLUICE_TESTS_RESIZE_RESIZE_FIXTURE_H_
#define SLUICE_TESTS_RESIZE_RESIZE_FIXTURE_H_

#include <cstdint>
#include <optional>

#include "control/offload/offload.h"
#include "control/resize/resizer.h"
#include "dataplane/base/steady_time.h"
#include "tests/lanes/lanes_fixture.h"

namespace sluice {

class ResizeTest : public LanesTest {
 protected:
  static constexpr uint32_t kPossibleCpus = 64;  // more than the devices have queues

  explicit ResizeTest(uint32_t pairs = 2) : LanesTest(pairs) { MakeResizer(); }

  ResizeObjects Objects() { return {ports_, dataplane_, *placement_, *lanes_, *transmit_, calls_}; }
  // Makes the resizer of a new agent on the same state.
  void MakeResizer() {
    offload_.emplace(OffloadSetting::kOff, ports_, *lanes_, *placement_, *transmit_, dataplane_,
                     [] { return absl::OkStatus(); });
    resizer_.emplace(Objects(), *offload_, state_, kPossibleCpus);
  }
  void Start(uint32_t pairs) {
    StartLanes(pairs, pairs);
    resizer_->StartWith(pairs);
    resizer_->Save();
    log_.clear();
  }
  absl::StatusOr<ResizePlan> Resize(uint32_t pairs, std::optional<Lever> lever = std::nullopt, bool dry_run = false) {
    return resizer_->Resize({pairs, lever, /*force=*/false}, dry_run, SteadyTime::InfiniteFuture());
  }
  // Expects that ports, lanes, dataplane and resizer have this number of pairs, and that XDP is on.
  void ExpectPairs(uint32_t pairs) {
    for (const FakePort* port : fakes_) {
      EXPECT_EQ(port->pairs, pairs);
      EXPECT_TRUE(port->xdp);
    }
    EXPECT_EQ(lanes_->pair_lanes(), pairs);
    for (const auto& [index, lane] : lanes_->lanes()) {
      EXPECT_TRUE(lanes_->IsBound(lane)) << index;
    }
    EXPECT_EQ(transmit_->count(), pairs);
    EXPECT_EQ(resizer_->active_pairs(), pairs);
    if (connection_.alive) {
      EXPECT_EQ(connection_.lanes.size(), pairs + 1) << "a lane per pair, and the bridge lane";
      EXPECT_EQ(connection_.transmit_lanes, pairs);
    }
  }

  std::optional<Offload> offload_;
  std::optional<Resizer> resizer_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_RESIZE_RESIZE_FIXTURE_H_
