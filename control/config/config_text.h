// A configuration as text: the whole as a file that ParseConfig() reads, and a rule as a line. Pure; any thread.
#ifndef SLUICE_CONTROL_CONFIG_CONFIG_TEXT_H_
#define SLUICE_CONTROL_CONFIG_CONFIG_TEXT_H_

#include <string>

#include "control/config/config.h"

namespace sluice {

// Returns "proto=udp dst_port=53 -> pass" (MatchText).
std::string RuleText(const RuleFields& fields);

// Returns TOML without comments, of which ParseConfig() makes the same configuration.
std::string ToToml(const Config& config);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_CONFIG_TEXT_H_
