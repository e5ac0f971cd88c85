// Blocklists as users write them: a prefix a line; blank lines and what is behind a '#' count for nothing. Pure; any
// thread.
#ifndef SLUICE_CONTROL_RULES_BLOCKLIST_H_
#define SLUICE_CONTROL_RULES_BLOCKLIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bpf/sluice_abi.h"

namespace sluice {

// `source` names the text in errors. InvalidArgument, one line a problem, each "SOURCE:LINE: what is wrong, what is
// allowed"; beyond the first twenty only how many more there are.
absl::StatusOr<std::vector<sluice_prefix>> ParseBlocklist(absl::string_view text, absl::string_view source);

// One prefix, as the blocklist's key. InvalidArgument with what is allowed.
absl::StatusOr<sluice_prefix> ParseBlockedPrefix(const std::string& text);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_BLOCKLIST_H_
