// The part of --help behind the options: examples of every verb, exit codes, output for programs. One thread.
#ifndef SLUICE_CONTROL_CLI_HELP_H_
#define SLUICE_CONTROL_CLI_HELP_H_

#include <string>

#include <CLI/CLI.hpp>

namespace sluice::cli {

// Adds it to all verbs of `app`; call it when they are there.
void AddHelp(CLI::App& app);

// Returns the verb that was typed, as far as it was understood.
const CLI::App& ChosenVerb(const CLI::App& app);
// Returns a verb's words: "sluicectl queues set".
std::string CommandLineOf(const CLI::App& app);
// Lists the verbs that can follow `app`'s own name.
std::string VerbsOf(const CLI::App& app);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_HELP_H_
