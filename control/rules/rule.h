// A steering rule: the fields that a user wrote, and the comparisons they ask for. The one parser for rules: the
// configuration file, the command line and the state file all use it. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_RULE_H_
#define SLUICE_CONTROL_RULES_RULE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "bpf/sluice_abi.h"
#include "control/rules/prefix.h"

namespace sluice {

// Field -> value as written: {"proto", "tcp"}, {"dst_port", "8000-8080"}, {"action", "dataplane"}. A field that is
// not there matches anything. AllRuleFields() lists them.
using RuleFields = std::map<std::string, std::string>;

// A word that a field takes.
struct RuleWord {
  const char* word;
  uint32_t value;
  const char* meaning;
};

struct RuleField {
  const char* name;
  absl::Span<const RuleWord> words;  // words that it takes
  const char* values;                // the other values that it takes; "": none
  const char* unset;                 // the meaning of leaving it out; "": it is required
  const char* help;
};

// Returns the fields in the order in which users read them.
absl::Span<const RuleField> AllRuleFields();
// Returns the fields that a packet is compared with: all but the action.
absl::Span<const RuleField> MatchFields();
const RuleField& ActionField();
// Returns the values that a field takes, as errors and manuals show them: "ipv4, ipv6, arp, or a number
// 0x0600..0xffff".
std::string AllowedText(const RuleField& field);
// Returns "proto=udp dst_port=53", in that order; "everything" when no field is there but the action.
std::string MatchText(const RuleFields& fields);

// A [[rule]]. It matches a packet when every field that it names does.
struct RuleConfig {
  RuleFields fields;            // as written; two rules with the same fields are the same rule
  std::string in_port;          // the name of the only port that gets the rule; empty: every port gets it
  uint32_t match = 0;           // enum sluice_match: the fields that a packet is compared with
  uint32_t action = 0;          // enum sluice_action
  uint16_t ethertype = 0;       // host order, like all numbers here
  uint16_t vlan = 0;            // 0..4094
  uint8_t proto = 0;            // IPPROTO_*
  uint16_t src_port_first = 0;  // inclusive ranges
  uint16_t src_port_last = 0;
  uint16_t dst_port_first = 0;
  uint16_t dst_port_last = 0;
  uint8_t fragment_first = 0;  // inclusive range of enum sluice_fragment
  uint8_t fragment_last = 0;
  Prefix src;  // both of one family where both are named
  Prefix dst;
};

struct RuleProblem {
  std::string field;  // "": it belongs to no single field
  std::string text;   // says what is wrong and what is allowed
};

// Fills `rule` from `fields`, for ports of these names. Returns every problem; none: `rule` is good. Fields that no
// packet can satisfy together are a problem.
std::vector<RuleProblem> CompileRule(const RuleFields& fields, absl::Span<const std::string> port_names,
                                     RuleConfig& rule);

// Does the same for callers that have no line to name. InvalidArgument with every problem, each on a separate line.
absl::StatusOr<RuleConfig> MakeRule(const RuleFields& fields, absl::Span<const std::string> port_names);

// Reads a decimal number, or a hexadecimal one behind 0x, of at most `max`. Returns nullopt for anything else: a sign
// and spaces are not allowed.
std::optional<uint32_t> ParseNumberUpTo(absl::string_view text, uint32_t max);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_RULE_H_
