#include "control/agent/instance.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/agent/live_resize.h"
#include "control/agent/state_file.h"
#include "control/doctor/doctor.h"
#include "control/kernel/affinity.h"
#include "control/kernel/links.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A far end that a former agent's socket still holds is free again in some 150 ms (lane_sockets.h).
constexpr absl::Duration kBindBound = absl::Seconds(10);

WantedXskMode Wanted(ModeSetting mode) {
  switch (mode) {
    case ModeSetting::kZeroCopy:
      return WantedXskMode::kZeroCopy;
    case ModeSetting::kCopy:
      return WantedXskMode::kCopy;
    case ModeSetting::kSkb:
      return WantedXskMode::kSkb;
    case ModeSetting::kAuto:
      break;
  }
  return WantedXskMode::kAuto;
}

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
  for (const uint32_t core : config_.dataplane.cores) {
    if (state_.ports().empty() && std::find(cores->begin(), cores->end(), core) == cores->end()) {
      return absl::FailedPreconditionError(absl::StrCat("dataplane.cores: there is no core ", core, " online"));
    }
  }
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
    active_pairs_ = transmit_lanes_ = wanted_pairs_ = ports_.front().queue_pairs();
    if (absl::Status s = StartFresh(); !s.ok()) {
      return s;
    }
  }
  for (AgentPort& port : ports_) {
    if (absl::Status s = port.Activate(config_.rules); !s.ok()) {
      return s;
    }
  }
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
  for (const AgentPort& port : ports_) {
    if (port.queue_pairs() != ports_.front().queue_pairs()) {
      return absl::FailedPreconditionError(absl::StrCat(port.netdev(), " has ", port.queue_pairs(), " queue pairs and ",
                                                        ports_.front().netdev(), " ", ports_.front().queue_pairs(),
                                                        "; all ports need the same number (ethtool -L)"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Greeting>> Instance::FindSurvivor() {
  if (state_.dataplane_pid() == 0 || kill(static_cast<pid_t>(state_.dataplane_pid()), 0) != 0) {
    return std::optional<Greeting>();
  }
  // It tries to reconnect at least once a second (dataplane/agent_link.h).
  constexpr absl::Duration kReconnectBound = absl::Seconds(5);
  absl::StatusOr<Greeting> greeting = link_->Accept(absl::Now() + kReconnectBound);
  if (absl::IsDeadlineExceeded(greeting.status())) {
    return std::optional<Greeting>();
  }
  if (!greeting.ok()) {
    return greeting.status();
  }
  if (!greeting->hello.configured()) {
    return std::optional<Greeting>();
  }
  return std::optional<Greeting>(*std::move(greeting));
}

absl::Status Instance::AdoptSurvivor(Greeting greeting) {
  const dataplane::Configure& running = greeting.hello.configuration();
  const bool same_ports =
      running.ports_size() == static_cast<int>(ports_.size()) &&
      std::equal(ports_.begin(), ports_.end(), running.ports().begin(),
                 [](const AgentPort& a, const dataplane::PortSpec& b) { return a.config().name == b.name(); });
  if (!same_ports || running.function() != config_.function.type) {
    return absl::FailedPreconditionError(
        absl::StrCat("a dataplane is running function \"", running.function(),
                     "\" with other ports or another function than the config asks for; it goes on as it is. End it "
                     "(SIGTERM to pid ",
                     link_->pid(), ") and start again"));
  }
  absl::StatusOr<StatsView> stats = StatsView::Adopt(std::move(greeting.stats));
  if (!stats.ok()) {
    return stats.status();
  }
  stats_ = *std::move(stats);
  for (HeldLane& held : greeting.lanes) {
    if (absl::Status s = lanes_.Adopt(std::move(held)); !s.ok()) {
      return s;
    }
  }
  const uint32_t open = lanes_.pair_lanes();
  if (open != ports_.front().queue_pairs()) {
    return absl::FailedPreconditionError(absl::StrCat("the running dataplane has ", open, " lanes and ",
                                                      ports_.front().netdev(), " ", ports_.front().queue_pairs(),
                                                      " queue pairs: an agent died in the middle of a resize. End the "
                                                      "dataplane (SIGTERM to pid ",
                                                      link_->pid(), ") and start again"));
  }
  active_pairs_ = wanted_pairs_ = open;
  transmit_lanes_ = greeting.hello.transmit_lanes();
  worker_cores_.assign(greeting.hello.cores().begin(), greeting.hello.cores().end());
  if (transmit_lanes_ != open) {
    if (absl::Status s = SendTransmitLanes(open); !s.ok()) {
      return s;
    }
  }
  spdlog::info("took over from an earlier agent: {} lanes, dataplane {} went on meanwhile", open, link_->pid());
  return absl::OkStatus();
}

UmemLayout Instance::LaneLayout() const {
  const XskRingSizes rings;
  uint32_t frame_size = 0;
  for (const AgentPort& port : ports_) {
    frame_size = std::max(frame_size, port.frame_size_bytes());
  }
  // Enough for every fill and every transmit ring to be full at once: no port can starve another.
  return {static_cast<uint32_t>(ports_.size()) * (rings.fill + rings.tx), frame_size};
}

// The dataplane maps the rings before they are bound (lane_sockets.h). While there is none the lane is bound all
// the same, for the one that takes over.
absl::Status Instance::OpenLane(uint32_t index, std::vector<QueueAddress> queues, absl::StatusOr<UniqueFd> umem,
                                absl::Time deadline) {
  if (!umem.ok()) {
    return umem.status();
  }
  const bool is_bridge = index == kBridgeLane;
  absl::StatusOr<LaneSockets> made = MakeLaneSockets(*std::move(umem), LaneLayout(), XskRingSizes(), std::move(queues));
  if (!made.ok()) {
    return made.status();
  }
  LaneSockets& sockets =
      lanes_.Add(index, is_bridge ? dataplane::LANE_KIND_BRIDGE : dataplane::LANE_KIND_PAIR, *std::move(made));
  if (!down_) {
    if (absl::Status s = SendLane(index); !s.ok()) {
      return s;
    }
  }
  const bool skb = std::any_of(ports_.begin(), ports_.end(),
                               [](const AgentPort& port) { return port.xdp().mode() == XdpMode::kSkb; });
  // veth, the bridge's far end, has no zero-copy, and always native XDP.
  return is_bridge ? BindLaneSockets(sockets, WantedXskMode::kCopy, /*xdp_is_skb=*/false, deadline)
                   : BindLaneSockets(sockets, Wanted(config_.dataplane.mode), skb, deadline);
}

absl::Status Instance::OpenLanes(uint32_t first, uint32_t end, absl::Time deadline,
                                 std::map<uint32_t, UniqueFd> prepared) {
  for (uint32_t index = first; index < end; ++index) {
    std::vector<QueueAddress> queues;
    for (const AgentPort& port : ports_) {
      queues.push_back({port.netdev(), index});
    }
    absl::Status s =
        OpenLane(index, std::move(queues),
                 prepared.count(index) != 0 ? absl::StatusOr<UniqueFd>(std::move(prepared[index]))
                                            : MakeUmemMemory(LaneLayout(), absl::StrCat("sluice-lane-", index)),
                 deadline);
    if (!s.ok()) {
      for (uint32_t opened = first; opened <= index; ++opened) {
        if (absl::Status undone = RemoveLane(opened); !undone.ok()) {
          spdlog::error("closing lane {} again: {}", opened, std::string(undone.message()));
        }
      }
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status Instance::OpenBridgeLane() {
  std::vector<QueueAddress> queues;
  for (const AgentPort& port : ports_) {
    queues.push_back({port.bridge().far_netdev(), 0});
  }
  return OpenLane(kBridgeLane, std::move(queues), MakeUmemMemory(LaneLayout(), "sluice-bridge"),
                  absl::Now() + kBindBound);
}

void Instance::SaveState() {
  state_.clear_ports();
  for (const AgentPort& port : ports_) {
    *state_.add_ports() = port.saved();
  }
  state_.set_dataplane_pid(link_.has_value() ? static_cast<uint32_t>(link_->pid()) : 0);
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
