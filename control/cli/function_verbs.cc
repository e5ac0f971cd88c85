#include "control/cli/function_verbs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace sluice::cli {
namespace {

// The arguments of one name that functions have in commands of one name.
using Specs = std::vector<const SettingSpec*>;

bool AreOfType(const Specs& specs, SettingType type) {
  return std::all_of(specs.begin(), specs.end(), [type](const SettingSpec* spec) { return spec->type == type; });
}

// Finds them, in the order of the functions.
Specs SpecsOf(std::span<const FunctionDescriptor* const> descriptors, absl::string_view command,
              absl::string_view name) {
  Specs specs;
  for (const FunctionDescriptor* descriptor : descriptors) {
    for (const CommandSpec& one : descriptor->commands) {
      for (const SettingSpec& argument : one.arguments) {
        if (command == one.name && name == argument.name) {
          specs.push_back(&argument);
        }
      }
    }
  }
  return specs;
}

// Lists the words of which a value must be one; empty if one of the arguments takes more than words.
std::vector<std::string> WordsOf(const Specs& specs) {
  constexpr const char* kBools[] = {"false", "true"};
  std::vector<std::string> words;
  for (const SettingSpec* spec : specs) {
    if (spec->type != SettingType::kBool && spec->type != SettingType::kWord) {
      return {};
    }
    for (const char* word : spec->type == SettingType::kBool ? std::span<const char* const>(kBools) : spec->words) {
      if (std::find(words.begin(), words.end(), word) == words.end()) {
        words.emplace_back(word);
      }
    }
  }
  return words;
}

// Returns the reason for which none of the arguments takes the text, or "" when one does.
std::string WhyWrong(const Specs& specs, const std::string& text) {
  std::vector<std::string> reasons;
  for (const SettingSpec* spec : specs) {
    const absl::StatusOr<std::string> checked = CheckSetting(*spec, text);
    if (checked.ok()) {
      return "";
    }
    reasons.emplace_back(checked.status().message());
  }
  return absl::StrJoin(reasons, "; ");
}

void AddArgument(CLI::App& verb, const Specs& specs, std::string& typed) {
  CLI::Option* option = verb.add_option(absl::StrCat("--", specs.front()->name), typed, specs.front()->help);
  // Completion offers the words, since CLI11 shows those of IsMember in --help.
  if (std::vector<std::string> words = WordsOf(specs); !words.empty()) {
    option->check(CLI::IsMember(std::move(words)));
    return;
  }
  option->type_name(AreOfType(specs, SettingType::kUnsigned)   ? "N"
                    : AreOfType(specs, SettingType::kDuration) ? "DURATION"
                                                               : "VALUE");
  option->check([specs](const std::string& text) { return WhyWrong(specs, text); });
}

}  // namespace

std::map<std::string, CLI::App*> AddFunctionVerbs(CLI::App& function,
                                                  std::span<const FunctionDescriptor* const> descriptors,
                                                  std::map<std::string, SettingTexts>& typed) {
  std::map<std::string, CLI::App*> verbs;
  for (const FunctionDescriptor* descriptor : descriptors) {
    for (const CommandSpec& command : descriptor->commands) {
      CLI::App*& verb = verbs[command.name];
      if (verb == nullptr) {
        verb = function.add_subcommand(command.name, command.help);
      }
      for (const SettingSpec& argument : command.arguments) {
        if (verb->get_option_no_throw(absl::StrCat("--", argument.name)) == nullptr) {
          AddArgument(*verb, SpecsOf(descriptors, command.name, argument.name), typed[command.name][argument.name]);
        }
      }
    }
  }
  return verbs;
}

}  // namespace sluice::cli
