// sluice-dataplane: moves the packets. The agent or systemd starts it as a user without rights; it gets everything that
// it works on from the agent, over a socket.
#include <sys/signalfd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "dataplane/process/agent_link.h"
#include "dataplane/process/confinement.h"
#include "dataplane/process/dataplane.h"
#include "dataplane/process/kernel.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// The time for which frames may still be sent when the process has to end: well below systemd's 90 s, well above the
// time a device needs to complete its frames.
constexpr absl::Duration kDrainAtTermination = absl::Seconds(1);

// Blocks the signals in this thread and, by inheritance, in every worker.
absl::StatusOr<UniqueFd> TerminationSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) {
    return absl::InternalError("signalfd failed");
  }
  return fd;
}

int Main(int argc, char** argv) {
  CLI::App app("Sluice's dataplane: moves packets between AF_XDP sockets that sluice-agent gives it.",
               "sluice-dataplane");
  std::string socket_path = "/run/sluice/agent-dataplane.sock";
  app.add_option("--socket", socket_path, "The agent's socket")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  spdlog::set_default_logger(spdlog::stderr_logger_mt("sluice-dataplane"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %n %l: %v");

  absl::StatusOr<UniqueFd> termination = TerminationSignals();
  if (!termination.ok()) {
    spdlog::critical("{}", std::string(termination.status().message()));
    return EXIT_FAILURE;
  }
  if (absl::Status status = Confine(); !status.ok()) {
    spdlog::critical("not started, since it could not be confined: {}", std::string(status.message()));
    return EXIT_FAILURE;
  }
  LinuxKernel kernel;
  Dataplane dataplane(kernel);
  AgentLink(dataplane, socket_path, termination->get()).Serve();
  if (!dataplane.shut_down()) {
    dataplane.Shutdown(kDrainAtTermination);
  }
  spdlog::info("ended");
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  // Our code throws nothing; libraries may, when there is no memory.
  try {
    return sluice::Main(argc, argv);
  } catch (...) {
    fputs("sluice-dataplane: ended by an exception\n", stderr);
    return EXIT_FAILURE;
  }
}
