// The lists of sources that a configuration names: finds those to load, and loads them from their files. It puts
// nothing in force (Steering::Prepare).
#ifndef SLUICE_CONTROL_APPLY_CONFIG_LISTS_H_
#define SLUICE_CONTROL_APPLY_CONFIG_LISTS_H_

#include <array>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/config/config.h"
#include "control/state/list_copies.h"
#include "control/steering/loaded_lists.h"

namespace sluice {

// Of a file. A list of four million IPv6 prefixes has up to 184 MB.
inline constexpr size_t kMaxListBytes = size_t{256} << 20;

struct ListToLoad {
  ListConfig config;
  std::string path;      // "": there is no file to load
  bool stays = false;    // without a file: the list in force stays. Else there is none then
  bool is_copy = false;  // `path` is the last good copy, which was accepted before
};

// By ListKind; nullopt: the list stays as it is.
using ListsToLoad = std::array<std::optional<ListToLoad>, SLUICE_LISTS>;

// Returns the keys of a list.
const ListConfig& ListConfigOf(const Config& config, ListKind kind);

// Returns the lists that an apply changes, or loads again. Pure.
ListsToLoad ListsOfApply(const Config& running, const Config& wanted);
// Returns the lists that an agent starts with: the configuration's files, or with `copies` the last good copies of
// them. Pure.
ListsToLoad ListsOfStart(const Config& config, const std::optional<ListCopies>& copies);

// True if there is a file to read.
bool HasFiles(const ListsToLoad& lists);

// Returns the text by which one state of a file differs from others: inode, size, time of its last change.
std::string StampOf(const std::string& path);

// Reads and parses the files and makes tries of them; seconds for a million prefixes. Any thread. Keeps a candidate of
// each file (ListCopies), whose errors are only logged. Errors name file and line: those of ReadWholeFile,
// ParseSourceList and SourceList::Make, and FailedPrecondition for a file of fewer entries than `min_entries`. They do
// not show the file's text. Cancelled when `go_on` returned false.
absl::StatusOr<LoadedLists> LoadLists(const ListsToLoad& lists, const ListCopies& copies,
                                      absl::FunctionRef<bool()> go_on);

// FailedPrecondition, with file and line, for a blocklist from a file that blocks everything, or an address that the
// machine needs and that no loaded allow-list has. Last good copies are not checked.
absl::Status CheckListsOfStart(const LoadedLists& loaded, const ListsToLoad& lists);

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_LISTS_H_
