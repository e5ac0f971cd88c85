// A configuration as text: its values, one by one, and the whole as a file that ParseConfig() reads. Pure.
#ifndef SLUICE_CONTROL_CONFIG_CONFIG_TEXT_H_
#define SLUICE_CONTROL_CONFIG_CONFIG_TEXT_H_

#include <string>

#include "control/config/config.h"

namespace sluice {

// "pass", "auto", "adaptive".
const char* Name(OnDataplaneDown value);
const char* Name(ModeSetting value);
const char* Name(PollSetting value);
const char* Name(OffloadSetting value);
std::string CoresText(const DataplaneConfig& dataplane);    // "[0, 1]", "every CPU"
std::string WorkersText(const DataplaneConfig& dataplane);  // "2", "one for each queue pair"
std::string ListenText(const MetricsConfig& metrics);       // "off", "127.0.0.1:9477", the same "if it can be had"
// "proto=udp dst_port=53 -> pass" (MatchText).
std::string RuleText(const RuleFields& fields);

// TOML without comments. ParseConfig() makes the same configuration of it.
std::string ToToml(const Config& config);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_CONFIG_TEXT_H_
