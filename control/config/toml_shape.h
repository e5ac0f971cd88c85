// Bounds the shape of a TOML text before the library parses it: toml++ makes a table for each dot of a key, destroys
// tables by recursion, and so overflows the stack on a key of 100,000 dots.
//
// Pure; any thread; takes time in proportion to the text.
#ifndef SLUICE_CONTROL_CONFIG_TOML_SHAPE_H_
#define SLUICE_CONTROL_CONFIG_TOML_SHAPE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace sluice {

// On one line, outside of strings and comments. A key is on one line, and this is ten times as deep as any of ours.
inline constexpr uint32_t kMostDotsOfLine = 32;
// Brackets and braces that are open at one place. Ours need two.
inline constexpr uint32_t kDeepestNesting = 16;

struct ShapeProblem {
  uint32_t line = 0;
  std::string text;
};

// Returns the first place that is too deep; nullopt: there is none. Says nothing of a text that is not TOML.
std::optional<ShapeProblem> FindShapeProblem(absl::string_view text);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_TOML_SHAPE_H_
