#include "control/agent/agent.h"

#include <unistd.h>

#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/links.h"
#include "control/port/netdev_port.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/cpu_list.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr absl::Duration kDataplaneStartBound = absl::Seconds(60);
// The loop turns for every request too, and asking the kernel takes half a millisecond a port.
constexpr int64_t kReconcileEveryNs = 1'000'000'000;
// A dataplane that lost its agent tries to reconnect at least once a second (dataplane/process/agent_link.h).
constexpr absl::Duration kReconnectBound = absl::Seconds(20);

std::optional<SavedPort> FindSaved(const SavedState& state, const std::string& netdev) {
  for (const SavedPort& port : state.ports()) {
    if (port.netdev() == netdev) {
      return port;
    }
  }
  return std::nullopt;
}

}  // namespace

// The parts whose making may fail.
struct Agent::Parts {
  StateFile state;
  FunctionHost function;
  RcuWaiter rcu;
  DataplaneLink link;
  uint32_t possible_cpus;
};

Agent::Agent(Config config, AgentSettings settings, Parts parts)
    : config_(std::move(config)),
      settings_(std::move(settings)),
      state_(std::move(parts.state)),
      function_(std::move(parts.function)),
      rcu_(std::move(parts.rcu)),
      link_(std::move(parts.link)),
      launcher_(settings_.dataplane_binary, settings_.dataplane_socket, DataplaneUser(settings_.dataplane_user)),
      dataplane_(link_, calls_),
      supervisor_(settings_.dataplane_binary.empty() ? nullptr : &launcher_, dataplane_, state_),
      placement_(ports_, dataplane_, state_, {config_.dataplane.workers, config_.dataplane.cores}, &OnlineCpus),
      lanes_(lane_kernel_, ports_, dataplane_, placement_, calls_, config_.dataplane.mode),
      transmit_(ports_, lanes_, dataplane_),
      handover_(config_, function_, rcu_, ports_, dataplane_, placement_, lanes_, transmit_),
      offload_(config_.dataplane.offload, ports_, lanes_, placement_, transmit_, dataplane_,
               [this] { return rcu_.Wait(); }),
      steering_(
          ports_, offload_, state_, [this] { return rcu_.Wait(); }, &LocalAddresses),
      resizer_({ports_, dataplane_, placement_, lanes_, transmit_, calls_}, offload_, state_, parts.possible_cpus),
      served_{config_, function_, ports_, dataplane_, supervisor_, placement_, lanes_, offload_, steering_, resizer_} {}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(Config config, AgentSettings settings) {
  absl::StatusOr<StateFile> state = StateFile::Open(settings.state_file);
  if (!state.ok()) {
    return state.status();
  }
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
  absl::StatusOr<DataplaneLink> link =
      DataplaneLink::Listen(settings.dataplane_socket, DataplaneUser(settings.dataplane_user).uid);
  if (!link.ok()) {
    return link.status();
  }
  const bool fresh = !state->found();
  std::unique_ptr<Agent> agent(
      new Agent(std::move(config), std::move(settings),
                {*std::move(state), *std::move(function), *std::move(rcu), *std::move(link), *possible_cpus}));
  absl::Status s = agent->BringUp();
  if (s.ok()) {
    return agent;
  }
  // An earlier agent's dataplane still carries traffic: a config that does not work must not end that.
  if (absl::Status undone = fresh ? agent->Stop() : absl::OkStatus(); !undone.ok()) {
    spdlog::error("cleaning up: {}", std::string(undone.message()));
  }
  return s;
}

absl::Status Agent::BringUp() {
  absl::StatusOr<std::vector<uint32_t>> cores = placement_.FindUsableCores();
  if (!cores.ok()) {
    return cores.status();
  }
  placement_.SetUsableCores(*std::move(cores));
  // Later on CPUs may come and go; a core that is not there at the start is a mistake in the config.
  absl::Status s = state_.state().ports().empty() ? placement_.CheckCores(config_.dataplane.cores) : absl::OkStatus();
  if (!s.ok()) {
    return s;
  }
  absl::StatusOr<std::optional<Greeting>> survivor =
      link_.AcceptSurvivor(static_cast<pid_t>(state_.state().dataplane_pid()), kReconnectBound);
  if (!survivor.ok()) {
    return survivor.status();
  }
  s = BringUpPorts();
  if (s.ok()) {
    s = survivor->has_value() ? TakeOver(*std::move(*survivor)) : StartFresh();
  }
  if (s.ok()) {
    s = steering_.Start(config_.rules);
  }
  for (Port& port : ports_) {
    if (s.ok()) {
      s = port.Activate();
    }
  }
  if (s.ok()) {
    resizer_.ReportInterrupted();
    resizer_.Save();
  }
  return s;
}

absl::Status Agent::BringUpPorts() {
  PortSettings settings;
  settings.object_dir = settings_.object_dir;
  settings.pin_root = settings_.pin_root;
  settings.queue_pairs = config_.dataplane.queue_pairs;
  settings.every_frame = function_.wants_every_frame();
  settings.mode = config_.dataplane.mode;
  settings.flow_buckets = config_.dataplane.offload_flows / SLUICE_FLOW_WAYS;
  for (const PortConfig& config : config_.ports) {
    absl::StatusOr<std::unique_ptr<Port>> port =
        NetdevPort::BringUp(config, settings, FindSaved(state_.state(), config.netdev));
    if (!port.ok()) {
      return port.status();
    }
    ports_.Add(*std::move(port));
  }
  state_.Update([this](SavedState& state) { ports_.Save(state); });
  return absl::OkStatus();
}

absl::Status Agent::StartFresh() {
  absl::Status s = ports_.MakePairsAgree();
  if (s.ok()) {
    s = ConnectFresh();
  }
  if (!s.ok()) {
    return s;
  }
  const uint32_t pairs = ports_.queue_pairs();
  resizer_.StartWith(pairs);
  s = handover_.ToFresh(pairs, resizer_.WorkersFor(pairs));
  return s.ok() ? ports_.WriteRssTables(pairs) : s;
}

absl::Status Agent::TakeOver(Greeting greeting) {
  absl::Status s = handover_.FromSurvivor(std::move(greeting));
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
  if (!link_.connected()) {
    if (absl::Status s = supervisor_.Start(); !s.ok()) {
      return s;
    }
    absl::StatusOr<Greeting> greeting = link_.Accept(absl::Now() + kDataplaneStartBound);
    if (greeting.ok() && greeting->hello.configured()) {
      spdlog::warn("dataplane {} came too late with lanes of an earlier agent; ending it", link_.pid());
      link_.Drop(absl::ZeroDuration());
      greeting = link_.Accept(absl::Now() + kDataplaneStartBound);
    }
    if (!greeting.ok()) {
      return greeting.status();
    }
  }
  supervisor_.Connected();
  return absl::OkStatus();
}

void Agent::DataplaneLost() {
  spdlog::error("the dataplane (pid {}) is gone", link_.pid());
  // A dataplane that was told to end (systemctl restart) hangs up first, then sends its last frames for at most 1 s
  // (dataplane/process/main.cc).
  constexpr absl::Duration kFarewell = absl::Seconds(2);
  link_.Drop(kFarewell);
  supervisor_.Lost(absl::Now());
  offload_.DataplaneLost();
  const uint32_t lanes = lanes_.pair_lanes();
  if (absl::Status s = ports_.ForEach([lanes](Port& port) { return port.ApplyDownPolicy(lanes); }); !s.ok()) {
    spdlog::error("policy while the dataplane is down: {}", std::string(s.message()));
  }
}

absl::Status Agent::TakeInDataplane(absl::Time deadline) {
  absl::StatusOr<Greeting> greeting = link_.Accept(deadline);
  if (!greeting.ok()) {
    return greeting.status();
  }
  if (greeting->hello.configured()) {
    link_.Drop(absl::ZeroDuration());
    return absl::FailedPreconditionError("a dataplane came with lanes of its own while ours were waiting; ended it");
  }
  if (absl::Status s = handover_.ToSuccessor(); !s.ok()) {
    link_.Drop(absl::ZeroDuration());
    supervisor_.Refused(absl::Now());
    return s;
  }
  supervisor_.TakenIn(absl::Now());
  for (Port& port : ports_) {
    if (absl::Status s = port.Resteer(); !s.ok()) {
      return s;
    }
  }
  spdlog::info("dataplane {} took over {} lanes", link_.pid(), lanes_.lanes().size());
  return absl::OkStatus();
}

void Agent::Tick() {
  const absl::Time now = absl::Now();
  supervisor_.Tick(now);
  transmit_.Tick(now);
  if (const int64_t now_ns = MonotonicNs(); now_ns >= reconcile_at_ns_) {
    ports_.Reconcile(resizer_.active_pairs());
    reconcile_at_ns_ = now_ns + kReconcileEveryNs;
  }
  steering_.FollowAddresses();
  resizer_.FollowCpus();
  offload_.Follow();
}

absl::Status Agent::ApplyFunctionSettings(const SettingTexts& settings) {
  return function_.Apply(settings, dataplane_,
                         [this](absl::FunctionRef<absl::Status()> change) { return offload_.Withdrawing(change); });
}

Config Agent::RunningConfig() const {
  Config config = config_;
  config.function.settings = function_.settings();
  config.dataplane.queue_pairs = resizer_.wanted_pairs();
  config.dataplane.workers = placement_.wish().workers;
  config.dataplane.cores = placement_.wish().cores;
  config.rules = steering_.rules();
  for (uint32_t port = 0; port < ports_.size(); ++port) {
    config.ports[port].on_dataplane_down = ports_[port].down_policy();
  }
  return config;
}

absl::Status Agent::Stop() {
  absl::Status first;
  const bool connected = link_.connected();
  if (connected) {
    first.Update(dataplane_.ShutDown());
  }
  supervisor_.Stop(/*asked_to_end=*/connected);
  lanes_.Clear();
  first.Update(ports_.TakeDown());
  // Fails unless it is empty: another agent's ports may be in it.
  (void)rmdir(settings_.pin_root.c_str());
  first.Update(state_.Remove());
  return first;
}

}  // namespace sluice
