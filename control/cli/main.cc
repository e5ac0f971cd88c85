// sluicectl: the command tree. Nouns show, verbs change.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/cli/arguments.h"
#include "control/cli/commands.h"
#include "control/cli/commands_config.h"
#include "control/cli/commands_function.h"
#include "control/cli/commands_local.h"
#include "control/cli/commands_rules.h"
#include "control/cli/function_verbs.h"
#include "control/cli/help.h"
#include "control/cli/output.h"
#include "control/rules/rule.h"
#include "control/wire/levers.h"
#include "dataplane/function/settings.h"
#include "dataplane/functions/catalog.h"

namespace sluice::cli {
namespace {

constexpr absl::Duration kMinTimeout = absl::Milliseconds(1);
constexpr absl::Duration kMinWatch = absl::Milliseconds(100);
constexpr absl::Duration kMinConfirm = absl::Seconds(1);
constexpr absl::Duration kDefaultWatch = absl::Seconds(1);

// The values of arguments and options; each verb reads its own.
struct Typed {
  std::string output = "table";
  std::string port;
  SetQueues set_queues;
  uint32_t workers = 0;
  std::optional<absl::Duration> watch;
  std::string config;
  std::string config_file = "/etc/sluice/sluice.toml";
  std::optional<absl::Duration> confirm;
  std::string action;
  std::vector<std::string> fields;
  uint32_t before = 0;
  std::vector<uint32_t> ids;
  std::vector<std::string> prefixes;
  ListChange list_change;
  std::string file;
  std::map<std::string, SettingTexts> function_arguments;  // by command
};

using Command = std::function<ExitCode(const Context&)>;

// Adds an argument or option whose text `parse` turns into a value, or into an error in our own words. That is done
// once, while CLI11 checks what was typed; `store` then gets the value. `type` is what --help calls it.
template <typename Parse, typename Store>
CLI::Option* AddParsed(CLI::App& app, const std::string& name, const std::string& type, Parse parse, Store store,
                       const std::string& help) {
  const auto check = [parse, store](const std::string& text) {
    const auto value = parse(text);
    if (!value.ok()) {
      return std::string(value.status().message());
    }
    store(*value);
    return std::string();
  };
  CLI::Option* option = app.add_option(
      name, [](const CLI::results_t&) { return true; }, help);
  return option->type_name(type)->check(check);
}

// Returns a parser of intervals of at least `min`.
auto IntervalFrom(absl::Duration min) {
  return [min](const std::string& text) { return ParseInterval(text, min); };
}

ExitCode UsageError(const std::string& text, const std::string& command = "sluicectl") {
  PrintError(text + "\nRun `" + command + " --help` for what there is, with examples.");
  return kUsage;
}

void AddQueues(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* queues = app.add_subcommand("queues", "Queue pairs: in use, at most, wanted, and the lever in use");
  queues->add_option("PORT", typed.port, "Only this port");
  commands[queues] = [&typed](const Context& context) { return RunQueues(context, typed.port); };

  CLI::App* set = queues->add_subcommand("set", "Change the number of queue pairs, by the cheapest lever that can");
  AddParsed(
      *set, "N", "", ParseCount, [&typed](uint32_t count) { typed.set_queues.count = count; },
      "Queue pairs for every port")
      ->required();
  set->add_option("--method", typed.set_queues.method, "Use this lever and no other")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(wire::kLevers), std::end(wire::kLevers))));
  set->add_flag("--dry-run", typed.set_queues.dry_run, "Print the plan, change nothing");
  AddParsed(
      *set, "--timeout", "DURATION", IntervalFrom(kMinTimeout),
      [&typed](absl::Duration timeout) { typed.set_queues.timeout = timeout; },
      "Roll back when it takes longer, e.g. 5s, 500ms");
  set->add_flag("--force", typed.set_queues.force, "Resize although other XDP programs are off meanwhile");
  commands[set] = [&typed](const Context& context) { return RunSetQueues(context, typed.set_queues); };
  commands[queues->add_subcommand("auto", "Let the number follow the load again (queue_pairs = \"auto\")")] =
      [](const Context& context) { return RunAutoscale(context, /*hold=*/false); };
  commands[queues->add_subcommand("hold", "Keep the number as it is, until `queues auto`")] =
      [](const Context& context) { return RunAutoscale(context, /*hold=*/true); };
}

void AddWorkers(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* workers = app.add_subcommand("workers", "Workers: core, load, lanes");
  commands[workers] = RunWorkers;
  CLI::App* set = workers->add_subcommand("set", "Change the number of workers");
  AddParsed(
      *set, "N", "", ParseCount, [&typed](uint32_t count) { typed.workers = count; }, "Workers")
      ->required();
  commands[set] = [&typed](const Context& context) { return RunSetWorkers(context, typed.workers); };
}

void AddStats(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* stats = app.add_subcommand("stats", "Counters since the start");
  // A value that is left out is "true" for CLI11, or empty and then not even checked, by its version.
  const auto parse = [](const std::string& text) {
    return text == "true" ? absl::StatusOr<absl::Duration>(kDefaultWatch) : ParseInterval(text, kMinWatch);
  };
  CLI::Option* watch = AddParsed(
      *stats, "--watch", "INTERVAL", parse, [&typed](absl::Duration interval) { typed.watch = interval; },
      "Again and again, with rates; every 1s unless said otherwise");
  watch->expected(0, 1);
  commands[stats] = [&typed, watch](const Context& context) {
    const bool again = watch->count() > 0;
    return RunStats(context, again ? std::optional(typed.watch.value_or(kDefaultWatch)) : std::nullopt);
  };
}

void AddDoctor(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* doctor = app.add_subcommand("doctor", "The limits of Sluice on this machine, and how to fix them");
  doctor->add_option("PORT", typed.port, "Only this port");
  doctor->add_option("--config", typed.config, "Examine this configuration's ports, without an agent")
      ->type_name("FILE");
  commands[doctor] = [&typed](const Context& context) {
    return typed.config.empty() ? RunDoctor(context, typed.port) : RunLocalDoctor(context, typed.config, typed.port);
  };
}

void AddConfig(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* config = app.add_subcommand("config", "Configuration files, and the one that is in force");
  CLI::App* check = config->add_subcommand("check", "List the problems of a file; needs no agent");
  check->add_option("FILE", typed.config, "Configuration file")->required();
  commands[check] = [&typed](const Context& context) { return RunConfigCheck(context, typed.config); };

  const auto file = [&typed](CLI::App* verb) {
    verb->add_option("FILE", typed.config_file, "Configuration file")->capture_default_str();
  };
  CLI::App* diff = config->add_subcommand("diff", "Show the changes that applying a file would make");
  file(diff);
  commands[diff] = [&typed](const Context& context) { return RunConfigDiff(context, typed.config_file); };

  CLI::App* apply = config->add_subcommand("apply", "Put a file in force, all of it or nothing, without a restart");
  file(apply);
  AddParsed(
      *apply, "--confirm", "DURATION", IntervalFrom(kMinConfirm),
      [&typed](absl::Duration confirm) { typed.confirm = confirm; },
      "Roll back unless `config confirm` follows in time, e.g. 60s");
  commands[apply] = [&typed](const Context& context) {
    return RunConfigApply(context, typed.config_file, typed.confirm);
  };
  commands[config->add_subcommand("confirm", "Make the last apply final")] = RunConfigConfirm;
  commands[config->add_subcommand("rollback", "Undo the last apply, before it is confirmed")] = RunConfigRollback;
}

std::vector<std::string> ActionWords() {
  std::vector<std::string> words;
  for (const RuleWord& action : ActionField().words) {
    words.emplace_back(action.word);
  }
  return words;
}

// Checks the form of "dst_port=22"; the agent knows the fields.
std::string CheckField(const std::string& text) {
  const size_t equals = text.find('=');
  return equals == std::string::npos || equals == 0 ? "'" + text + "' is no FIELD=VALUE, such as proto=tcp" : "";
}

void AddRules(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* rules = app.add_subcommand("rules", "Steering rules in force, in order, with the packets of each");
  commands[rules] = commands[rules->add_subcommand("list", "The same")] = RunRules;

  CLI::App* add = rules->add_subcommand("add", "Add a rule, at the end unless said otherwise");
  add->add_option("ACTION", typed.action, "The fate of the packets")->required()->check(CLI::IsMember(ActionWords()));
  // CLI11 2.4 takes no name with a '='.
  add->add_option("MATCH", typed.fields,
                  "The packets it is for, each FIELD=VALUE, by these fields: " +
                      absl::StrJoin(MatchFields(), ", ",
                                    [](std::string* out, const RuleField& field) { out->append(field.name); }))
      ->check(CheckField);
  AddParsed(
      *add, "--before", "ID", ParseCount, [&typed](uint32_t id) { typed.before = id; },
      "In front of the rule with this ID");
  commands[add] = [&typed](const Context& context) {
    std::map<std::string, std::string> fields = {{"action", typed.action}};
    for (const std::string& field : typed.fields) {
      const size_t equals = field.find('=');
      if (!fields.emplace(field.substr(0, equals), field.substr(equals + 1)).second) {
        return UsageError(field.substr(0, equals) + " is there twice");
      }
    }
    return RunAddRule(context, fields, typed.before);
  };

  CLI::App* del = rules->add_subcommand("del", "Remove rules");
  AddParsed(
      *del, "ID", "", ParseCount, [&typed](uint32_t id) { typed.ids.push_back(id); }, "As `sluicectl rules` shows them")
      ->required()
      ->expected(1, -1)
      ->allow_extra_args();
  commands[del] = [&typed](const Context& context) { return RunDeleteRules(context, typed.ids); };

  CLI::App* replace = rules->add_subcommand("replace", "Put a file's [[rule]] tables in their place, in one step");
  replace->add_option("FILE", typed.file, "As in the configuration file; - for the standard input")->required();
  commands[replace] = [&typed](const Context& context) { return RunReplaceRules(context, typed.file); };
}

// Adds the verbs of the blocklist or of the allow-list.
void AddList(CLI::App& app, bool allow, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* list = allow ? app.add_subcommand("allowlist", "Sources that the blocklist does not block")
                         : app.add_subcommand("blocklist", "Sources whose packets are dropped before any rule");
  list->add_option("ADDRESS", typed.port, "Look this one up");
  commands[list] = [&typed, allow](const Context& context) { return RunList(context, allow, typed.port); };
  commands[list->add_subcommand("list", "The number of prefixes, and of packets they dropped")] = commands[list];

  const auto change = [&typed, allow] {
    ListChange one = typed.list_change;
    one.allow = allow;
    one.confirm = typed.confirm;
    return one;
  };
  const auto options = [&typed](CLI::App* verb) {
    verb->add_flag("--force", typed.list_change.force,
                   "Also block everything, or this machine's addresses, gateways, nameservers and your own login");
    AddParsed(
        *verb, "--confirm", "DURATION", IntervalFrom(kMinConfirm),
        [&typed](absl::Duration confirm) { typed.confirm = confirm; },
        "Roll back unless `confirm` follows in time, e.g. 60s");
  };
  CLI::App* add = list->add_subcommand("add", allow ? "Allow sources" : "Block sources");
  add->add_option("PREFIX", typed.prefixes, "192.0.2.0/24, 2001:db8::1, 192.0.2.3-192.0.2.9")->required();
  options(add);
  commands[add] = [&typed, change](const Context& context) { return RunAddToList(context, change(), typed.prefixes); };
  CLI::App* del = list->add_subcommand("del", "Take prefixes off, each as it was added");
  del->add_option("PREFIX", typed.prefixes, "192.0.2.0/24, 2001:db8::1")->required();
  options(del);
  commands[del] = [&typed, change](const Context& context) {
    return RunRemoveFromList(context, change(), typed.prefixes);
  };
  CLI::App* replace = list->add_subcommand("replace", "Put another list in its place, in one step");
  replace->add_option("FILE", typed.file, "A prefix or range a line, # or ; begins a comment; - for the standard input")
      ->required();
  AddParsed(
      *replace, "--min", "N", ParseCount, [&typed](uint32_t count) { typed.list_change.min_entries = count; },
      "Refuse a list of fewer entries");
  replace->add_flag("--allow-empty", typed.list_change.allow_empty, "Take a list without an entry");
  options(replace);
  commands[replace] = [&typed, change](const Context& context) {
    return RunReplaceList(context, change(), typed.file);
  };
  commands[list->add_subcommand("confirm", "Make a change with --confirm final")] = [allow](const Context& context) {
    return RunConfirmList(context, allow);
  };
  commands[list->add_subcommand("rollback", "Undo a change with --confirm")] = [allow](const Context& context) {
    return RunRollBackList(context, allow);
  };
}

// Adds a verb for each command of any function. The agent says whether the function it runs has it.
void AddFunction(CLI::App& app, Typed& typed, std::map<const CLI::App*, Command>& commands) {
  CLI::App* function = app.add_subcommand("function", "The network function: settings, counters, and its own commands");
  commands[function] = RunFunction;
  for (const auto& [command, verb] : AddFunctionVerbs(*function, Functions(), typed.function_arguments)) {
    const SettingTexts& arguments = typed.function_arguments[command];
    commands[verb] = [&arguments, name = command](const Context& context) {
      return RunFunctionCommand(context, name, arguments);
    };
  }
}

// Adds the options of the whole program to every verb, so that they may stand before the verb or behind it.
CLI::Option* AddCommon(CLI::App& app, Context& context, Typed& typed) {
  app.add_option("-o,--output", typed.output, "For people, or for programs")->check(CLI::IsMember({"table", "json"}));
  CLI::Option* socket = app.add_option("--socket", context.socket_path, "The agent's socket")->capture_default_str();
  socket->type_name("PATH");
  for (CLI::App* subcommand : app.get_subcommands([](CLI::App*) { return true; })) {
    AddCommon(*subcommand, context, typed);
  }
  return socket;
}

int Main(int argc, char** argv) {
  CLI::App app("Shows and changes a running network function, through sluice-agent.", "sluicectl");
  app.set_version_flag("--version", "sluicectl " SLUICE_VERSION);
  app.require_subcommand(0, 1);  // no verb is reported below: CLI11 has one text for a missing and an unknown one

  Context context;
  Typed typed;
  context.socket_path = "/run/sluice/agent.sock";

  std::map<const CLI::App*, Command> commands;
  commands[app.add_subcommand("status", "Ports, queues, workers, rates, balance")] = RunStatus;
  AddQueues(app, typed, commands);
  AddWorkers(app, typed, commands);
  AddRules(app, typed, commands);
  AddList(app, /*allow=*/false, typed, commands);
  AddList(app, /*allow=*/true, typed, commands);
  AddFunction(app, typed, commands);
  AddStats(app, typed, commands);
  AddDoctor(app, typed, commands);
  AddConfig(app, typed, commands);
  // Not for the verbs: there the environment would win over an option before the verb.
  AddCommon(app, context, typed)->envname("SLUICE_SOCKET");
  AddHelp(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError& error) {
    const std::string verbs = VerbsOf(ChosenVerb(app));
    return UsageError(error.what() + (verbs.empty() ? "" : "; there are: " + verbs), CommandLineOf(app));
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error)  // help or version
                                      : UsageError(error.what(), CommandLineOf(app));
  }
  const auto command = commands.find(&ChosenVerb(app));
  if (command == commands.end()) {
    return UsageError("a command is missing; there are: " + VerbsOf(ChosenVerb(app)), CommandLineOf(app));
  }
  context.json = typed.output == "json";
  context.style = StyleOfOutput();

  return command->second(context);
}

}  // namespace
}  // namespace sluice::cli

int main(int argc, char** argv) {
  // Our code does not throw; libraries may, when there is no memory. No exit code is true then: the agent may have done
  // the change.
  try {
    return sluice::cli::Main(argc, argv);
  } catch (...) {
    fputs("sluicectl: ended by an exception\n", stderr);
    abort();
  }
}
