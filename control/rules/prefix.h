// Address prefixes as users write them. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_PREFIX_H_
#define SLUICE_CONTROL_RULES_PREFIX_H_

#include <array>
#include <cstdint>
#include <string>

namespace sluice {

struct Prefix {
  uint8_t family = 0;  // 4 or 6
  uint32_t bits = 0;
  std::array<uint8_t, 16> address{};  // network order; of IPv4 the first four
  std::array<uint8_t, 16> mask{};
};

// "10.0.0.0/8", "2001:db8::1". Returns what is wrong and what is allowed, empty when nothing is.
std::string ParsePrefix(const std::string& text, Prefix& prefix);

// "10.0.0.0/8"
std::string PrefixText(const Prefix& prefix);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_PREFIX_H_
