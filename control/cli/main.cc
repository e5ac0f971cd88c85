// sluicectl: the command tree. Nouns show, verbs change.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include <CLI/CLI.hpp>

#include "control/cli/arguments.h"
#include "control/cli/commands.h"

namespace sluice::cli {
namespace {

constexpr absl::Duration kMinTimeout = absl::Milliseconds(1);
constexpr absl::Duration kMinWatch = absl::Milliseconds(100);
constexpr absl::Duration kMinConfirm = absl::Seconds(1);
constexpr const char* kDefaultWatch = "1s";

// As typed; checked while parsing.
struct Typed {
  std::string output = "table";
  std::string port;
  std::string count;
  std::string timeout;
  std::string watch;
  std::string config;
  std::string config_file = "/etc/sluice/sluice.toml";
  std::string confirm;
  SetQueues set_queues;
};

using Command = std::function<ExitCode(const Context&)>;

// CLI11 wants an empty string for a good value, else what is wrong with it.
template <typename T>
std::string Wrong(const absl::StatusOr<T>& value) {
  return value.ok() ? "" : std::string(value.status().message());
}
std::string CheckCount(const std::string& text) {
  return Wrong(ParseCount(text));
}
std::string CheckTimeout(const std::string& text) {
  return Wrong(ParseInterval(text, kMinTimeout));
}

// A value that is left out reaches us from CLI11 as "true", or not at all.
std::string WatchInterval(const std::string& text) {
  return text.empty() || text == "true" ? kDefaultWatch : text;
}

bool ColoursWanted() {
  const char* term = getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nullptr && (term == nullptr || strcmp(term, "dumb") != 0);
}

ExitCode UsageError(const std::string& text) {
  PrintError(text + "\nRun `sluicectl --help`, or put --help behind a command.");
  return kUsage;
}

void AddQueues(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* queues = app.add_subcommand("queues", "Queue pairs: in use, at most, wanted, and the lever in use");
  queues->add_option("PORT", typed.port, "Only this port");
  commands[queues] = [&typed](const Context& context) { return RunQueues(context, typed.port); };

  CLI::App* set = queues->add_subcommand("set", "Change the number of queue pairs, by the cheapest lever that can");
  set->add_option("N", typed.count, "Queue pairs for every port")->required()->check(CheckCount);
  set->add_option("--method", typed.set_queues.method, "Use this lever and no other")
      ->check(CLI::IsMember({"cores", "spread", "channels"}));
  set->add_flag("--dry-run", typed.set_queues.dry_run, "Print the plan, change nothing");
  set->add_option("--timeout", typed.timeout, "Roll back when it takes longer, e.g. 5s, 500ms")->check(CheckTimeout);
  set->add_flag("--force", typed.set_queues.force, "Go on although other XDP programs are off meanwhile");
  commands[set] = [&typed](const Context& context) {
    SetQueues wanted = typed.set_queues;
    wanted.count = *ParseCount(typed.count);
    if (!typed.timeout.empty()) {
      wanted.timeout = *ParseInterval(typed.timeout, kMinTimeout);
    }
    return RunSetQueues(context, wanted);
  };
}

void AddWorkers(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* workers = app.add_subcommand("workers", "Workers: core, load, lanes");
  commands[workers] = RunWorkers;
  CLI::App* set = workers->add_subcommand("set", "Change the number of workers");
  set->add_option("N", typed.count, "Workers")->required()->check(CheckCount);
  commands[set] = [&typed](const Context& context) { return RunSetWorkers(context, *ParseCount(typed.count)); };
}

void AddStats(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* stats = app.add_subcommand("stats", "Counters since the start");
  CLI::Option* watch =
      stats->add_option("--watch", typed.watch, "Again and again, with rates; every 1s unless said otherwise");
  watch->type_name("INTERVAL")->expected(0, 1)->check([](const std::string& text) {
    return Wrong(ParseInterval(WatchInterval(text), kMinWatch));
  });
  commands[stats] = [&typed, watch](const Context& context) {
    if (watch->count() == 0) {
      return RunStats(context, std::nullopt);
    }
    return RunStats(context, *ParseInterval(WatchInterval(typed.watch), kMinWatch));
  };
}

void AddLooks(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* doctor = app.add_subcommand("doctor", "What limits Sluice on this machine, and how to fix it");
  doctor->add_option("PORT", typed.port, "Only this port");
  doctor->add_option("--config", typed.config, "Examine this configuration's ports, without an agent");
  commands[doctor] = [&typed](const Context& context) {
    return typed.config.empty() ? RunDoctor(context, typed.port) : RunLocalDoctor(context, typed.config, typed.port);
  };
}

void AddConfig(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* config = app.add_subcommand("config", "Configuration files, and the one that is in force");
  CLI::App* check = config->add_subcommand("check", "List what is wrong with a file; needs no agent");
  check->add_option("FILE", typed.config, "Configuration file")->required();
  commands[check] = [&typed](const Context& context) { return RunConfigCheck(context, typed.config); };

  const auto file = [&typed](CLI::App* verb) {
    verb->add_option("FILE", typed.config_file, "Configuration file")->capture_default_str();
  };
  CLI::App* diff = config->add_subcommand("diff", "Show what applying a file would change");
  file(diff);
  commands[diff] = [&typed](const Context& context) { return RunConfigDiff(context, typed.config_file); };

  CLI::App* apply = config->add_subcommand("apply", "Put a file in force, all of it or nothing, without a restart");
  file(apply);
  apply->add_option("--confirm", typed.confirm, "Roll back unless `config confirm` follows in time, e.g. 60s")
      ->check([](const std::string& text) { return Wrong(ParseInterval(text, kMinConfirm)); });
  commands[apply] = [&typed](const Context& context) {
    return RunConfigApply(
        context, typed.config_file,
        typed.confirm.empty() ? std::nullopt : std::optional(*ParseInterval(typed.confirm, kMinConfirm)));
  };
  commands[config->add_subcommand("confirm", "Make the last apply final")] = RunConfigConfirm;
  commands[config->add_subcommand("rollback", "Undo the last apply, which nobody has confirmed yet")] =
      RunConfigRollback;
}

// The options of the whole program. They may stand before the verb or behind it.
CLI::Option* AddCommon(CLI::App& app, Context& context, Typed& typed) {
  app.add_option("-o,--output", typed.output, "json: the message as it is")->check(CLI::IsMember({"table", "json"}));
  CLI::Option* socket = app.add_option("--socket", context.socket_path, "The agent's socket")->capture_default_str();
  for (CLI::App* subcommand : app.get_subcommands([](CLI::App*) { return true; })) {
    AddCommon(*subcommand, context, typed);
  }
  return socket;
}

int Main(int argc, char** argv) {
  CLI::App app("Looks at and changes a running sluice-agent.", "sluicectl");
  app.set_version_flag("--version", "sluicectl " SLUICE_VERSION);
  app.require_subcommand(0, 1);  // none is our error: CLI11 would say the same of an unknown one

  Context context;
  Typed typed;
  context.socket_path = "/run/sluice/agent.sock";

  std::map<const CLI::App*, Command> commands;
  commands[app.add_subcommand("status", "Ports, queues, workers, rates, balance")] = RunStatus;
  AddQueues(app, typed, commands);
  AddWorkers(app, typed, commands);
  AddStats(app, typed, commands);
  AddLooks(app, typed, commands);
  AddConfig(app, typed, commands);
  // Only here: below, the environment would win over an option before the verb.
  AddCommon(app, context, typed)->envname("SLUICE_SOCKET");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error)  // help or version
                                      : UsageError(error.what());
  }
  const CLI::App* chosen = &app;
  while (!chosen->get_subcommands().empty()) {
    chosen = chosen->get_subcommands().front();
  }
  const auto command = commands.find(chosen);
  if (command == commands.end()) {
    return UsageError("a command is missing");
  }
  context.json = typed.output == "json";
  context.style.colours = !context.json && ColoursWanted();

  return command->second(context);
}

}  // namespace
}  // namespace sluice::cli

int main(int argc, char** argv) {
  // Nothing of ours throws; libraries may, when memory is out. No exit code is true then: the agent may have done
  // what it was asked.
  try {
    return sluice::cli::Main(argc, argv);
  } catch (...) {
    fputs("sluicectl: ended by an exception\n", stderr);
    abort();
  }
}
