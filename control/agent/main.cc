// sluice-agent: brings a network function up, serves sluicectl, restarts the dataplane, and puts the
// kernel back as it was at SIGTERM or SIGINT. SIGUSR1 ends it alone: the dataplane goes on, for the next agent.
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "control/agent/cli_server.h"
#include "control/agent/instance.h"
#include "control/agent/reporter.h"
#include "control/agent/version.h"
#include "control/config/config.h"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr int kTickMs = 1000;
constexpr absl::Duration kGreetingBound = absl::Seconds(5);

struct Options {
  std::string config = "/etc/sluice/sluice.toml";
  std::string socket = "/run/sluice/agent.sock";
  std::string object_dir = SLUICE_OBJECT_DIR;
  std::string pin_root = "/sys/fs/bpf/sluice";
  std::string dataplane = SLUICE_DATAPLANE_BINARY;
  std::string user = "sluice-dataplane";
  bool external_dataplane = false;
  bool leave_running = false;
  bool verbose = false;
};

// What ends the agent as a descriptor, so that it is taken between steps, never inside one.
UniqueFd StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool ToldToLeaveRunning(int stop_fd) {
  signalfd_siginfo info{};
  return read(stop_fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1;
}

void Loop(Instance& instance, CliServer& server, Reporter& reporter, int stop_fd) {
  while (true) {
    reporter.Report(instance);
    std::array<pollfd, 4> fds = {{{stop_fd, POLLIN, 0},
                                  {server.fd(), POLLIN, 0},
                                  {instance.link().listen_fd(), POLLIN, 0},
                                  {instance.link().connection_fd(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), kTickMs) < 0 && errno != EINTR) {
      spdlog::error("poll: {}", strerror(errno));
      return;
    }
    if (fds[0].revents != 0) {
      return;
    }
    if (fds[3].revents != 0 || instance.dataplane_gone()) {
      instance.DataplaneLost();
    }
    if (fds[2].revents != 0) {
      if (absl::Status s = instance.TakeInDataplane(absl::Now() + kGreetingBound); !s.ok()) {
        spdlog::error("a dataplane that connected was not taken in: {}", std::string(s.message()));
      }
    }
    if (fds[1].revents != 0) {
      server.ServeOne(instance);
    }
    instance.Tick();
  }
}

// "/run/sluice/agent.sock" -> "/run/sluice/agent" + what
std::string Beside(const std::string& socket, const char* what) {
  return std::filesystem::path(socket).replace_extension().string() + what;
}

int Run(const Options& options) {
  const UniqueFd stop = StopSignals();
  // BPF maps are charged to the cgroup since 5.11, but UMEM pages count here when CAP_IPC_LOCK is missing.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0) {
    spdlog::debug("memlock limit stays: {}", strerror(errno));
  }
  absl::StatusOr<Config> config = LoadConfig(options.config);
  if (!config.ok()) {
    spdlog::error("{}", std::string(config.status().message()));
    return 1;
  }
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(options.socket).parent_path(), error);
  absl::StatusOr<CliServer> server = CliServer::Listen(options.socket);
  if (!server.ok()) {
    spdlog::error("{}", std::string(server.status().message()));
    return 1;
  }
  absl::StatusOr<Reporter> reporter = Reporter::Start(config->metrics);
  if (!reporter.ok()) {
    spdlog::error("{}", std::string(reporter.status().message()));
    std::filesystem::remove(options.socket, error);
    return 1;
  }
  InstanceSettings settings;
  settings.object_dir = options.object_dir;
  settings.pin_root = options.pin_root;
  settings.dataplane_binary = options.external_dataplane ? "" : options.dataplane;
  settings.dataplane_user = options.user;
  settings.dataplane_socket = Beside(options.socket, "-dataplane.sock");
  settings.state_file = Beside(options.socket, "-state.json");
  absl::StatusOr<std::unique_ptr<Instance>> instance = Instance::Start(*config, settings);
  int code = 0;
  if (instance.ok()) {
    spdlog::info("{} is running with {} queue pair(s) on {} port(s); sluicectl --socket {}", config->function.type,
                 (*instance)->active_pairs(), (*instance)->ports().size(), options.socket);
    (void)sd_notify(0, "READY=1");  // does nothing where no systemd waits for it
    Loop(**instance, *server, *reporter, stop.get());
    (void)sd_notify(0, "STOPPING=1");
    if (!ToldToLeaveRunning(stop.get()) && !options.leave_running) {
      if (absl::Status s = (*instance)->Stop(); !s.ok()) {
        spdlog::error("not everything could be put back: {}", std::string(s.message()));
        code = 1;
      }
      std::filesystem::remove(settings.dataplane_socket, error);
    }
  } else {
    spdlog::error("{}", std::string(instance.status().message()));
    code = 1;
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
  app.add_option("--socket", options.socket, "Where sluicectl finds it")->capture_default_str();
  app.add_option("--bpf-dir", options.object_dir, "Folder of the .bpf.o files")->capture_default_str();
  app.add_option("--pin-root", options.pin_root, "bpffs folder for the ports' maps")->capture_default_str();
  app.add_option("--dataplane", options.dataplane, "The sluice-dataplane to start")->capture_default_str();
  app.add_option("--user", options.user, "User the dataplane runs as (nobody, if there is no such user)")
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
  // Nothing of ours throws; libraries may, when memory is out.
  try {
    return sluice::Main(argc, argv);
  } catch (...) {
    fputs("sluice-agent: ended by an exception\n", stderr);
    return 1;
  }
}
