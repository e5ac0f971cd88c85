#include "dataplane/process/dataplane.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
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
  if (constexpr size_t kFds = 3; fds.size() != kFds) {
    return absl::InvalidArgumentError(
        absl::StrCat("Configure came with ", fds.size(), " descriptors instead of ", kFds));
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
  if (absl::Status s = kernel_.SetRcuWaiter(std::move(fds[1]), std::move(fds[2])); !s.ok()) {
    return s;
  }
  configuration_ = request;
  stats_fd_ = std::move(fds[0]);
  stats_memory_ = *std::move(memory);
  stats_ = reinterpret_cast<StatsSegment*>(stats_memory_.start());
  function_ = *std::move(function);
  crash_accounting_.emplace(*stats_);
  worker_pool_ = std::make_unique<WorkerPool>(*polling, *function_, *stats_);
  handoffs_ = std::make_unique<HandoffFabric>(*worker_pool_);
  fence_ = std::make_unique<Fence>(*worker_pool_, kernel_);
  spdlog::info("configured: function {}, {} ports", request.function(), request.ports_size());
  return absl::OkStatus();
}

absl::Status Dataplane::SetTransmitLanes(const dataplane::SetTransmitLanes& request) {
  if (request.lane_count() == 0 || request.lane_count() > kMaxPairLanes) {
    return absl::InvalidArgumentError(absl::StrCat(request.lane_count(), " lanes to transmit by"));
  }
  for (uint32_t index = 0; index < request.lane_count(); ++index) {
    if (!lanes_.contains(index)) {
      return absl::FailedPreconditionError(
          absl::StrCat(request.lane_count(), " lanes to transmit by, but lane ", index, " is not held"));
    }
  }
  transmit_lanes_ = {request.lane_count(), request.every_lane(), request.probe_flows()};
  handoffs_->Connect(AllLanes(), transmit_lanes_);
  spdlog::info("frames leave by {} lanes{}", transmit_lanes_.count,
               request.every_lane() ? ", each flow by its own" : "");
  return absl::OkStatus();
}

absl::Status Dataplane::PlaceLanes(const dataplane::PlaceLanes& request) {
  std::vector<std::pair<Lane*, uint32_t>> moves;
  for (const auto& placement : request.placements()) {
    absl::StatusOr<HeldLane*> held = Find(placement.lane());
    if (!held.ok()) {
      return held.status();
    }
    moves.emplace_back((*held)->lane.get(), placement.worker());
  }
  const std::vector<uint32_t> cores(request.cores().begin(), request.cores().end());
  absl::Status status = worker_pool_->Place(cores, moves);
  if (status.ok()) {
    spdlog::info("{} workers, {} lanes placed", cores.size(), moves.size());
  }
  return status;
}

absl::Status Dataplane::QuarantineSentFrames(const dataplane::QuarantineSentFrames& request) {
  if (request.port() >= static_cast<uint32_t>(configuration_.ports_size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("port ", request.port(), " of ", configuration_.ports_size(), " is to set sent frames aside"));
  }
  quarantined_frames_[request.port()] = request.frames();
  for (Lane* lane : AllLanes()) {
    worker_pool_->RunFor(*lane, [&] { lane->QuarantineSentFrames(request.port(), request.frames()); });
  }
  spdlog::info("port {}: {} frames rest when they are sent", request.port(), request.frames());
  return absl::OkStatus();
}

absl::Status Dataplane::ShareCredit(const std::vector<UniqueFd>& fds) {
  if (fds.size() != static_cast<size_t>(configuration_.ports_size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("credit of ", fds.size(), " ports, for ", configuration_.ports_size(), " ports"));
  }
  std::vector<QueueCredit> credit;
  for (const UniqueFd& fd : fds) {
    absl::StatusOr<QueueCredit> one = QueueCredit::Map(fd.get());
    if (!one.ok()) {
      return one.status();
    }
    credit.push_back(*std::move(one));
  }
  credit.swap(credit_);  // the former stay mapped until no lane uses them
  for (auto& [index, held] : lanes_) {
    Lane& lane = *held.lane;
    if (held.spec.kind() == dataplane::LANE_KIND_PAIR) {
      worker_pool_->RunFor(lane, [&] { lane.ShareCredit(credit_); });
    }
  }
  return absl::OkStatus();
}

absl::Status Dataplane::OffloadFlows(const dataplane::OffloadFlows& request, const std::vector<UniqueFd>& fds) {
  const bool same_tables = request.epoch() != 0 && request.buckets().empty() && flows_.has_value();
  std::optional<FlowAger> former = std::move(flows_);  // mapped until no lane uses it
  if (same_tables) {
    flows_ = std::move(former);
  } else if (request.epoch() != 0) {
    absl::StatusOr<std::unique_ptr<FlowTables>> tables = MapFlowTables(request, fds);
    if (!tables.ok()) {
      flows_ = std::move(former);
      return tables.status();
    }
    flows_.emplace(*std::move(tables), stats_->flows_offloaded);
  } else {
    flows_.reset();
  }
  FlowTables* const tables = flows_.has_value() ? &flows_->tables() : nullptr;
  for (auto& [index, held] : lanes_) {
    Lane& lane = *held.lane;
    if (held.spec.kind() == dataplane::LANE_KIND_PAIR) {
      worker_pool_->RunFor(lane, [&] { lane.OffloadFlows(tables, request.epoch()); });
    }
  }
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
  if (request.buckets_size() != configuration_.ports_size() || fds.size() != kFdsOfTable * ports) {
    return absl::InvalidArgumentError(absl::StrCat("flow tables of ", ports, " ports with ", fds.size(),
                                                   " descriptors, for ", configuration_.ports_size(), " ports"));
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

void Dataplane::Tick() {
  if (flows_.has_value()) {
    flows_->Look(kernel_);
  }
}

absl::Status Dataplane::SettleTakeover() {
  const CrashAccounting::Drops drops = crash_accounting_->Settle();
  for (uint32_t index = 0; index < kMaxLanes; ++index) {
    LaneStats& stats = stats_->lanes[index];
    const auto held = lanes_.find(index);
    if (held == lanes_.end()) {
      // Nobody writes a lane that is not held; its gauges are the dead process's.
      stats.handoff_held.Set(0);
      stats.free_frames.Set(0);
      for (LanePortStats& port : stats.ports) {
        port.held.Set(0);
      }
    }
    if (const uint64_t count = drops.by_lane[index]; count > 0) {
      const uint32_t port = held == lanes_.end() ? 0 : held->second.lane->pairs().front().port();
      auto book = [&] { stats.ports[port].drops[static_cast<uint32_t>(DropReason::kCrash)].Add(count); };
      if (held == lanes_.end()) {
        book();
      } else {
        worker_pool_->RunFor(*held->second.lane, book);
      }
      spdlog::warn("lane {}: {} frames were lost with the former dataplane", index, count);
    }
  }
  if (drops.unexplained != 0) {
    spdlog::error("after the takeover more frames have left than came in: {}", drops.unexplained);
  }
  return absl::OkStatus();
}

absl::Status Dataplane::RaiseFence(const dataplane::RaiseFence& request) {
  absl::StatusOr<std::vector<Lane*>> fresh = FindAll(request.lanes());
  if (!fresh.ok()) {
    return fresh.status();
  }
  fence_->Raise(*fresh);
  return absl::OkStatus();
}

absl::Status Dataplane::LowerFence(const dataplane::LowerFence& request) {
  std::vector<Lane*> old;
  for (const uint32_t index : request.old_lanes()) {
    if (const auto held = lanes_.find(index); held != lanes_.end()) {
      old.push_back(held->second.lane.get());
    }
  }
  if (request.unproven()) {
    fence_->Drop();
  } else if (!fence_->Lower(old, AllLanes(), absl::Milliseconds(request.bound_ms()))) {
    spdlog::warn("packets of the old way may still be under way; the new lanes receive all the same");
  }
  return absl::OkStatus();
}

void Dataplane::AgentLost() {
  if (fence_ != nullptr && fence_->raised()) {
    spdlog::warn("the agent went while lanes were held back; they receive again");
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
    hello.set_transmit_lanes(transmit_lanes_.count);
    hello.set_held_lanes(static_cast<uint32_t>(lanes_.size()));
  }
  return hello;
}

}  // namespace sluice
