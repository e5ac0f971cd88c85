// Steering rules: from the fields a user writes to what they compare. The one parser for rules: the
// configuration file and the command line both come here. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_RULES_H_
#define SLUICE_CONTROL_RULES_RULES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "control/rules/rule.h"

namespace sluice {

// Field -> value as written: {"proto", "tcp"}, {"dst_port", "8000-8080"}, {"action", "dataplane"}.
//   proto      tcp, udp, icmp, icmpv6, sctp, or a number 0..255
//   src, dst   an address or prefix of either family: 10.0.0.0/8, 2001:db8::1
//   src_port, dst_port  a number or FIRST-LAST; only with proto tcp, udp or sctp
//   vlan       id of the outermost tag, 0..4094
//   ethertype  ipv4, ipv6, arp, or a number 0x0600..0xffff; the one behind all VLAN tags
//   in_port    name of a port; only that port gets the rule
//   action     dataplane, pass, drop (required)
// A field that is not there matches anything. All fields must be able to hold for one packet.
using RuleFields = std::map<std::string, std::string>;

// The names of all fields, in the order above: the one in which they are documented and printed. `action` is the last.
absl::Span<const char* const> RuleFieldNames();
// The same without `action`: those that limit a rule.
absl::Span<const char* const> MatchFieldNames();

// What a rule is limited to, as sluicectl takes and prints them: "proto=udp dst_port=53"; "everything" when none does.
std::string MatchText(const RuleFields& fields);

struct RuleProblem {
  std::string field;  // "" when it is none in particular
  std::string text;   // what is wrong, what is allowed
};

// Fills `rule` and returns no problem, or returns all problems. Takes any `in_port`: MakeRuleConfig knows the ports.
std::vector<RuleProblem> CompileRule(const RuleFields& fields, SteeringRule& rule);

// A rule as written, as compiled, and the port it is for.
struct RuleConfig {
  RuleFields fields;
  std::string in_port;  // empty: every port
  SteeringRule rule;
};

// Makes `rule` from `fields`, for one of these ports. Returns no problem, or all of them; of `in_port`, too.
std::vector<RuleProblem> MakeRuleConfig(const RuleFields& fields, absl::Span<const std::string> port_names,
                                        RuleConfig& rule);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_RULES_H_
