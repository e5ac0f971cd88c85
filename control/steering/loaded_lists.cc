#include "control/steering/loaded_lists.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {

absl::StatusOr<LoadedList> ParseList(const std::string& text, const std::string& file, Quotes quotes,
                                     absl::FunctionRef<bool()> go_on) {
  absl::StatusOr<SourcePrefixes> parsed = ParseSourceList(text, file, quotes);
  if (!parsed.ok()) {
    return parsed.status();
  }
  LoadedList list;
  list.parsed = *std::move(parsed);
  if (!list.parsed.prefixes.empty()) {
    absl::StatusOr<SourceList> trie = SourceList::Make(KeysOf(list.parsed.prefixes), go_on);
    if (!trie.ok()) {
      return absl::Status(trie.status().code(), absl::StrCat(file, ": ", trie.status().message()));
    }
    list.trie = *std::move(trie);
  }
  return list;
}

}  // namespace sluice
