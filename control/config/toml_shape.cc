#include "control/config/toml_shape.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// A walk over the text that knows strings and comments (TOML 1.0, sections "String" and "Comment"). Where the text is
// not TOML the walk may lose its way, but only behind the place at which the library stops with an error.
class ShapeWalk {
 public:
  explicit ShapeWalk(absl::string_view text) : rest_(text) {}

  std::optional<ShapeProblem> Run() {
    while (!rest_.empty()) {
      switch (rest_.front()) {
        case '\n':
          NextLine();
          break;
        case '#':
          SkipToLineEnd();
          break;
        case '"':
        case '\'':
          SkipString(rest_.front());
          break;
        case '.':
          Advance(1);
          ++dots_;
          break;
        case '[':
        case '{':
          Advance(1);
          ++open_;
          break;
        case ']':
        case '}':
          Advance(1);
          open_ -= open_ > 0 ? 1 : 0;
          break;
        default:
          Advance(1);
      }
      if (dots_ > kMostDotsOfLine || open_ > kDeepestNesting) {
        return ShapeProblem{line_, absl::StrCat("too deep: more than ", kMostDotsOfLine, " dots on one line, or ",
                                                kDeepestNesting, " open brackets")};
      }
    }
    return std::nullopt;
  }

 private:
  void Advance(size_t bytes) { rest_.remove_prefix(bytes); }
  void NextLine() {
    Advance(1);
    ++line_;
    dots_ = 0;
  }
  void SkipToLineEnd() { Advance(std::min(rest_.find('\n'), rest_.size())); }

  void SkipString(char quote) {
    const std::string three(3, quote);
    if (absl::StartsWith(rest_, three)) {
      Advance(3);
      SkipMultiLine(quote, three);
    } else {
      Advance(1);
      SkipOneLine(quote);
    }
  }
  // Ends in front of a line's end, too, where the library gives up.
  void SkipOneLine(char quote) {
    while (!rest_.empty() && rest_.front() != '\n') {
      const char c = rest_.front();
      SkipOneOf(quote);
      if (c == quote) {
        return;
      }
    }
  }
  void SkipMultiLine(char quote, const std::string& three) {
    while (!rest_.empty() && !absl::StartsWith(rest_, three)) {
      rest_.front() == '\n' ? NextLine() : SkipOneOf(quote);
    }
    Advance(std::min<size_t>(3, rest_.size()));
    for (int i = 0; i < 2 && !rest_.empty() && rest_.front() == quote; ++i) {
      Advance(1);  // up to two quotes may stand in front of the three that close it
    }
  }
  // A character of a string. A backslash of a basic one takes the next character along, but for a line's end.
  void SkipOneOf(char quote) {
    const bool escapes = quote == '"' && rest_.front() == '\\' && rest_.size() > 1 && rest_[1] != '\n';
    Advance(escapes ? 2 : 1);
  }

  absl::string_view rest_;
  uint32_t line_ = 1;
  uint32_t dots_ = 0;  // on this line
  uint32_t open_ = 0;
};

}  // namespace

std::optional<ShapeProblem> FindShapeProblem(absl::string_view text) {
  return ShapeWalk(text).Run();
}

}  // namespace sluice
