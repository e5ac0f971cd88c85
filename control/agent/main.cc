// sluice-agent: brings a network function up, serves sluicectl, restarts the dataplane, applies its configuration
// again at SIGHUP, and puts the kernel back as it was at SIGTERM or SIGINT. SIGUSR1 ends only the agent: the dataplane
// goes on, for the next agent.
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "control/agent/agent.h"
#include "control/agent/live_config.h"
#include "control/apply/config_keeper.h"
#include "control/apply/config_start.h"
#include "control/config/config.h"
#include "control/dataplane/watchdog.h"
#include "control/kernel/progress.h"
#include "control/port/device_locks.h"
#include "control/serve/cli_server.h"
#include "control/serve/reporter.h"
#include "control/serve/version.h"
#include "control/state/lock_file.h"
#include "control/state/state_dir.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr int64_t kTickEveryNs = 1'000'000'000;

struct Options {
  std::string config = "/etc/sluice/sluice.toml";
  std::string socket = "/run/sluice/agent.sock";
  std::string object_dir = SLUICE_OBJECT_DIR;
  std::string pin_root = "/sys/fs/bpf/sluice";
  std::string dataplane = SLUICE_DATAPLANE_BINARY;
  std::string user = "sluice-dataplane";
  std::string state_dir = "/var/lib/sluice";
  bool external_dataplane = false;
  bool leave_running = false;
  bool verbose = false;
};

// Turns the signals into a descriptor, so that they are taken between steps, never inside one.
UniqueFd TakeSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

// Four ports of 64 pairs take some 600 descriptors, and a resize more than that again; the shell's usual limit is
// 1,024.
void RaiseDescriptorLimit() {
  constexpr rlim_t kWanted = 65536;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kWanted) {
    limit.rlim_cur = std::min(kWanted, limit.rlim_max);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// Returns the signal that has come; 0: none has.
uint32_t NextSignal(int signals) {
  signalfd_siginfo signal{};
  return read(signals, &signal, sizeof(signal)) == sizeof(signal) ? signal.ssi_signo : 0;
}

// Systemd ends an agent that it does not hear of for the unit's WatchdogSec.
void TellSystemd() {
  static int64_t next_ns = 0;
  if (const int64_t now_ns = MonotonicNs(); now_ns >= next_ns) {
    (void)sd_notify(0, "WATCHDOG=1");
    next_ns = now_ns + kTickEveryNs;
  }
}

// Runs until a signal ends it, and returns that.
uint32_t Loop(Agent& agent, ConfigKeeper& configs, CliServer& server, Reporter& reporter, int signals) {
  int64_t tick_at_ns = 0;
  while (true) {
    NoteProgress();
    reporter.Report(agent.served(), configs.Status());
    std::array<pollfd, 5> fds = {{{signals, POLLIN, 0},
                                  {server.fd(), POLLIN, 0},
                                  {agent.listen_fd(), POLLIN, 0},
                                  {agent.connection_fd(), POLLIN, 0},
                                  {agent.changes_fd(), POLLIN, 0}}};
    const bool changes_wait = agent.changes_wait();
    const int events = poll(fds.data(), fds.size(), changes_wait ? Agent::kBurstMs : Watchdog::kLookEveryMs);
    if (events < 0 && errno != EINTR) {
      spdlog::error("poll: {}", strerror(errno));
      return SIGTERM;
    }
    if (const uint32_t signal = NextSignal(signals); signal == SIGHUP) {
      server.Reload(agent.served(), configs);
    } else if (signal != 0) {
      return signal;
    }
    agent.Watch();
    agent.Autoscale();
    if (fds[3].revents != 0 || agent.dataplane_gone()) {
      agent.DataplaneLost();
      reporter.Hurry();
    }
    if (absl::Status s = agent.TakeInDataplane(); !s.ok()) {
      spdlog::error("a process that connected as the dataplane was not taken in: {}", std::string(s.message()));
    }
    if (fds[2].revents != 0) {
      reporter.Hurry();
    }
    if (fds[1].revents != 0) {
      server.ServeOne(agent.served(), configs);
    }
    if (events > 0 || changes_wait || MonotonicNs() >= tick_at_ns) {
      agent.Tick();
      configs.Tick();
      tick_at_ns = MonotonicNs() + kTickEveryNs;
    }
  }
}

// "/run/sluice/agent.sock" -> "/run/sluice/agent" + ending
std::string NextTo(const std::string& socket, const char* ending) {
  return std::filesystem::path(socket).replace_extension().string() + ending;
}

AgentSettings SettingsFrom(const Options& options, UserIds user) {
  AgentSettings settings;
  settings.object_dir = options.object_dir;
  settings.pin_root = options.pin_root;
  settings.dataplane_binary = options.external_dataplane ? "" : options.dataplane;
  settings.dataplane_user = user;
  settings.dataplane_socket = NextTo(options.socket, "-dataplane.sock");
  settings.state_file = NextTo(options.socket, "-state.json");
  return settings;
}

std::string OwnerText(const Options& options) {
  return absl::StrCat("pid ", getpid(), ", which answers on ", options.socket);
}

// The running agent, and the configuration it was started with.
struct Started {
  StartConfig config;
  DeviceLocks locks;
  std::unique_ptr<Reporter> reporter;
  std::unique_ptr<Agent> agent;
};

// The last good configuration comes with the last good lists.
StartLists ListsFor(const StartConfig& config, const StateDir& state_dir) {
  const ListCopies copies = state_dir.list_copies();
  return {ListsOfStart(config.config, config.source.last_good ? std::make_optional(copies) : std::nullopt), copies,
          config.apply.has_value()};
}

absl::StatusOr<Started> StartWith(StartConfig config, const StateDir& state_dir, const AgentSettings& settings,
                                  const std::string& owner) {
  // First, so that two agents never work on one device.
  absl::StatusOr<DeviceLocks> locks = DeviceLocks::Take(config.config.ports, settings.pin_root, owner);
  if (!locks.ok()) {
    return locks.status();
  }
  absl::StatusOr<Reporter> reporter = Reporter::Start(config.config.metrics);
  if (!reporter.ok()) {
    return reporter.status();
  }
  absl::StatusOr<std::unique_ptr<Agent>> agent = Agent::Start(config.config, settings, ListsFor(config, state_dir));
  if (!agent.ok()) {
    return agent.status();
  }
  return Started{std::move(config), *std::move(locks), std::make_unique<Reporter>(*std::move(reporter)),
                 *std::move(agent)};
}

// Starts with the first configuration that works. The problems of earlier ones are in the log and in its source.
std::optional<Started> StartWithAny(const Options& options, const StateDir& state_dir, const AgentSettings& settings) {
  const bool takes_over = std::filesystem::exists(settings.state_file);
  StartChoices choices = FindStartChoices(options.config, state_dir, takes_over);
  std::vector<std::string> problems = choices.problems;
  for (const std::string& problem : problems) {
    spdlog::error("{}", problem);
  }
  for (StartConfig& config : choices.configs) {
    const std::string file = config.source.file;
    if (!problems.empty()) {
      spdlog::error("starting with {} instead", file);
    }
    absl::StatusOr<Started> started = StartWith(std::move(config), state_dir, settings, OwnerText(options));
    if (started.ok()) {
      started->config.source.problems = problems;
      return *std::move(started);
    }
    spdlog::error("{}", std::string(started.status().message()));
    problems.push_back(absl::StrCat(file, ": ", started.status().message()));
  }
  return std::nullopt;
}

int Run(const Options& options) {
  const UniqueFd signals = TakeSignals();
  // BPF maps are charged to the cgroup since 5.11, but UMEM pages count here when CAP_IPC_LOCK is missing.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0) {
    spdlog::debug("memlock limit stays: {}", strerror(errno));
  }
  const absl::StatusOr<UserIds> user = DataplaneUser(options.user);
  if (!user.ok()) {
    spdlog::error("{}", std::string(user.status().message()));
    return 1;
  }
  RaiseDescriptorLimit();
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(options.socket).parent_path(), error);
  // It covers all files next to the socket: the dataplane's socket, the state file.
  const absl::StatusOr<LockFile> lock = LockFile::Take(NextTo(options.socket, ".lock"), OwnerText(options));
  if (!lock.ok()) {
    spdlog::error("--socket {} is another agent's ({}); stop it, or give this one another", options.socket,
                  std::string(lock.status().message()));
    return 1;
  }
  absl::StatusOr<CliServer> server = CliServer::Listen(options.socket);
  if (!server.ok()) {
    spdlog::error("{}", std::string(server.status().message()));
    return 1;
  }
  absl::StatusOr<StateDir> state_dir = StateDir::Open(options.state_dir);
  if (!state_dir.ok()) {
    spdlog::error("{}", std::string(state_dir.status().message()));
    std::filesystem::remove(options.socket, error);
    return 1;
  }
  const AgentSettings settings = SettingsFrom(options, *user);
  std::optional<Started> started = StartWithAny(options, *state_dir, settings);
  if (!started.has_value()) {
    std::filesystem::remove(options.socket, error);
    return 1;
  }
  Agent& agent = *started->agent;
  Reporter& reporter = *started->reporter;
  LiveConfig live(agent, reporter);
  ConfigKeeper configs(live, *state_dir, std::move(started->config), options.config);
  spdlog::info("{} is running with {} queue pair(s) on {} port(s); sluicectl --socket {}",
               agent.served().config.function.type, agent.served().resizer.active_pairs(), agent.served().ports.size(),
               options.socket);
  (void)sd_notify(0, "READY=1");  // does nothing where no systemd waits for it
  OnProgress(&TellSystemd);
  const uint32_t ended_by = Loop(agent, configs, *server, reporter, signals.get());
  (void)sd_notify(0, "STOPPING=1");
  int code = 0;
  if (ended_by != SIGUSR1 && !options.leave_running) {
    if (absl::Status s = agent.Stop(); !s.ok()) {
      spdlog::error("not everything could be put back: {}", std::string(s.message()));
      code = 1;
    }
    std::filesystem::remove(settings.dataplane_socket, error);
  }
  std::filesystem::remove(options.socket, error);
  return code;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app{
      "Sluice's control agent: runs in the foreground until SIGTERM, then puts the kernel back as it was. "
      "SIGUSR1 ends it and leaves traffic running."};
  app.set_version_flag("--version", kVersion);
  app.add_option("--config", options.config, "Configuration file")->capture_default_str();
  app.add_option("--socket", options.socket, "The socket on which it answers sluicectl")->capture_default_str();
  app.add_option("--bpf-dir", options.object_dir, "Folder of the .bpf.o files")->capture_default_str();
  app.add_option("--pin-root", options.pin_root, "bpffs folder for the ports' maps")->capture_default_str();
  app.add_option("--dataplane", options.dataplane, "The sluice-dataplane to start")->capture_default_str();
  app.add_option("--user", options.user,
                 "User the dataplane runs as, by name or number; no other program should run as it")
      ->capture_default_str();
  app.add_option("--state-dir", options.state_dir, "Folder of the last good configuration; one for each agent")
      ->capture_default_str();
  app.add_flag("--external-dataplane", options.external_dataplane, "Somebody else (systemd) starts the dataplane");
  app.add_flag("--leave-running", options.leave_running, "At SIGTERM leave dataplane and steering as they are");
  app.add_flag("-v,--verbose", options.verbose, "Log more");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    constexpr int kUsage = 2;
    return app.exit(e) == 0 ? 0 : kUsage;
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("sluice-agent"));
  spdlog::set_level(options.verbose ? spdlog::level::debug : spdlog::level::info);
  return Run(options);
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  // Our code does not throw; libraries may, when there is no memory.
  try {
    return sluice::Main(argc, argv);
  } catch (...) {
    fputs("sluice-agent: ended by an exception\n", stderr);
    return 1;
  }
}
