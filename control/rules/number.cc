#include "control/rules/number.h"

#include <charconv>
#include <system_error>

namespace sluice {

std::optional<uint32_t> ParseNumberUpTo(absl::string_view text, uint32_t max) {
  const bool hex = text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  const char* first = text.data() + (hex ? 2 : 0);
  const char* last = text.data() + text.size();
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(first, last, value, hex ? 16 : 10);
  if (error != std::errc() || end != last || value > max) {
    return std::nullopt;
  }
  return value;
}

}  // namespace sluice
