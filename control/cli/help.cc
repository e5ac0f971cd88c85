#include "control/cli/help.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/functions/catalog.h"

namespace sluice::cli {
namespace {

// tests/cli runs all of them.
struct Example {
  const char* command;
  const char* line;  // the words behind sluicectl
};
constexpr Example kExamples[] = {
    {"status", "status                         # ports, queues, workers, the balance"},
    {"status", "status -o json                 # the same, and more, for programs"},
    {"queues", "queues                         # of all ports"},
    {"queues", "queues wan                     # of one, by its name or netdev"},
    {"queues set", "queues set 4 --dry-run         # the plan, and its cost"},
    {"queues set", "queues set 4                   # by the cheapest lever that can"},
    {"queues set", "queues set 2 --method channels --timeout 5s"},
    {"queues auto", "queues auto                    # follows the load again"},
    {"queues hold", "queues hold                    # stays, until `queues auto`"},
    {"workers", "workers                        # core, load and lanes of each"},
    {"workers set", "workers set 2                  # cores only; the device stays as is"},
    {"function", "function                       # its settings, counters and commands"},
    {"stats", "stats                          # since the start"},
    {"stats", "stats --watch 5s               # every five seconds, with rates"},
    {"doctor", "doctor                         # every problem and its cure"},
    {"doctor", "doctor wan                     # of one port"},
    {"doctor", "doctor --config sluice.toml    # without an agent"},
    {"rules", "rules                          # in order, with the packets of each"},
    {"rules list", "rules list -o json"},
    {"rules add", "rules add drop proto=udp dst_port=53"},
    {"rules add", "rules add pass src=192.0.2.0/24 --before 1"},
    {"rules del", "rules del 3                    # by its ID in `sluicectl rules`"},
    {"rules replace", "rules replace rules.toml       # by its [[rule]] tables, in one step"},
    {"blocklist", "blocklist                      # prefixes, and packets dropped"},
    {"blocklist", "blocklist 192.0.2.1            # whether this one is blocked"},
    {"blocklist list", "blocklist list -o json"},
    {"blocklist add", "blocklist add 192.0.2.0/24 2001:db8::1"},
    {"blocklist del", "blocklist del 192.0.2.0/24     # as it was added"},
    {"blocklist replace", "blocklist replace drop.txt --min 1000 --confirm 60s"},
    {"blocklist confirm", "blocklist confirm"},
    {"blocklist rollback", "blocklist rollback"},
    {"allowlist", "allowlist 192.0.2.1            # whether this one is allowed"},
    {"allowlist list", "allowlist list"},
    {"allowlist add", "allowlist add 192.0.2.1        # goes before the blocklist"},
    {"allowlist del", "allowlist del 192.0.2.1        # as it was added"},
    {"allowlist replace", "allowlist replace allowed.txt"},
    {"allowlist confirm", "allowlist confirm"},
    {"allowlist rollback", "allowlist rollback"},
    {"config check", "config check sluice.toml       # every mistake with its line"},
    {"config diff", "config diff sluice.toml        # the changes of an apply"},
    {"config apply", "config apply sluice.toml       # all of it, or nothing"},
    {"config apply", "config apply sluice.toml --confirm 60s"},
    {"config confirm", "config confirm                 # makes the last apply final"},
    {"config rollback", "config rollback                # undoes it at once"},
};

constexpr const char* kAboutAll = R"(Examples:
  sluicectl status             # ports, queues, workers, the balance
  sluicectl queues set 4       # while traffic flows
  sluicectl queues set --help  # a verb's options, with more examples

With -o json standard output is one JSON document, or one a line with --watch,
or nothing where there is no answer. Errors go to standard error, in words, and
into the exit code:
  0 done   1 refused or failed, nothing changed   2 usage
  3 no agent answers   4 out of time, rolled back

NO_COLOR=1 switches colours off. Bash completes verbs, options and values.)";

constexpr auto kAll = [](const CLI::App*) { return true; };

// Returns the example of a function's command.
std::string ExampleOfFunction(const std::string& command) {
  for (const FunctionDescriptor* function : Functions()) {
    for (const CommandSpec& one : function->commands) {
      if (command == absl::StrCat("function ", one.name)) {
        return absl::StrCat("\n  sluicectl ", command, " ", one.example);
      }
    }
  }
  return "";
}

// Returns the examples of this verb and of the verbs below it, a line each.
std::string ExamplesOf(const CLI::App& app, const std::string& command) {
  std::string text;
  for (const Example& example : kExamples) {
    if (example.command == command) {
      absl::StrAppend(&text, "\n  sluicectl ", example.line);
    }
  }
  text += ExampleOfFunction(command);
  for (const CLI::App* verb : app.get_subcommands(kAll)) {
    text += ExamplesOf(*verb, absl::StrCat(command, " ", verb->get_name()));
  }
  return text;
}

void AddHelpOf(CLI::App& app, const std::string& command) {
  app.footer("Examples:" + ExamplesOf(app, command));
  for (CLI::Option* option : app.get_options()) {
    if (option->get_positional() && option->get_type_name() == "TEXT") {
      option->type_name("");  // its own name tells more
    }
  }
  for (CLI::App* verb : app.get_subcommands([](CLI::App*) { return true; })) {
    AddHelpOf(*verb, absl::StrCat(command, " ", verb->get_name()));
  }
}

}  // namespace

void AddHelp(CLI::App& app) {
  for (CLI::App* verb : app.get_subcommands([](CLI::App*) { return true; })) {
    AddHelpOf(*verb, verb->get_name());
  }
  app.footer(kAboutAll);
}

const CLI::App& ChosenVerb(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app : ChosenVerb(*parsed.front());
}

std::string CommandLineOf(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app.get_name() : absl::StrCat(app.get_name(), " ", CommandLineOf(*parsed.front()));
}

std::string VerbsOf(const CLI::App& app) {
  return absl::StrJoin(app.get_subcommands(kAll), ", ",
                       [](std::string* out, const CLI::App* verb) { out->append(verb->get_name()); });
}

}  // namespace sluice::cli
