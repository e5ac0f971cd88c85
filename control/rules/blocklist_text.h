// Blocklists as users write them: one prefix a line; blank lines and comments behind '#' are skipped. The kernel's
// side of a blocklist is in blocklist_map.h. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_BLOCKLIST_TEXT_H_
#define SLUICE_CONTROL_RULES_BLOCKLIST_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bpf/sluice_abi.h"

namespace sluice {

// Returns the prefixes as keys of the blocklist's trie. `source` names the text in errors: InvalidArgument with a line
// for each problem, "SOURCE:LINE: what is wrong, what is allowed". Problems beyond the first twenty are only counted.
absl::StatusOr<std::vector<sluice_prefix>> ParseBlocklist(absl::string_view text, absl::string_view source);

// Returns one prefix as a key of the blocklist's trie. InvalidArgument says what is allowed.
absl::StatusOr<sluice_prefix> ParseBlockedPrefix(const std::string& text);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_BLOCKLIST_TEXT_H_
