#include "dataplane/process/dataplane.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "dataplane/functions/function_registry.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

absl::StatusOr<Polling> PollingOf(dataplane::PollMode mode) {
  switch (mode) {
    case dataplane::POLL_MODE_ADAPTIVE:
      return Polling::kAdaptive;
    case dataplane::POLL_MODE_BUSY:
      return Polling::kBusy;
    case dataplane::POLL_MODE_INTERRUPT:
      return Polling::kInterrupt;
    default:
      return absl::InvalidArgumentError("no poll mode given");
  }
}

absl::StatusOr<Mapping> MapStats(int fd) {
  struct stat file {};
  if (fstat(fd, &file) != 0 || static_cast<size_t>(file.st_size) < sizeof(StatsSegment)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the stats segment is ", file.st_size, " bytes long, not ", sizeof(StatsSegment)));
  }
  absl::StatusOr<Mapping> memory = Mapping::Share(fd, sizeof(StatsSegment), 0, "the stats segment");
  if (!memory.ok()) {
    return memory;
  }
  auto* stats = reinterpret_cast<StatsSegment*>(memory->start());
  if (stats->magic == 0) {  // as the agent made it
    stats->version = kStatsVersion;
    stats->magic = kStatsMagic;
  }
  if (stats->magic != kStatsMagic || stats->version != kStatsVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the stats segment has version ", stats->version, ", this dataplane writes ", kStatsVersion));
  }
  return memory;
}

}  // namespace

absl::Status Dataplane::Execute(const dataplane::Request& request, std::vector<UniqueFd> fds) {
  using dataplane::Request;
  if (request.body_case() == Request::kConfigure) {
    return Configure(request.configure(), std::move(fds));
  }
  if (request.body_case() == Request::kShutdown) {
    Shutdown(absl::Milliseconds(request.shutdown().drain_ms()));
    return absl::OkStatus();
  }
  if (worker_pool_ == nullptr) {
    return absl::FailedPreconditionError("the dataplane is not configured");
  }
  switch (request.body_case()) {
    case Request::kAddLane:
      return AddLane(request.add_lane(), std::move(fds));
    case Request::kRemoveLane:
      return RemoveLane(request.remove_lane());
    case Request::kSetLaneSteering:
      return SetLaneSteering(request.set_lane_steering());
    case Request::kSetTransmitLanes:
      return SetTransmitLanes(request.set_transmit_lanes());
    case Request::kPlaceLanes:
      return PlaceLanes(request.place_lanes());
    case Request::kQuarantineSentFrames:
      return QuarantineSentFrames(request.quarantine_sent_frames());
    case Request::kShareCredit:
      return ShareCredit(fds);
    case Request::kOffloadFlows:
      return OffloadFlows(request.offload_flows(), fds);
    case Request::kSettleTakeover:
      return SettleTakeover();
    case Request::kRaiseFence:
      return RaiseFence(request.raise_fence());
    case Request::kLowerFence:
      return LowerFence(request.lower_fence());
    default:
      return absl::UnimplementedError("a request this dataplane does not know");
  }
}

absl::Status Dataplane::Configure(const dataplane::Configure& request, std::vector<UniqueFd> fds) {
  if (worker_pool_ != nullptr) {
    return absl::FailedPreconditionError("the dataplane is configured already");
  }
  if (fds.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("Configure came with ", fds.size(), " descriptors instead of 1"));
  }
  absl::StatusOr<Polling> polling = PollingOf(request.poll());
  if (!polling.ok()) {
    return polling.status();
  }
  absl::StatusOr<std::unique_ptr<NetworkFunction>> function =
      MakeNetworkFunction(request.function(), static_cast<uint32_t>(request.ports_size()));
  if (!function.ok()) {
    return function.status();
  }
  absl::StatusOr<Mapping> memory = MapStats(fds[0].get());
  if (!memory.ok()) {
    return memory.status();
  }
  configuration_ = request;
  stats_fd_ = std::move(fds[0]);
  stats_memory_ = *std::move(memory);
  stats_ = reinterpret_cast<StatsSegment*>(stats_memory_.start());
  function_ = *std::move(function);
  crash_accounting_.emplace(*stats_);
  worker_pool_ = std::make_unique<WorkerPool>(*polling, *function_, *stats_);
  fence_ = std::make_unique<Fence>(*worker_pool_, kernel_);
  lanes_ = std::make_unique<HeldLanes>(kernel_, *worker_pool_, *fence_, port_count(), *stats_);
  spdlog::info("configured: function {}, {} ports", request.function(), request.ports_size());
  return absl::OkStatus();
}

absl::Status Dataplane::AddLane(const dataplane::AddLane& request, std::vector<UniqueFd> fds) {
  absl::StatusOr<uint64_t> sent_before = lanes_->Add(request, std::move(fds));
  if (!sent_before.ok()) {
    return sent_before.status();
  }
  crash_accounting_->Adopt(request.lane().index(), *sent_before);
  return absl::OkStatus();
}

absl::Status Dataplane::RemoveLane(const dataplane::RemoveLane& request) {
  return lanes_->Remove(request.index(), absl::Milliseconds(request.drain_ms()));
}

absl::Status Dataplane::SetLaneSteering(const dataplane::SetLaneSteering& request) {
  return lanes_->SetSteering(request.index(), request.attached());
}

void Dataplane::Shutdown(absl::Duration drain) {
  if (lanes_ != nullptr) {
    lanes_->RemoveAll(drain);
  }
  shut_down_ = true;
}

absl::Status Dataplane::SetTransmitLanes(const dataplane::SetTransmitLanes& request) {
  if (request.lane_count() == 0 || request.lane_count() > kMaxPairLanes) {
    return absl::InvalidArgumentError(absl::StrCat(request.lane_count(), " lanes to transmit by"));
  }
  absl::Status status = lanes_->TransmitBy({request.lane_count(), request.every_lane(), request.probe_flows()});
  if (status.ok()) {
    spdlog::info("frames leave by {} lanes{}", request.lane_count(),
                 request.every_lane() ? ", each flow by its own" : "");
  }
  return status;
}

absl::Status Dataplane::PlaceLanes(const dataplane::PlaceLanes& request) {
  std::vector<std::pair<Lane*, uint32_t>> moves;
  for (const auto& placement : request.placements()) {
    absl::StatusOr<Lane*> lane = lanes_->Find(placement.lane());
    if (!lane.ok()) {
      return lane.status();
    }
    moves.emplace_back(*lane, placement.worker());
  }
  const std::vector<uint32_t> cores(request.cores().begin(), request.cores().end());
  absl::Status status = worker_pool_->Place(cores, moves);
  if (status.ok()) {
    spdlog::info("{} workers, {} lanes placed", cores.size(), moves.size());
  }
  return status;
}

absl::Status Dataplane::QuarantineSentFrames(const dataplane::QuarantineSentFrames& request) {
  if (request.port() >= port_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat("port ", request.port(), " of ", port_count(), " is to set sent frames aside"));
  }
  lanes_->QuarantineSentFrames(request.port(), request.frames());
  spdlog::info("port {}: {} sent frames are set aside before they are used again", request.port(), request.frames());
  return absl::OkStatus();
}

absl::Status Dataplane::ShareCredit(const std::vector<UniqueFd>& fds) {
  if (fds.size() != port_count()) {
    return absl::InvalidArgumentError(absl::StrCat("credit of ", fds.size(), " ports, for ", port_count(), " ports"));
  }
  std::vector<QueueCredit> credit;
  for (const UniqueFd& fd : fds) {
    absl::StatusOr<QueueCredit> one = QueueCredit::Map(fd.get());
    if (!one.ok()) {
      return one.status();
    }
    credit.push_back(*std::move(one));
  }
  lanes_->ShareCredit(std::move(credit));
  return absl::OkStatus();
}

absl::Status Dataplane::OffloadFlows(const dataplane::OffloadFlows& request, const std::vector<UniqueFd>& fds) {
  const bool same_tables = request.epoch() != 0 && request.buckets().empty() && flows_.has_value();
  std::optional<FlowAger> former = std::move(flows_);  // stays mapped until no lane uses it
  if (same_tables) {
    flows_ = std::move(former);
  } else if (request.epoch() != 0) {
    absl::StatusOr<std::unique_ptr<FlowTables>> tables = MapFlowTables(request, fds);
    if (!tables.ok()) {
      flows_ = std::move(former);
      return tables.status();
    }
    flows_.emplace(*std::move(tables), stats_->flows_offloaded, absl::Now());
  } else {
    flows_.reset();
  }
  lanes_->OffloadFlows(flows_.has_value() ? &flows_->tables() : nullptr, request.epoch());
  if (flows_.has_value()) {
    flows_->set_epoch(request.epoch());
  }
  stats_->flows_offloaded.Set(0);
  spdlog::info("flows are offloaded: {}", request.epoch() == 0 ? "no" : absl::StrCat("epoch ", request.epoch()));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FlowTables>> Dataplane::MapFlowTables(const dataplane::OffloadFlows& request,
                                                                     const std::vector<UniqueFd>& fds) const {
  constexpr size_t kFdsOfTable = 3;
  const auto ports = static_cast<size_t>(request.buckets_size());
  if (ports != port_count() || fds.size() != kFdsOfTable * ports) {
    return absl::InvalidArgumentError(absl::StrCat("flow tables of ", ports, " ports with ", fds.size(),
                                                   " descriptors, for ", port_count(), " ports"));
  }
  auto tables = std::make_unique<FlowTables>();
  for (size_t port = 0; port < ports; ++port) {
    const UniqueFd* of_port = &fds[kFdsOfTable * port];
    absl::StatusOr<FlowTable> table =
        FlowTable::Map(of_port[0].get(), of_port[1].get(), of_port[2].get(), request.buckets(static_cast<int>(port)));
    if (!table.ok()) {
      return table.status();
    }
    tables->push_back(*std::move(table));
  }
  return tables;
}

absl::Duration Dataplane::tick_every() const {
  return flows_.has_value() ? flows_->look_every() : absl::InfiniteDuration();
}

void Dataplane::Tick(absl::Time now) {
  if (flows_.has_value()) {
    flows_->Look(kernel_, now);
  }
}

absl::Status Dataplane::SettleTakeover() {
  const CrashAccounting::Drops drops = crash_accounting_->Settle();
  for (uint32_t index = 0; index < kMaxLanes; ++index) {
    BookCrashDrops(index, drops.by_lane[index]);
  }
  if (drops.unexplained != 0) {
    spdlog::error("after the takeover more frames have left than came in: {}", drops.unexplained);
  }
  return absl::OkStatus();
}

// A lane that is not held has no writer but this thread; its gauges are those of the dead process.
void Dataplane::BookCrashDrops(uint32_t index, uint64_t frames) {
  LaneStats& stats = stats_->lanes[index];
  absl::StatusOr<Lane*> lane = lanes_->Find(index);
  if (!lane.ok()) {
    stats.handoff_held.Set(0);
    stats.free_frames.Set(0);
    for (LanePortStats& port : stats.ports) {
      port.held.Set(0);
    }
  }
  if (frames == 0) {
    return;
  }
  if (lane.ok()) {
    LanePortStats& port = stats.ports[(*lane)->pairs().front().port()];
    worker_pool_->RunFor(**lane, [&] { port.CountDrops(DropReason::kCrash, frames); });
  } else {
    stats.ports[0].CountDrops(DropReason::kCrash, frames);
  }
  spdlog::warn("lane {}: {} frames were lost with the former dataplane", index, frames);
}

absl::Status Dataplane::RaiseFence(const dataplane::RaiseFence& request) {
  absl::StatusOr<std::vector<Lane*>> fresh = lanes_->FindAll(request.lanes());
  if (!fresh.ok()) {
    return fresh.status();
  }
  fence_->Raise(*fresh);
  return absl::OkStatus();
}

absl::Status Dataplane::LowerFence(const dataplane::LowerFence& request) {
  std::vector<Lane*> old;
  for (const uint32_t index : request.old_lanes()) {
    if (absl::StatusOr<Lane*> lane = lanes_->Find(index); lane.ok()) {
      old.push_back(*lane);
    }
  }
  if (request.unproven()) {
    fence_->Drop();
  } else if (!fence_->Lower(old, lanes_->all(), absl::Milliseconds(request.bound_ms()))) {
    spdlog::warn("the old lanes are not empty in time, so packets may be reordered; the new lanes receive again");
  }
  return absl::OkStatus();
}

void Dataplane::AgentLost() {
  if (fence_ != nullptr && fence_->raised()) {
    spdlog::warn("the agent is gone while lanes were held back; they receive again");
    fence_->Drop();
  }
}

dataplane::Hello Dataplane::hello() const {
  dataplane::Hello hello;
  hello.set_contract_version(dataplane::CONTRACT_VERSION_CURRENT);
  hello.set_configured(worker_pool_ != nullptr);
  if (worker_pool_ != nullptr) {
    *hello.mutable_configuration() = configuration_;
    for (const uint32_t core : worker_pool_->cores()) {
      hello.add_cores(core);
    }
    hello.set_transmit_lanes(lanes_->transmit_lanes());
    hello.set_held_lanes(lanes_->count());
  }
  return hello;
}

std::vector<HeldLanes::Report> Dataplane::held_lanes() const {
  return lanes_ == nullptr ? std::vector<HeldLanes::Report>() : lanes_->Reports();
}

}  // namespace sluice
