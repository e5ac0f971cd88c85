#include "control/apply/config_start.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dataplane/base/clock.h"

namespace sluice {
namespace {

void AddProblems(const absl::Status& s, std::vector<std::string>& problems) {
  for (std::string& line : std::vector<std::string>(absl::StrSplit(std::string(s.message()), '\n'))) {
    problems.push_back(std::move(line));
  }
}

// A function that runs on a device which the file does not name would take packets that are not its own.
bool SameDevices(const Config& file, const Config& last_good) {
  return std::equal(file.ports.begin(), file.ports.end(), last_good.ports.begin(), last_good.ports.end(),
                    [](const PortConfig& a, const PortConfig& b) { return a.name == b.name && a.netdev == b.netdev; });
}

// Adds the configuration that the dead agent had reached, or the one before it when the apply has to go back.
void AddApply(const SavedApply& apply, StartChoices& choices) {
  const bool back = apply.under_way() || TimeIsOver(apply);
  const std::string& text = back ? apply.previous() : apply.text();
  const std::string& file = back ? apply.previous_file() : apply.file();
  absl::StatusOr<Config> config = ParseConfig(text, file);
  if (config.ok()) {
    choices.configs.push_back({*std::move(config), {file, back && apply.previous_last_good(), {}}, "", apply});
  } else {
    AddProblems(config.status(), choices.problems);
  }
}

}  // namespace

bool TimeIsOver(const SavedApply& apply) {
  return apply.boot_id() != BootId() || BootClockNs() >= apply.deadline_ns();
}

StartChoices FindStartChoices(const std::string& config_path, const StateDir& state_dir, bool takes_over) {
  StartChoices choices;
  const absl::StatusOr<SavedApply> apply = state_dir.ReadApply();
  const bool goes_on = apply.ok() && takes_over && !apply->rolled_back();
  if (goes_on) {
    AddApply(*apply, choices);
  } else if (!apply.ok() && !absl::IsNotFound(apply.status())) {
    AddProblems(apply.status(), choices.problems);
  }

  const absl::StatusOr<std::string> text = ReadConfigFile(config_path);
  absl::StatusOr<Config> config = text.ok() ? ParseConfig(*text, config_path) : text.status();
  const std::optional<Config> of_file = config.ok() ? std::make_optional(*config) : std::nullopt;
  const bool unconfirmed = apply.ok() && text.ok() && apply->deadline_ns() > 0 && apply->text() == *text;
  if (unconfirmed && !goes_on) {
    choices.problems.push_back(
        absl::StrCat(config_path, ": was applied with --confirm and never confirmed; apply it again to use it"));
  } else if (config.ok() && !unconfirmed) {
    choices.configs.push_back({*std::move(config), {config_path, false, {}}, *text, {}});
  } else if (!config.ok()) {
    AddProblems(config.status(), choices.problems);
  }

  const absl::StatusOr<std::string> good = state_dir.ReadLastGood();
  // The same text comes with other lists: the last good ones.
  const bool names_lists =
      of_file.has_value() && (of_file->blocklist.file.has_value() || of_file->allowlist.file.has_value());
  if (good.ok() && (!text.ok() || *good != *text || unconfirmed || names_lists)) {
    absl::StatusOr<Config> last = ParseConfig(*good, state_dir.last_good_path());
    if (last.ok() && of_file.has_value() && !SameDevices(*of_file, *last)) {
      choices.problems.push_back(absl::StrCat(state_dir.last_good_path(), ": is of other network devices than ",
                                              config_path, ", so it is not started with"));
    } else if (last.ok()) {
      choices.configs.push_back({*std::move(last), {state_dir.last_good_path(), true, {}}, "", {}});
    } else {
      AddProblems(last.status(), choices.problems);
    }
  }
  return choices;
}

}  // namespace sluice
