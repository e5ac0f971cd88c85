// Lists of sources as people write and publish them: an address, a prefix or a range a line. Bounded; pure; any thread.
//
//   192.0.2.0/24                  # a comment
//   1.10.16.0/20 ; SBL256894      as Spamhaus DROP
//   198.51.100.3 - 198.51.100.9   a range, which becomes prefixes
//   {"cidr":"1.10.16.0/20","sblid":"SBL256894","rir":"apnic"}   as Spamhaus' JSON; a line without "cidr" is skipped
//
// A byte order mark of UTF-8 and CRLF are skipped. Entries whose meaning is plain are put right, and counted in a
// warning: bits beyond the prefix, and IPv4 written as IPv6. Anything else is a problem with its line, and the whole
// list is refused then: UTF-16, NUL bytes, leading zeros, a line of more than 4 KiB.
#ifndef SLUICE_CONTROL_RULES_SOURCE_LIST_TEXT_H_
#define SLUICE_CONTROL_RULES_SOURCE_LIST_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "control/rules/prefix.h"

namespace sluice {

struct SourcePrefixes {
  std::vector<Prefix> prefixes;       // in the order of the text; some may be the same
  std::vector<uint32_t> lines;        // of each, from 1; empty when they come from no text
  uint64_t entries = 0;               // that they come from: a range is one
  std::vector<std::string> warnings;  // one for each kind, "3 entries had bits beyond the prefix: 10.0.0.1/8, …"
};

// Whether errors show the text. A daemon must not show a file's lines to a user who may not read that file.
enum class Quotes { kShown, kHidden };

// `source` names the text in errors: InvalidArgument with a line for each problem, "SOURCE:LINE: what is wrong, what is
// allowed"; problems beyond the first twenty are only counted. ResourceExhausted when ranges make more prefixes than a
// list can have.
absl::StatusOr<SourcePrefixes> ParseSourceList(absl::string_view text, absl::string_view source,
                                               Quotes quotes = Quotes::kShown);

// Reads entries that stand alone, such as those of a command line. Errors as above, without line.
absl::StatusOr<SourcePrefixes> ParseSources(const std::vector<std::string>& entries);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_SOURCE_LIST_TEXT_H_
