#include "dataplane/process/dataplane.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/functions/function_factory.h"
#include "dataplane/process/function_page.h"
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

constexpr uint32_t kMostRowsOfPage = 256;

SettingTexts TextsOf(const google::protobuf::Map<std::string, std::string>& texts) {
  return {texts.begin(), texts.end()};
}

// Memory that is too short would be a SIGBUS in the packet path; any other size means that it was made for other
// settings or by another version.
absl::Status CheckStateSize(int fd, uint64_t bytes) {
  struct stat file {};
  if (fstat(fd, &file) != 0 || static_cast<uint64_t>(file.st_size) != bytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("the function's state memory is ", file.st_size, " bytes long, and its settings ask for ", bytes));
  }
  return absl::OkStatus();
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
  const auto* stats = reinterpret_cast<const StatsSegment*>(memory->start());
  if (stats->magic != kStatsMagic || stats->version != kStatsVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the stats segment has version ", stats->version, ", this dataplane writes ", kStatsVersion));
  }
  return memory;
}

}  // namespace

absl::Status Dataplane::Execute(const dataplane::Request& request, std::vector<UniqueFd> fds, dataplane::Reply* reply) {
  using dataplane::Request;
  dataplane::Reply unwanted;
  dataplane::Reply& answer = reply == nullptr ? unwanted : *reply;
  if (request.body_case() == Request::kConfigure) {
    return Configure(request.configure(), std::move(fds), answer);
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
    case Request::kApplySettings:
      return ApplySettings(request.apply_settings());
    case Request::kQueryFunction:
      return QueryFunction(request.query_function(), answer);
    case Request::kExpectSelfTest:
      return ExpectSelfTest(request.expect_self_test());
    case Request::kCountCrashDrops:
      return CountCrashDrops();
    case Request::kRaiseFence:
      return RaiseFence(request.raise_fence());
    case Request::kLowerFence:
      return LowerFence(request.lower_fence());
    default:
      return absl::UnimplementedError("a request this dataplane does not know");
  }
}

absl::Status Dataplane::Configure(const dataplane::Configure& request, std::vector<UniqueFd> fds,
                                  dataplane::Reply& reply) {
  if (worker_pool_ != nullptr) {
    return absl::FailedPreconditionError("the dataplane is configured already");
  }
  absl::StatusOr<Polling> polling = PollingOf(request.poll());
  if (!polling.ok()) {
    return polling.status();
  }
  absl::StatusOr<MadeFunction> made = MakeFunction(request.function(), static_cast<size_t>(request.ports_size()));
  if (!made.ok()) {
    return made.status();
  }
  const FunctionDescriptor& descriptor = *made->descriptor;
  absl::StatusOr<Settings> settings = Settings::Read(descriptor.settings, TextsOf(request.settings()));
  if (!settings.ok()) {
    return settings.status();
  }
  const uint64_t state_bytes = StateBytes(descriptor, *settings);
  const bool has_state = state_bytes > 0;
  const size_t wanted_fds = has_state ? 4 : 3;
  if (fds.size() != wanted_fds) {
    return absl::InvalidArgumentError(
        absl::StrCat("Configure came with ", fds.size(), " descriptors instead of ", wanted_fds));
  }
  absl::StatusOr<Mapping> memory = MapStats(fds[0].get());
  if (!memory.ok()) {
    return memory.status();
  }
  constexpr size_t kStateFd = 3;
  if (absl::Status s = has_state ? CheckStateSize(fds[kStateFd].get(), state_bytes) : absl::OkStatus(); !s.ok()) {
    reply.set_state_refused(true);
    return s;
  }
  absl::StatusOr<Mapping> state =
      has_state ? Mapping::Share(fds[kStateFd].get(), state_bytes, 0, "the function's state memory") : Mapping();
  if (!state.ok()) {
    return state.status();
  }
  const StateMemory state_memory = {{reinterpret_cast<std::byte*>(state->start()), state->bytes()},
                                    request.state_used()};
  if (absl::Status started = made->function->Start(*settings, state_memory); !started.ok()) {
    reply.set_state_refused(request.state_used() && absl::IsFailedPrecondition(started));
    return started;
  }
  if (absl::Status s = kernel_.SetRcuWaiter(std::move(fds[1]), std::move(fds[2])); !s.ok()) {
    return s;
  }
  configuration_ = request;
  memory_fds_.clear();
  memory_fds_.push_back(std::move(fds[0]));
  if (has_state) {
    memory_fds_.push_back(std::move(fds[kStateFd]));
  }
  state_memory_ = *std::move(state);
  descriptor_ = &descriptor;
  stats_memory_ = *std::move(memory);
  stats_ = reinterpret_cast<StatsSegment*>(stats_memory_.start());
  for (WorkerStats& worker : stats_->workers) {
    worker.thread.Set(0);  // a dead predecessor's
  }
  function_ = std::move(made->function);
  crash_accounting_.emplace(*stats_);
  worker_pool_ = std::make_unique<WorkerPool>(*polling, *function_, *stats_);
  fence_ = std::make_unique<Fence>(*worker_pool_, kernel_);
  lanes_ = std::make_unique<HeldLanes>(kernel_, *function_, *worker_pool_, *fence_, port_count(), *stats_);
  spdlog::info("configured: function {}, {} ports", request.function(), request.ports_size());
  return absl::OkStatus();
}

absl::Status Dataplane::ApplySettings(const dataplane::ApplySettings& request) {
  absl::StatusOr<Settings> settings = Settings::Read(descriptor_->settings, TextsOf(request.settings()));
  if (!settings.ok()) {
    return settings.status();
  }
  if (absl::Status applied = function_->Apply(*settings); !applied.ok()) {
    return applied;
  }
  *configuration_.mutable_settings() = request.settings();
  spdlog::info("the function's settings are applied");
  return absl::OkStatus();
}

absl::Status Dataplane::QueryFunction(const dataplane::QueryFunction& request, dataplane::Reply& reply) const {
  const auto commands = descriptor_->commands;
  const auto command = std::find_if(commands.begin(), commands.end(),
                                    [&](const CommandSpec& one) { return request.command() == one.name; });
  if (command == commands.end()) {
    return absl::NotFoundError(absl::StrCat("function ", descriptor_->name, " has no command ", request.command()));
  }
  absl::StatusOr<Settings> arguments = Settings::Read(command->arguments, TextsOf(request.arguments()));
  if (!arguments.ok()) {
    return arguments.status();
  }
  if (request.cursor().size() > kMaxCursorBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a cursor of ", request.cursor().size(), " bytes, more than ",
                                                   kMaxCursorBytes, ", is none of an answer"));
  }
  const uint32_t most_rows = std::clamp(request.most_rows(), 1U, kMostRowsOfPage);
  const Query query = {&*command, *std::move(arguments), request.cursor(), most_rows};
  const absl::StatusOr<Page> answer = function_->Query(query);
  if (!answer.ok()) {
    return answer.status();
  }
  absl::StatusOr<dataplane::FunctionPage> filled = MakeFunctionPage(query, *answer);
  if (!filled.ok()) {
    return filled.status();
  }
  *reply.mutable_page() = *std::move(filled);
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

absl::Status Dataplane::ExpectSelfTest(const dataplane::ExpectSelfTest& request) {
  absl::StatusOr<Lane*> lane = lanes_->Find(request.lane());
  if (!lane.ok()) {
    return lane.status();
  }
  std::optional<SelfTestToken> token;
  if (!request.token().empty()) {
    if (request.token().size() != sizeof(SelfTestToken)) {
      return absl::InvalidArgumentError(absl::StrCat("a self-test's token of ", request.token().size(), " bytes"));
    }
    std::memcpy(token.emplace().data(), request.token().data(), sizeof(SelfTestToken));
  }
  worker_pool_->RunFor(**lane, [&] { (*lane)->ExpectSelfTest(token); });
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
    flows_.emplace(*std::move(tables), stats_->flows_offloaded, SteadyTime::Now());
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
  return stats_ == nullptr ? absl::InfiniteDuration() : absl::Milliseconds(kBeatEveryMs);
}

void Dataplane::Tick(SteadyTime now) {
  if (stats_ != nullptr) {
    stats_->control_beats.Add(1);
  }
  if (flows_.has_value()) {
    flows_->Look(kernel_, now);
  }
}

absl::Status Dataplane::CountCrashDrops() {
  const CrashAccounting::Drops drops = crash_accounting_->CountDrops();
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
    stats.to_kernel_held.Set(0);
    stats.function_held.Set(0);
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
