#include "dataplane/function/settings.h"

#include <algorithm>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace {

constexpr const char* kBools[] = {"false", "true"};

std::span<const char* const> WordsOf(const SettingSpec& spec) {
  return spec.type == SettingType::kBool ? std::span<const char* const>(kBools) : spec.words;
}

std::string DurationText(uint64_t duration_ns) {
  return absl::FormatDuration(absl::Nanoseconds(static_cast<int64_t>(duration_ns)));
}

bool IsNumber(const SettingSpec& spec) {
  return spec.type == SettingType::kUnsigned || spec.type == SettingType::kDuration;
}

std::optional<uint64_t> NumberOf(const SettingSpec& spec, absl::string_view text) {
  uint64_t number = 0;
  if (spec.type == SettingType::kUnsigned) {
    return absl::SimpleAtoi(text, &number) ? std::optional(number) : std::nullopt;
  }
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration));
}

std::optional<uint64_t> ValueOf(const SettingSpec& spec, absl::string_view text) {
  if (IsNumber(spec)) {
    const std::optional<uint64_t> number = NumberOf(spec, text);
    return number.has_value() && *number >= spec.least && *number <= spec.most ? number : std::nullopt;
  }
  const std::span<const char* const> words = WordsOf(spec);
  const auto word = std::find_if(words.begin(), words.end(), [&](const char* one) { return text == one; });
  return word == words.end() ? std::nullopt : std::optional<uint64_t>(word - words.begin());
}

std::string TextOf(const SettingSpec& spec, uint64_t value) {
  switch (spec.type) {
    case SettingType::kUnsigned:
      return absl::StrCat(value);
    case SettingType::kDuration:
      return DurationText(value);
    default:
      return WordsOf(spec)[value];
  }
}

}  // namespace

std::string AllowedValues(const SettingSpec& spec) {
  constexpr uint64_t kNoBound = std::numeric_limits<int64_t>::max();
  switch (spec.type) {
    case SettingType::kUnsigned:
      return spec.most == kNoBound ? absl::StrCat(spec.least, " or more") : absl::StrCat(spec.least, " to ", spec.most);
    case SettingType::kDuration:
      return spec.most == kNoBound
                 ? absl::StrCat("a duration of ", DurationText(spec.least), " or more")
                 : absl::StrCat("a duration, ", DurationText(spec.least), " to ", DurationText(spec.most));
    default: {
      const std::span<const char* const> words = WordsOf(spec);
      return absl::StrJoin(words.begin(), words.end(), " or ");
    }
  }
}

absl::StatusOr<std::string> CheckSetting(const SettingSpec& spec, absl::string_view text) {
  const std::optional<uint64_t> value = ValueOf(spec, text);
  if (!value.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not allowed: ", AllowedValues(spec)));
  }
  return TextOf(spec, *value);
}

absl::StatusOr<Settings> Settings::Read(std::span<const SettingSpec> specs, const SettingTexts& given) {
  for (const auto& [name, text] : given) {
    if (std::none_of(specs.begin(), specs.end(), [&n = name](const SettingSpec& spec) { return n == spec.name; })) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", name, "' is unknown; there is: ",
          specs.empty() ? "none"
                        : absl::StrJoin(specs.begin(), specs.end(), ", ",
                                        [](std::string* out, const SettingSpec& spec) { out->append(spec.name); })));
    }
  }
  Settings settings;
  for (const SettingSpec& spec : specs) {
    const auto text = given.find(spec.name);
    absl::StatusOr<std::string> checked = CheckSetting(
        spec, text == given.end() ? absl::string_view(spec.default_text) : absl::string_view(text->second));
    if (!checked.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(spec.name, ": ", checked.status().message()));
    }
    settings.values_[spec.name] = *ValueOf(spec, *checked);
    settings.texts_[spec.name] = *std::move(checked);
  }
  return settings;
}

}  // namespace sluice
