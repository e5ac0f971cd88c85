#include "control/cli/arguments.h"

#include <charconv>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace sluice::cli {

absl::StatusOr<uint32_t> ParseCount(const std::string& text) {
  uint32_t value = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error == std::errc::result_out_of_range && end == last) {
    return absl::InvalidArgumentError(absl::StrCat(text, " is too large"));
  }
  if (error != std::errc() || end != last) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not a positive whole number"));
  }
  return value;
}

absl::StatusOr<absl::Duration> ParseInterval(const std::string& text, absl::Duration min) {
  absl::Duration value;
  if (!absl::ParseDuration(text, &value)) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not a duration such as 500ms, 5s or 1m30s"));
  }
  if (value < min || value > absl::Hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is out of range: from ", absl::FormatDuration(min), " to 24h"));
  }
  return value;
}

}  // namespace sluice::cli
