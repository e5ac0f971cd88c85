#include "control/agent/instance.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/agent/live_resize.h"
#include "control/doctor/doctor.h"
#include "control/kernel/affinity.h"
#include "control/kernel/links.h"
#include "control/state/state_file.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Which of the functions look at every frame on the wire; the others only at frames sent to the port.
bool IsBumpInTheWire(const FunctionConfig& function) {
  return function.type == "forward";
}

}  // namespace

Instance::~Instance() = default;

absl::StatusOr<std::unique_ptr<Instance>> Instance::Start(Config config, InstanceSettings settings) {
  std::unique_ptr<Instance> instance(new Instance(std::move(config), std::move(settings)));
  absl::StatusOr<SavedState> saved = ReadStateFile(instance->settings_.state_file);
  const bool fresh = absl::IsNotFound(saved.status());
  if (!fresh) {
    if (!saved.ok()) {
      return saved.status();
    }
    instance->state_ = *saved;
  }
  if (absl::Status s = instance->BringUp(); !s.ok()) {
    // What an earlier agent left is still carrying traffic: a config that does not work must not end that.
    if (fresh) {
      if (absl::Status undone = instance->Stop(); !undone.ok()) {
        spdlog::error("cleaning up: {}", std::string(undone.message()));
      }
    }
    return s;
  }
  return instance;
}

absl::Status Instance::BringUp() {
  absl::StatusOr<MachineFacts> machine = CollectMachineFacts();
  if (!machine.ok()) {
    return machine.status();
  }
  possible_cpus_ = machine->possible_cpus;
  absl::StatusOr<std::vector<uint32_t>> cores = UsableCores();
  if (!cores.ok()) {
    return cores.status();
  }
  usable_cores_ = *cores;
  // Later on CPUs may come and go; a core that is not there at the start is a mistake in the config.
  if (state_.ports().empty()) {
    if (absl::Status s = CheckCores(config_.dataplane.cores); !s.ok()) {
      return s;
    }
  }
  absl::StatusOr<RcuWaiter> rcu = RcuWaiter::Make();
  if (!rcu.ok()) {
    return rcu.status();
  }
  rcu_ = *std::move(rcu);
  absl::StatusOr<DataplaneLink> link =
      DataplaneLink::Listen(settings_.dataplane_socket, DataplaneUser(settings_.dataplane_user).uid);
  if (!link.ok()) {
    return link.status();
  }
  link_ = *std::move(link);

  absl::StatusOr<std::optional<Greeting>> survivor = FindSurvivor();
  if (!survivor.ok()) {
    return survivor.status();
  }
  if (absl::Status s = BringUpPorts(); !s.ok()) {
    return s;
  }
  SaveState();
  if (survivor->has_value()) {
    if (absl::Status s = AdoptSurvivor(*std::move(*survivor)); !s.ok()) {
      return s;
    }
  } else {
    if (absl::Status s = MakePortsAgree(); !s.ok()) {
      return s;
    }
    active_pairs_ = transmit_lanes_ = wanted_pairs_ = ports_.front().queue_pairs();
    absl::Status s = StartFresh();
    if (s.ok()) {
      s = WriteRssTables(active_pairs_);
    }
    if (!s.ok()) {
      return s;
    }
  }
  if (absl::Status s = MakeRules(); !s.ok()) {
    return s;
  }
  for (AgentPort& port : ports_) {
    if (absl::Status s = port.Activate(); !s.ok()) {
      return s;
    }
  }
  ReportInterrupted();
  SaveState();
  return absl::OkStatus();
}

absl::Status Instance::BringUpPorts() {
  PortSettings settings;
  settings.object_dir = settings_.object_dir;
  settings.pin_root = settings_.pin_root;
  settings.queue_pairs = config_.dataplane.queue_pairs;
  settings.own_mac_only = !IsBumpInTheWire(config_.function);
  settings.promiscuous = IsBumpInTheWire(config_.function);
  settings.mode = config_.dataplane.mode;
  settings.flow_buckets = config_.dataplane.offload_flows / SLUICE_FLOW_WAYS;
  for (const PortConfig& config : config_.ports) {
    std::optional<SavedPort> saved;
    for (const SavedPort& candidate : state_.ports()) {
      if (candidate.netdev() == config.netdev) {
        saved = candidate;
      }
    }
    absl::StatusOr<AgentPort> port = AgentPort::BringUp(config, settings, saved);
    if (!port.ok()) {
      return port.status();
    }
    ports_.push_back(*std::move(port));
  }
  return absl::OkStatus();
}

void Instance::SaveState() {
  state_.clear_ports();
  for (const AgentPort& port : ports_) {
    *state_.add_ports() = port.saved();
  }
  const bool connected = link_.has_value() && link_->connected();
  state_.set_dataplane_pid(static_cast<uint32_t>(connected ? link_->pid() : child_));
  if (next_rule_id_ > 0) {  // as with active_pairs_
    SaveRules();
  }
  if (active_pairs_ > 0) {  // else what the agent before us wrote is still to be read
    state_.set_active_pairs(active_pairs_);
  }
  if (absl::Status s = WriteStateFile(settings_.state_file, state_); !s.ok()) {
    spdlog::warn("{}; an agent that starts after a crash will not know what to put back", std::string(s.message()));
  }
}

absl::Status Instance::Stop() {
  absl::Status first;
  const auto note = [&first](absl::Status s) {
    if (first.ok() && !s.ok()) {
      first = std::move(s);
    }
  };
  if (link_.has_value() && link_->connected()) {
    note(ShutDownDataplane());
  } else if (child_ > 0) {
    (void)kill(child_, SIGKILL);
  }
  if (child_ > 0) {
    (void)waitpid(child_, nullptr, 0);
    child_ = 0;
  }
  lanes_.Clear();
  for (AgentPort& port : ports_) {
    note(port.TakeDown());
  }
  ports_.clear();
  // Ours alone when it is empty; another agent's ports may be in it.
  (void)rmdir(settings_.pin_root.c_str());
  note(RemoveStateFile(settings_.state_file));
  return first;
}

}  // namespace sluice
