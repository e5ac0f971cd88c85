// Lists of sources that are loaded and in force nowhere yet. Made by any thread, then the loop's.
#ifndef SLUICE_CONTROL_STEERING_LOADED_LISTS_H_
#define SLUICE_CONTROL_STEERING_LOADED_LISTS_H_

#include <array>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "control/config/config.h"
#include "control/rules/source_list.h"
#include "control/rules/source_list_text.h"

namespace sluice {

// The keys of the configuration that name a list's file, and that file as it was when the list was loaded.
struct ListSource {
  ListConfig config;
  std::string stamp;  // differs when the file was replaced or written; empty: no file was loaded

  bool operator==(const ListSource&) const = default;
};

struct LoadedList {
  ListSource source;               // of a list that a configuration names
  bool stays = false;              // the list in force stays, only its source is another
  std::optional<SourceList> trie;  // nullopt: no list
  SourcePrefixes parsed;
};

// Parses a list's text, and makes a trie of it. `file` is its name for users. Errors are those of ParseSourceList and,
// with the file in front, of SourceList::Make.
absl::StatusOr<LoadedList> ParseList(const std::string& text, const std::string& file, Quotes quotes,
                                     absl::FunctionRef<bool()> go_on);

// By ListKind. nullopt: that list stays as it is.
using LoadedLists = std::array<std::optional<LoadedList>, SLUICE_LISTS>;

}  // namespace sluice

#endif  // SLUICE_CONTROL_STEERING_LOADED_LISTS_H_
