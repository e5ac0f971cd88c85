#include "control/dataplane/stats_view.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "control/kernel/shared_memory.h"

namespace sluice {
namespace {

BalanceSums SumOnce(const StatsSegment& segment) {
  BalanceSums sums;
  for (const LaneStats& lane : segment.lanes) {
    sums.held += lane.handoff_held.Get() + lane.to_kernel_held.Get() + lane.function_held.Get();
    for (const LanePortStats& port : lane.ports) {
      sums.received += port.rx_packets.Get();
      sums.originated += port.originated.Get();
      sums.transmitted += port.tx_packets.Get();
      sums.passed += port.passed.Get();
      sums.held += port.held.Get();
      for (const StatsCounter& drop : port.drops) {
        sums.dropped += drop.Get();
      }
    }
  }
  return sums;
}

}  // namespace

absl::StatusOr<StatsView> StatsView::Make() {
  absl::StatusOr<UniqueFd> memory = MakeSharedMemory("sluice-stats", sizeof(StatsSegment));
  if (!memory.ok()) {
    return memory.status();
  }
  const auto fresh = std::make_unique<StatsSegment>();
  // Of a fresh segment only magic and version, before the lanes, are not zero.
  if (pwrite(memory->get(), fresh.get(), offsetof(StatsSegment, lanes), 0) < 0) {
    return absl::InternalError(absl::StrCat("stats segment: ", strerror(errno)));
  }
  return Adopt(*std::move(memory));
}

absl::StatusOr<StatsView> StatsView::Adopt(UniqueFd memfd) {
  if (absl::Status s = CheckSharedMemory(memfd.get(), sizeof(StatsSegment), PageKind::kOrdinary); !s.ok()) {
    return absl::DataLossError(absl::StrCat("the stats segment: ", s.message()));
  }
  void* mapped = mmap(nullptr, sizeof(StatsSegment), PROT_READ, MAP_SHARED, memfd.get(), 0);
  if (mapped == MAP_FAILED) {
    return absl::InternalError(absl::StrCat("mapping the stats segment: ", strerror(errno)));
  }
  const auto* segment = static_cast<const StatsSegment*>(mapped);
  if (segment->magic != kStatsMagic || segment->version != kStatsVersion) {
    munmap(mapped, sizeof(StatsSegment));
    return absl::DataLossError("the stats segment has another version");
  }
  return StatsView(std::move(memfd), segment);
}

StatsView::StatsView(StatsView&& other) noexcept
    : memfd_(std::move(other.memfd_)), segment_(std::exchange(other.segment_, nullptr)) {}

StatsView& StatsView::operator=(StatsView&& other) noexcept {
  std::swap(memfd_, other.memfd_);
  std::swap(segment_, other.segment_);
  return *this;
}

StatsView::~StatsView() {
  if (segment_ != nullptr) {
    munmap(const_cast<StatsSegment*>(segment_), sizeof(StatsSegment));
  }
}

const LaneStats& StatsView::lane(uint32_t lane) const {
  static const LaneStats none;
  return lane < std::size(segment_->lanes) ? segment_->lanes[lane] : none;
}

const LanePortStats& StatsView::port(uint32_t lane, uint32_t port) const {
  static const LanePortStats none;
  const LaneStats& stats = this->lane(lane);
  return port < std::size(stats.ports) ? stats.ports[port] : none;
}

uint64_t StatsView::drops(uint32_t lane, uint32_t port, uint32_t reason) const {
  const LanePortStats& stats = this->port(lane, port);
  return reason < std::size(stats.drops) ? stats.drops[reason].Get() : 0;
}

uint64_t StatsView::function_counter(uint32_t counter) const {
  uint64_t sum = 0;
  for (const LaneStats& lane : segment_->lanes) {
    sum += counter < std::size(lane.function_counters) ? lane.function_counters[counter].Get() : 0;
  }
  return sum;
}

const WorkerStats& StatsView::worker(uint32_t worker) const {
  static const WorkerStats none;
  return worker < std::size(segment_->workers) ? segment_->workers[worker] : none;
}

BalanceSums StatsView::Balance() const {
  // Traffic moves the counters while they are read. A few tries give a still moment when there is one.
  constexpr int kTries = 5;
  BalanceSums sums = SumOnce(*segment_);
  for (int i = 0; i < kTries && sums.unaccounted() != 0; ++i) {
    sums = SumOnce(*segment_);
  }
  return sums;
}

}  // namespace sluice
