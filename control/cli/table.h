// Text for a terminal: aligned columns, wrapped paragraphs, numbers, colours. Pure.
#ifndef SLUICE_CONTROL_CLI_TABLE_H_
#define SLUICE_CONTROL_CLI_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::cli {

inline constexpr size_t kTextColumns = 96;  // what wraps stays within this

enum class Colour { kNone, kRed, kYellow, kGreen, kBold };
// Whether escape sequences may be used: only on a terminal.
struct Style {
  bool colours = false;
};
std::string Paint(const std::string& text, Colour colour, Style style);

class Table {
 public:
  struct Column {
    const char* title;
    bool number = false;  // aligned to the right
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  // Titles and rows, two spaces between columns, none at the end of a line.
  std::string Text(Style style) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// `text` broken at spaces to stay within kTextColumns; `first` stands before the first line, and as many
// spaces before the others. Its own line breaks stay. A word that is too long stays whole.
std::string Wrap(const std::string& first, const std::string& text);

// 950, 12.3k, 1.23M, 4.56G
std::string Short(double value);
// 98.2ms
std::string DurationText(uint64_t ns);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_TABLE_H_
