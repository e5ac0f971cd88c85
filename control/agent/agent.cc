#include "control/agent/agent.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "control/kernel/bridge.h"
#include "control/kernel/lane_sockets.h"
#include "control/kernel/links.h"
#include "control/kernel/netdev_lock.h"
#include "control/kernel/xdp_attachment.h"
#include "control/lanes/self_test.h"
#include "control/port/netdev_port.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/cpu_list.h"
#include "dataplane/base/poll_until.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr absl::Duration kDataplaneStartBound = absl::Seconds(60);
// Comparing takes half a millisecond a port, and longer with thousands of addresses.
constexpr int64_t kReconcileEveryNs = 1'000'000'000;
// A dataplane that lost its agent tries to reconnect at least once a second (dataplane/process/agent_link.h).
constexpr absl::Duration kReconnectBound = absl::Seconds(10);

std::optional<SavedPort> FindSaved(const SavedState& state, const std::string& netdev) {
  for (const SavedPort& port : state.ports()) {
    if (port.netdev() == netdev) {
      return port;
    }
  }
  return std::nullopt;
}

// Adds it, or puts it in the place of that of the same device.
void Save(const SavedPort& port, SavedState& state) {
  for (SavedPort& other : *state.mutable_ports()) {
    if (other.netdev() == port.netdev()) {
      other = port;
      return;
    }
  }
  *state.add_ports() = port;
}

void Forget(const std::vector<std::string>& netdevs, SavedState& state) {
  auto& ports = *state.mutable_ports();
  ports.erase(std::remove_if(ports.begin(), ports.end(),
                             [&](const SavedPort& port) {
                               return std::find(netdevs.begin(), netdevs.end(), port.netdev()) != netdevs.end();
                             }),
              ports.end());
}

// Also if the device has another name by now, which the configuration uses.
bool IsWanted(const SavedPort& port, const std::vector<PortConfig>& wanted) {
  return std::any_of(wanted.begin(), wanted.end(), [&](const PortConfig& config) {
    const absl::StatusOr<Link> link = GetLink(config.netdev);
    return config.netdev == port.netdev() || (link.ok() && static_cast<uint32_t>(link->ifindex) == port.ifindex());
  });
}

// The dataplane may be confined otherwise than the agent (systemd: AllowedCPUs). One that we start inherits our CPUs.
absl::StatusOr<std::vector<uint32_t>> WorkerCpus(const DataplaneLink& link, const AgentSettings& settings) {
  if (link.connected()) {
    absl::StatusOr<std::vector<uint32_t>> its = AllowedCpus(link.pid());
    if (!absl::IsNotFound(its.status())) {  // it has just ended
      return its;
    }
  }
  return settings.dataplane_binary.empty() ? OnlineCpus() : AllowedCpus(0);
}

}  // namespace

// The parts whose making may fail.
struct Agent::Parts {
  StateFile state;
  FunctionHost function;
  RcuWaiter rcu;
  DataplaneLink link;
  ChangeWatch watch;
  uint32_t possible_cpus;
};

Agent::Agent(Config config, AgentSettings settings, Parts parts)
    : config_(std::move(config)),
      settings_(std::move(settings)),
      state_(std::move(parts.state)),
      function_(std::move(parts.function)),
      rcu_(std::move(parts.rcu)),
      link_(std::move(parts.link)),
      launcher_(settings_.dataplane_binary, settings_.dataplane_socket, settings_.dataplane_user),
      dataplane_(link_, calls_),
      supervisor_(settings_.dataplane_binary.empty() ? nullptr : &launcher_, dataplane_, state_),
      placement_(ports_, dataplane_, state_, {config_.dataplane.workers, config_.dataplane.cores},
                 [this] { return WorkerCpus(link_, settings_); }),
      lanes_(lane_kernel_, ports_, dataplane_, placement_, calls_, config_.dataplane.mode),
      transmit_(ports_, lanes_, dataplane_),
      handover_(config_, function_, rcu_, ports_, dataplane_, placement_, lanes_, transmit_),
      offload_(config_.dataplane.offload, ports_, lanes_, placement_, transmit_, dataplane_,
               [this] { return rcu_.Wait(); }),
      steering_(
          ports_, offload_, state_, [this] { return rcu_.Wait(); }, &LocalAddresses),
      resizer_({ports_, dataplane_, placement_, lanes_, transmit_, calls_}, offload_, state_, parts.possible_cpus),
      autoscaler_({ports_, dataplane_, placement_, lanes_, transmit_, calls_}, resizer_, state_,
                  Autoscaler::Wish::Of(config_.dataplane)),
      watch_(std::move(parts.watch)),
      served_{config_, function_, ports_,    dataplane_, supervisor_, placement_,
              lanes_,  offload_,  steering_, resizer_,   autoscaler_} {}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(Config config, AgentSettings settings, const StartLists& lists) {
  absl::StatusOr<FunctionHost> function = FunctionHost::Make(config.function);
  if (!function.ok()) {
    return function.status();
  }
  const absl::StatusOr<uint32_t> possible_cpus = PossibleCpuIds();
  if (!possible_cpus.ok()) {
    return possible_cpus.status();
  }
  absl::StatusOr<RcuWaiter> rcu = RcuWaiter::Make();
  if (!rcu.ok()) {
    return rcu.status();
  }
  absl::StatusOr<DataplaneLink> link = DataplaneLink::Listen(settings.dataplane_socket, settings.dataplane_user.uid);
  if (!link.ok()) {
    return link.status();
  }
  absl::StatusOr<ChangeWatch> watch = ChangeWatch::Open();
  if (!watch.ok()) {
    return watch.status();
  }
  StateFile state = StateFile::Open(settings.state_file);
  std::unique_ptr<Agent> agent(new Agent(
      std::move(config), std::move(settings),
      {std::move(state), *std::move(function), *std::move(rcu), *std::move(link), *std::move(watch), *possible_cpus}));
  absl::Status s = agent->BringUp(lists);
  if (s.ok()) {
    return agent;
  }
  // An earlier agent's dataplane still carries traffic: a config that does not work must not end that.
  if (absl::Status undone = agent->took_over_ ? absl::OkStatus() : agent->Stop(); !undone.ok()) {
    spdlog::error("cleaning up: {}", std::string(undone.message()));
  }
  return s;
}

// Returns the lists that an agent before us did not load from the same files.
absl::StatusOr<LoadedLists> Agent::LoadListsOfStart(const StartLists& start) const {
  ListsToLoad wanted = start.lists;
  for (const ListKind kind : {ListKind::kBlock, ListKind::kAllow}) {
    std::optional<ListToLoad>& list = wanted[static_cast<size_t>(kind)];
    if (steering_.TakesOver() &&
        (start.adopt || !list.has_value() || steering_.Loaded(kind, {list->config, StampOf(list->path)}))) {
      list.reset();
    }
  }
  absl::StatusOr<LoadedLists> loaded = LoadLists(wanted, start.copies, [] { return true; });
  const absl::Status s = loaded.ok() ? CheckListsOfStart(*loaded, wanted) : loaded.status();
  return s.ok() ? std::move(loaded) : s;
}

absl::Status Agent::BringUp(const StartLists& start_lists) {
  PutBackUnfinished();
  took_over_ = state_.found() && !state_.state().ports().empty();
  absl::Status s = placement_.FollowUsableCores();
  // Later on CPUs may come and go; a core that is not there at the start is a mistake in the config.
  if (s.ok() && state_.state().ports().empty()) {
    s = placement_.CheckCores(config_.dataplane.cores);
  }
  if (!s.ok()) {
    return s;
  }
  absl::StatusOr<LoadedLists> lists = LoadListsOfStart(start_lists);
  if (!lists.ok()) {
    return lists.status();
  }
  absl::StatusOr<std::optional<Greeting>> survivor = FindSurvivor();
  if (!survivor.ok()) {
    return survivor.status();
  }
  took_over_ = took_over_ || survivor->has_value();
  s = survivor->has_value() ? RefuseOtherDevices() : PutBackPorts(/*all=*/false);
  if (!took_over_) {
    state_.Update([](SavedState& state) { state.set_unfinished(true); });
  }
  if (s.ok()) {
    s = BringUpPorts(survivor->has_value());
  }
  if (s.ok()) {
    s = survivor->has_value() ? TakeOver(*std::move(*survivor)) : StartFresh();
  }
  if (survivor->has_value() && absl::IsUnavailable(s)) {
    spdlog::error("{}; starting afresh", std::string(s.message()));
    lanes_.Clear();
    dataplane_.SetUp();
    s = StartFresh();
  }
  if (s.ok()) {
    s = steering_.Start(config_.rules, *std::move(lists));
  }
  for (Port& port : ports_) {
    if (s.ok()) {
      s = port.Activate();
    }
  }
  if (s.ok()) {
    resizer_.ReportInterrupted();
    resizer_.Save();
    state_.Update([this](SavedState& state) {
      state.set_runs_as(RunsAs());
      state.set_unfinished(false);
    });
  }
  return s;
}

// The package was upgraded while the function ran: programs and maps of a port are laid out otherwise than ours.
bool Agent::HasOtherVersion() const {
  return std::any_of(state_.state().ports().begin(), state_.state().ports().end(), [](const SavedPort& port) {
    const absl::StatusOr<Link> link = GetLink(static_cast<int>(port.ifindex()));
    return !port.adopted_xdp() && link.ok() && XdpAttachment::IsOfOtherVersion(link->ifindex, link->name);
  });
}

// An agent before us died while it came up or went down, or was of another version: goes on as if it had come to the
// end of going down.
void Agent::PutBackUnfinished() {
  const bool other_version = HasOtherVersion();
  if (!state_.state().unfinished() && !other_version) {
    return;
  }
  spdlog::warn(other_version
                   ? "the function was started by another version of Sluice, whose programs and lists cannot go on; "
                     "it is started anew"
                   : "an earlier agent died before it was up, or while it ended; putting back the rest of its work");
  link_.EndSurvivor({static_cast<pid_t>(state_.state().dataplane_pid()), state_.state().dataplane_started()});
  if (absl::Status s = PutBackPorts(/*all=*/true); !s.ok()) {
    spdlog::error("{}; it is tried again at the end", std::string(s.message()));
  }
  state_.Update([](SavedState& state) {
    SavedState rest;
    rest.mutable_ports()->Swap(state.mutable_ports());
    if (!state.unfinished()) {  // rules of another version are in words, and go on
      rest.mutable_rules()->Swap(state.mutable_rules());
      rest.mutable_rules_of_file()->Swap(state.mutable_rules_of_file());
      rest.set_next_rule_id(state.next_rule_id());
    }
    rest.set_unfinished(true);
    state = rest;
  });
}

// Puts the saved ports back that we do not have and the configuration does not name; or `all` that we do not have. No
// dataplane may have sockets on them. Ports that cannot be put back stay in the state. Returns the first error.
absl::Status Agent::PutBackPorts(bool all) {
  absl::Status first;
  const std::vector<SavedPort> saved(state_.state().ports().begin(), state_.state().ports().end());
  std::vector<SavedPort> rest;
  for (const SavedPort& port : saved) {
    const bool is_ours = ports_.Any([&](const Port& ours) { return ours.saved().netdev() == port.netdev(); });
    if (is_ours || (!all && IsWanted(port, config_.ports))) {
      rest.push_back(port);
      continue;
    }
    // Another agent may have the device by now.
    const absl::StatusOr<NetdevLock> lock =
        IsWanted(port, config_.ports) ? absl::NotFoundError("") : NetdevLock::Take(port.kernel_name());
    if (absl::IsAlreadyExists(lock.status())) {
      spdlog::warn("{} stays as it is: {}", port.netdev(), std::string(lock.status().message()));
      continue;
    }
    if (absl::Status s = NetdevPort::PutBack(port); !s.ok()) {
      first.Update(s);
      rest.push_back(port);
    }
  }
  if (rest.size() < saved.size()) {
    state_.Update([&](SavedState& state) { state.mutable_ports()->Assign(rest.begin(), rest.end()); });
  }
  return first;
}

// Before anything is changed: the survivor goes on as it is, and the state knows its devices.
absl::Status Agent::RefuseOtherDevices() const {
  for (const SavedPort& port : state_.state().ports()) {
    if (!IsWanted(port, config_.ports)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "a dataplane is running on ", port.netdev(), ", which the configuration does not name; it goes on as it is. ",
          "End it (SIGTERM to pid ", link_.pid(), ") and start again"));
    }
  }
  return absl::OkStatus();
}

// The saved pid is a hint. A dataplane that has lanes holds the far ends of the bridges, whatever the state file says.
absl::StatusOr<std::optional<Greeting>> Agent::FindSurvivor() {
  const auto may_live = [this] {
    return std::any_of(config_.ports.begin(), config_.ports.end(), [](const PortConfig& port) {
      const absl::StatusOr<Link> link = GetLink(port.netdev);
      return link.ok() && IsQueueTaken({Bridge::FarNetdev(link->ifindex), 0});
    });
  };
  return link_.AcceptSurvivor({static_cast<pid_t>(state_.state().dataplane_pid()), state_.state().dataplane_started()},
                              may_live, kReconnectBound);
}

absl::Status Agent::BringUpPorts(bool has_survivor) {
  PortSettings settings;
  settings.object_dir = settings_.object_dir;
  settings.pin_root = settings_.pin_root;
  settings.queue_pairs = config_.dataplane.FirstPairs();
  settings.every_frame = function_.wants_every_frame();
  settings.mode = config_.dataplane.mode;
  settings.flow_buckets = config_.dataplane.offload_flows / SLUICE_FLOW_WAYS;
  settings.has_survivor = has_survivor;
  const auto save = [this](const SavedPort& port) { state_.Update([&port](SavedState& state) { Save(port, state); }); };
  for (const PortConfig& config : config_.ports) {
    const auto before = state_.state().ports();
    absl::StatusOr<std::unique_ptr<Port>> port =
        NetdevPort::BringUp(config, settings, FindSaved(state_.state(), config.netdev), save);
    if (!port.ok()) {
      state_.Update([&](SavedState& state) { *state.mutable_ports() = before; });
      return port.status();
    }
    ports_.Add(*std::move(port));
  }
  state_.Update([this](SavedState& state) { ports_.Save(state); });
  return absl::OkStatus();
}

absl::Status Agent::StartFresh() {
  absl::Status s = ports_.MakePairsAgree();
  if (!s.ok()) {
    return s;
  }
  const uint32_t pairs = ports_.queue_pairs();
  resizer_.StartWith(pairs);
  // One that dies, or does not answer as a dataplane does, is ended by the call; another one may do.
  constexpr int kTries = 3;
  s = absl::UnavailableError("");
  for (int i = 0; absl::IsUnavailable(s) && i < kTries; ++i) {
    lanes_.Clear();
    s = ConnectFresh();
    if (s.ok()) {
      s = placement_.FollowUsableCores();
    }
    if (s.ok()) {
      s = handover_.ToFresh(pairs, resizer_.WorkersFor(pairs));
    }
    if (s.ok()) {
      s = RunSelfTest(ports_, lanes_, dataplane_);
    }
    if (absl::IsUnavailable(s)) {
      spdlog::error("{}", std::string(s.message()));
      link_.Drop(absl::ZeroDuration());
      supervisor_.Lost(SteadyTime::Now());
    }
  }
  return s.ok() ? ports_.WriteRssTables(pairs) : s;
}

std::string Agent::RunsAs() const {
  std::string text(config_.function.type);
  for (const auto& [name, value] : function_.settings()) {
    absl::StrAppend(&text, " ", name, "=", value);
  }
  for (const PortConfig& port : config_.ports) {
    absl::StrAppend(&text, " ", port.name);
  }
  return text;
}

absl::Status Agent::TakeOver(Greeting greeting) {
  if (absl::Status s = placement_.FollowUsableCores(); !s.ok()) {
    return s;
  }
  absl::Status s = handover_.FromSurvivor(std::move(greeting));
  // It differs from the configuration: somebody changed that meanwhile, or the dataplane lies.
  if (absl::IsFailedPrecondition(s) && state_.state().runs_as() == RunsAs()) {
    s = absl::DataLossError(s.message());
  }
  if (absl::IsDataLoss(s)) {
    spdlog::error("the dataplane that runs (pid {}) is ended, and another one started: {}", link_.pid(),
                  std::string(s.message()));
    link_.Drop(absl::ZeroDuration());
    lanes_.Clear();
    return StartFresh();
  }
  if (s.ok()) {
    supervisor_.Connected();
    s = offload_.Adopt();
  }
  if (s.ok()) {
    s = function_.ApplyAdopted(dataplane_);
  }
  return s.ok() ? resizer_.TakeOver() : s;
}

absl::Status Agent::ConnectFresh() {
  if (link_.connected()) {
    supervisor_.Connected();
    return absl::OkStatus();
  }
  dataplane_.SetDown();  // so that the supervisor starts another when this one ends before it greets
  if (absl::Status s = supervisor_.Start(SteadyTime::Now()); !s.ok()) {
    return s;
  }
  constexpr absl::Duration kLook = absl::Milliseconds(500);
  const SteadyTime deadline = SteadyTime::Now() + kDataplaneStartBound;
  absl::Status last = absl::DeadlineExceededError("no dataplane connected in time");
  while (!link_.connected()) {
    const absl::StatusOr<Greeting> greeting = link_.Accept(SteadyTime::Now() + kLook);
    if (greeting.ok() && greeting->hello.configured()) {
      spdlog::warn("dataplane {} came too late with lanes of an earlier agent; ending it", link_.pid());
      link_.Drop(absl::ZeroDuration());
    } else if (!greeting.ok() && !absl::IsDeadlineExceeded(greeting.status())) {
      last = greeting.status();
      spdlog::error("{}", std::string(last.message()));
    }
    link_.EndRefused();
    if (SteadyTime::Now() >= deadline) {
      return last;
    }
    supervisor_.Tick(SteadyTime::Now());
  }
  dataplane_.SetUp();
  supervisor_.Connected();
  return absl::OkStatus();
}

void Agent::DataplaneLost() {
  if (link_.connected()) {
    spdlog::error("the dataplane (pid {}) is gone", link_.pid());
  }
  // A dataplane that was told to end (systemctl restart) hangs up first, then sends its last frames for at most 1 s
  // (dataplane/process/main.cc).
  constexpr absl::Duration kFarewell = absl::Seconds(2);
  link_.Drop(kFarewell);
  supervisor_.Lost(SteadyTime::Now());
  offload_.DataplaneLost();
  const uint32_t lanes = lanes_.pair_lanes();
  if (absl::Status s = ports_.ForEach([lanes](Port& port) { return port.ApplyDownPolicy(lanes); }); !s.ok()) {
    spdlog::error("policy while the dataplane is down: {}", std::string(s.message()));
  }
  supervisor_.Tick(SteadyTime::Now());
}

absl::Status Agent::TakeInDataplane() {
  absl::StatusOr<std::optional<Greeting>> greeting = link_.TakeIn();
  if (!greeting.ok()) {
    link_.EndRefused();
    return greeting.status();
  }
  if (!greeting->has_value()) {
    return absl::OkStatus();
  }
  if ((*greeting)->hello.configured()) {
    link_.Drop(absl::ZeroDuration());
    return absl::FailedPreconditionError("a dataplane came with lanes of its own while ours were waiting; ended it");
  }
  absl::Status s = placement_.FollowUsableCores();
  if (s.ok()) {
    s = handover_.ToSuccessor();
  }
  if (!s.ok()) {
    link_.Drop(absl::ZeroDuration());
    supervisor_.Refused(SteadyTime::Now());
    return s;
  }
  supervisor_.TakenIn();
  for (Port& port : ports_) {
    if (s = port.Resteer(); !s.ok()) {
      return s;
    }
  }
  spdlog::info("dataplane {} took over {} lanes", link_.pid(), lanes_.lanes().size());
  return absl::OkStatus();
}

void Agent::Watch() {
  dataplane_.Watch();
  supervisor_.Tick(SteadyTime::Now());
}

void Agent::Tick() {
  transmit_.Tick(SteadyTime::Now());
  const Changes changes = watch_.Take();
  changes_.devices = changes_.devices || changes.devices;
  changes_.addresses = changes_.addresses || changes.addresses;
  const int64_t now_ns = MonotonicNs();
  const bool any = changes_.devices || changes_.addresses;
  if (now_ns >= reconcile_at_ns_ || (any && now_ns >= not_before_ns_)) {
    const bool all = now_ns >= reconcile_at_ns_;
    const Changes seen = std::exchange(changes_, {});
    if (all || seen.devices) {
      Reconcile();
      reconcile_at_ns_ = now_ns + kReconcileEveryNs;
    }
    if (all || seen.addresses) {
      steering_.FollowAddresses();
    }
    not_before_ns_ = MonotonicNs() + kBurstMs * int64_t{1'000'000};
  }
  steering_.unconfirmed().Tick();
  resizer_.FollowCpus();
  offload_.Follow();
}

void Agent::Reconcile() {
  // It logs errors itself.
  ports_.Reconcile(resizer_.active_pairs(), lanes_.frame_size_bytes()).IgnoreError();
  const bool device_is_new = ports_.TakeBack();
  if (ports_.saved_changed()) {
    state_.Update([this](SavedState& state) { ports_.Save(state); });
  }
  // Lanes reach over all ports, so they wait for the last one.
  const bool complete = !ports_.Any([](const Port& port) { return port.gone(); });
  remake_lanes_ = remake_lanes_ || device_is_new;
  if (complete && !dataplane_.down() && (remake_lanes_ || !lanes_.AllAreBound())) {
    if (absl::Status s = RemakeLanes(); s.ok()) {
      remake_lanes_ = false;
    } else {
      spdlog::error("making lanes anew: {}", std::string(s.message()));
    }
  }
}

absl::Status Agent::RemakeLanes() {
  // First what new lanes need, as at a handover; the ports' maps may be new.
  absl::Status s = lanes_.ShareCredit();
  if (s.ok()) {
    s = resizer_.RemakeLanes();
  }
  if (s.ok()) {
    s = lanes_.SetBridgeSockets();
  }
  if (s.ok()) {
    s = steering_.PutAgain();
  }
  for (Port& port : ports_) {
    if (s.ok()) {
      s = port.Activate();
    }
  }
  return s.ok() ? lanes_.QuarantineSentFrames() : s;
}

absl::Status Agent::ApplyFunctionSettings(const SettingTexts& settings) {
  return function_.Apply(settings, dataplane_,
                         [this](absl::FunctionRef<absl::Status()> change) { return offload_.Withdrawing(change); });
}

Config Agent::RunningConfig() const {
  Config config = config_;
  config.function.settings = function_.settings();
  const Autoscaler::Wish& wish = autoscaler_.wish();
  config.dataplane.queue_pairs.count = wish.automatic ? std::nullopt : std::make_optional(resizer_.wanted_pairs());
  config.dataplane.queue_pairs_min = wish.min;
  config.dataplane.queue_pairs_max = wish.max;
  config.dataplane.workers = placement_.wish().workers;
  config.dataplane.cores = placement_.wish().cores;
  config.blocklist = steering_.source(ListKind::kBlock).config;
  config.allowlist = steering_.source(ListKind::kAllow).config;
  config.rules = steering_.rules();
  for (uint32_t port = 0; port < ports_.size(); ++port) {
    config.ports[port].on_dataplane_down = ports_[port].down_policy();
  }
  return config;
}

absl::Status Agent::Stop() {
  absl::Status first;
  state_.Update([](SavedState& state) { state.set_unfinished(true); });
  const bool connected = link_.connected();
  if (connected) {
    // One that hangs was killed, and has nothing more to do.
    const absl::Status s = dataplane_.ShutDown();
    first.Update(absl::IsUnavailable(s) ? absl::OkStatus() : s);
  }
  supervisor_.Stop(/*asked_to_end=*/connected);
  lanes_.Clear();
  std::vector<std::string> put_back;
  first.Update(ports_.TakeDown(put_back));
  state_.Update([&](SavedState& state) { Forget(put_back, state); });
  // TakeDown() left these ports in the state file, or an earlier agent did.
  first.Update(PutBackPorts(/*all=*/true));
  // Fails unless it is empty: another agent's ports may be in it.
  (void)rmdir(settings_.pin_root.c_str());
  // The next agent puts the remaining ports back.
  first.Update(state_.state().ports().empty() ? state_.Remove() : absl::OkStatus());
  return first;
}

}  // namespace sluice
