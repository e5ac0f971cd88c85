// What --help says beyond the options: examples of every verb, exit codes, what programs get.
#ifndef SLUICE_CONTROL_CLI_HELP_H_
#define SLUICE_CONTROL_CLI_HELP_H_

#include <string>

#include <CLI/CLI.hpp>

namespace sluice::cli {

// To be called when all verbs are there.
void AddHelp(CLI::App& app);

// The verb that was typed, as far as it was understood, and as it was typed: "sluicectl queues set".
const CLI::App& ChosenVerb(const CLI::App& app);
std::string CommandLineOf(const CLI::App& app);
// The verbs that can follow `app`'s own name.
std::string VerbsOf(const CLI::App& app);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_HELP_H_
