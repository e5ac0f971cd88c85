// Numbers as users write them. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_NUMBER_H_
#define SLUICE_CONTROL_RULES_NUMBER_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace sluice {

// Decimal, or hexadecimal behind 0x, and at most `max`. Nothing else: no sign, no spaces.
std::optional<uint32_t> ParseNumberUpTo(absl::string_view text, uint32_t max);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_NUMBER_H_
