#include "control/rules/blocklist_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "control/rules/prefix.h"

namespace sluice {

absl::StatusOr<sluice_prefix> ParseBlockedPrefix(const std::string& text) {
  Prefix prefix;
  if (const std::string problem = ParsePrefix(text, prefix); !problem.empty()) {
    return absl::InvalidArgumentError(problem);
  }
  return TrieKey(prefix, 0, 0);
}

absl::StatusOr<std::vector<sluice_prefix>> ParseBlocklist(absl::string_view text, absl::string_view source) {
  constexpr size_t kShown = 20;
  std::vector<sluice_prefix> prefixes;
  std::vector<std::string> problems;
  size_t unshown = 0;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) {
      continue;
    }
    const absl::StatusOr<sluice_prefix> prefix = ParseBlockedPrefix(std::string(line));
    if (prefix.ok()) {
      prefixes.push_back(*prefix);
    } else if (problems.size() < kShown) {
      problems.push_back(absl::StrCat(source, ":", number, ": ", prefix.status().message()));
    } else {
      ++unshown;
    }
  }
  if (unshown > 0) {
    problems.push_back(absl::StrCat(source, ": and ", unshown, " more"));
  }
  if (!problems.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  }
  return prefixes;
}

}  // namespace sluice
