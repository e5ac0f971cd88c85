#include "control/dataplane/stats_view.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
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
  struct stat file {};
  if (fstat(memfd.get(), &file) != 0 || static_cast<size_t>(file.st_size) < sizeof(StatsSegment)) {
    return absl::DataLossError("the stats segment is too small for this version");
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
