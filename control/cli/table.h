// Text for a terminal: aligned columns, wrapped paragraphs, numbers, colours. Pure.
#ifndef SLUICE_CONTROL_CLI_TABLE_H_
#define SLUICE_CONTROL_CLI_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice::cli {

inline constexpr size_t kTextColumns = 96;  // paragraphs stay within this, also on a wider terminal

enum class Colour { kNone, kRed, kYellow, kGreen, kBold };
// The kind of output (StyleOfOutput in output.h); by default a file or a pipe.
struct Style {
  bool colours = false;  // escape sequences may be used
  size_t columns = 0;    // the terminal's width; 0: no limit
  bool redraws = false;  // it can be cleared and written again

  // The width of paragraphs, and of lines that are not broken where there is room.
  size_t text_columns() const { return columns == 0 ? kTextColumns : std::min(columns, kTextColumns); }
  size_t line_columns() const { return columns == 0 ? std::string::npos : columns; }
};
std::string Paint(const std::string& text, Colour colour, Style style);

class Table {
 public:
  struct Column {
    const char* title;
    bool number = false;  // aligned to the right
  };
  // The first `keys` columns tell one row from another.
  explicit Table(std::vector<Column> columns, size_t keys = 1) : columns_(std::move(columns)), keys_(keys) {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  // Renders titles and rows, with two spaces between columns and none at the end of a line. Columns that do not fit the
  // terminal stand below, behind the keys again: nothing is cut, and only a value wider than a terminal leaves it.
  std::string Text(Style style) const;

 private:
  std::string TextOf(const std::vector<size_t>& chosen, const std::vector<size_t>& widths, Style style) const;

  std::vector<Column> columns_;
  size_t keys_;
  std::vector<std::vector<std::string>> rows_;
};

// Breaks `text` at spaces to stay within `columns`. `first` stands before the first line, and as many spaces before the
// others. Line breaks in `text` stay. A word that is too long stays whole.
std::string Wrap(const std::string& first, const std::string& text, size_t columns = kTextColumns);

// 950, 12.3k, 1.23M, 4.56G
std::string Short(double value);
// 98.2ms
std::string DurationText(uint64_t ns);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_TABLE_H_
