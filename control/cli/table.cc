#include "control/cli/table.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace sluice::cli {
namespace {

constexpr size_t kGap = 2;  // spaces between columns

// Returns the width on a terminal: an escape sequence takes no room, a character of UTF-8 one place.
size_t Width(const std::string& text) {
  size_t width = 0;
  bool escape = false;
  for (const char c : text) {
    escape = escape || c == '\033';
    width += escape || (static_cast<uint8_t>(c) & 0xc0U) == 0x80 ? 0 : 1;
    escape = escape && c != 'm';
  }
  return width;
}

void AppendCell(std::string& line, const std::string& text, size_t width, bool right) {
  const std::string padding(width - std::min(width, Width(text)), ' ');
  absl::StrAppend(&line, right ? padding : "", text, right ? "" : padding);
}

}  // namespace

std::string Paint(const std::string& text, Colour colour, Style style) {
  if (!style.colours || colour == Colour::kNone) {
    return text;
  }
  const char* code = colour == Colour::kRed      ? "31"
                     : colour == Colour::kYellow ? "33"
                     : colour == Colour::kGreen  ? "32"
                                                 : "1";
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

std::string Table::Text(Style style) const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    size_t width = std::string(columns_[c].title).size();
    for (const auto& row : rows_) {
      width = std::max(width, Width(row[c]));
    }
    widths.push_back(width);
  }
  std::vector<size_t> keys(std::min(keys_, columns_.size()));
  std::iota(keys.begin(), keys.end(), 0);
  std::vector<size_t> chosen = keys;
  const auto width_with = [&](size_t column) {
    return std::accumulate(chosen.begin(), chosen.end(), widths[column],
                           [&](size_t sum, size_t c) { return sum + widths[c] + kGap; });
  };
  std::string text;
  for (size_t c = keys.size(); c < columns_.size(); ++c) {
    if (style.columns != 0 && chosen.size() > keys.size() && width_with(c) > style.columns) {
      absl::StrAppend(&text, TextOf(chosen, widths, style), "\n");
      chosen = keys;
    }
    chosen.push_back(c);
  }
  return text + TextOf(chosen, widths, style);
}

std::string Table::TextOf(const std::vector<size_t>& chosen, const std::vector<size_t>& widths, Style style) const {
  const auto line_of = [&](const auto& cell) {
    std::string line;
    for (const size_t c : chosen) {
      line += c == chosen.front() ? "" : std::string(kGap, ' ');
      AppendCell(line, cell(c), widths[c], columns_[c].number);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  };
  std::string text =
      Paint(line_of([&](size_t c) { return std::string(columns_[c].title); }), Colour::kBold, style) + "\n";
  for (const auto& row : rows_) {
    absl::StrAppend(&text, line_of([&](size_t c) { return row[c]; }), "\n");
  }
  return text;
}

std::string Wrap(const std::string& first, const std::string& text, size_t columns) {
  const std::string indent(first.size(), ' ');
  std::string out, line = first;
  bool fresh = true;  // this line has only the indent yet
  const auto flush = [&] {
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, line, "\n");
    line = indent;
    fresh = true;
  };
  const std::vector<std::string> paragraphs = absl::StrSplit(text, '\n');
  for (const std::string& paragraph : paragraphs) {
    const std::vector<std::string> words = absl::StrSplit(paragraph, ' ', absl::SkipEmpty());
    for (const std::string& word : words) {
      if (!fresh && Width(line) + 1 + Width(word) > columns) {
        flush();
      }
      absl::StrAppend(&line, fresh ? "" : " ", word);
      fresh = false;
    }
    flush();
  }
  return out;
}

std::string Short(double value) {
  if (value < 1e3) {
    return absl::StrFormat("%.0f", value);
  }
  const double scaled = value < 1e6 ? value / 1e3 : value < 1e9 ? value / 1e6 : value / 1e9;
  const char* unit = value < 1e6 ? "k" : value < 1e9 ? "M" : "G";
  const int decimals = scaled < 10 ? 2 : scaled < 100 ? 1 : 0;
  return absl::StrFormat("%.*f%s", decimals, scaled, unit);
}

std::string DurationText(uint64_t ns) {
  const absl::Duration duration = absl::Nanoseconds(static_cast<int64_t>(ns));
  // Some three digits: anything finer than a tenth of the unit is noise.
  const absl::Duration grain = duration < absl::Microseconds(100) ? absl::Nanoseconds(1)
                               : duration < absl::Seconds(10)     ? absl::Microseconds(100)
                                                                  : absl::Milliseconds(100);
  return absl::FormatDuration(absl::Trunc(duration, grain));
}

}  // namespace sluice::cli
