#include "control/apply/config_lists.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/kernel/vital_addresses.h"
#include "control/steering/list_guard.h"
#include "dataplane/base/whole_file.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr ListKind kKinds[] = {ListKind::kBlock, ListKind::kAllow};

absl::Status CheckEntries(const ListToLoad& list, ListKind kind, uint64_t entries) {
  if (list.is_copy || entries >= list.config.min_entries) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(list.path, ": has ", entries == 0 ? "no" : absl::StrCat(entries),
                                                    entries == 1 ? " entry" : " entries", ", and [", ListName(kind),
                                                    "] min_entries is ", list.config.min_entries));
}

absl::StatusOr<LoadedList> Load(const ListToLoad& list, ListKind kind, const ListCopies& copies,
                                absl::FunctionRef<bool()> go_on) {
  LoadedList loaded;
  const ListSource source{list.config,
                          StampOf(list.path)};  // first: a file that changes meanwhile counts as another one
  if (!list.path.empty()) {
    const absl::StatusOr<std::string> text = ReadWholeFile(list.path, kMaxListBytes);
    absl::StatusOr<LoadedList> parsed = text.ok() ? ParseList(*text, list.path, Quotes::kHidden, go_on) : text.status();
    absl::Status s = parsed.ok() ? CheckEntries(list, kind, parsed->parsed.entries) : parsed.status();
    if (!s.ok()) {
      return s;
    }
    loaded = *std::move(parsed);
    if (absl::Status staged = list.is_copy ? absl::OkStatus() : copies.Stage(ListName(kind), *text); !staged.ok()) {
      spdlog::error("there will be no copy of {} for the next agent: {}", list.path, std::string(staged.message()));
    }
  }
  loaded.source = source;
  loaded.stays = list.stays;
  return loaded;
}

}  // namespace

const ListConfig& ListConfigOf(const Config& config, ListKind kind) {
  return kind == ListKind::kBlock ? config.blocklist : config.allowlist;
}

ListsToLoad ListsOfApply(const Config& running, const Config& wanted) {
  ListsToLoad lists;
  for (const ListKind kind : kKinds) {
    const ListConfig& was = ListConfigOf(running, kind);
    const ListConfig& is = ListConfigOf(wanted, kind);
    if (is.file.has_value() || was != is) {
      lists[static_cast<size_t>(kind)] = {is, is.file.value_or(""), !is.file.has_value() && !was.file.has_value(),
                                          false};
    }
  }
  return lists;
}

ListsToLoad ListsOfStart(const Config& config, const std::optional<ListCopies>& copies) {
  ListsToLoad lists;
  for (const ListKind kind : kKinds) {
    const ListConfig& is = ListConfigOf(config, kind);
    const bool is_copy = copies.has_value() && is.file.has_value();
    lists[static_cast<size_t>(kind)] = {is, is_copy ? copies->last_good_path(ListName(kind)) : is.file.value_or(""),
                                        false, is_copy};
  }
  return lists;
}

bool HasFiles(const ListsToLoad& lists) {
  return std::any_of(lists.begin(), lists.end(),
                     [](const auto& list) { return list.has_value() && !list->path.empty(); });
}

std::string StampOf(const std::string& path) {
  struct stat facts {};
  return path.empty() || stat(path.c_str(), &facts) != 0
             ? ""
             : absl::StrCat(facts.st_ino, ":", facts.st_size, ":", facts.st_mtim.tv_sec, ".", facts.st_mtim.tv_nsec);
}

absl::StatusOr<LoadedLists> LoadLists(const ListsToLoad& lists, const ListCopies& copies,
                                      absl::FunctionRef<bool()> go_on) {
  LoadedLists loaded;
  for (const ListKind kind : kKinds) {
    const std::optional<ListToLoad>& list = lists[static_cast<size_t>(kind)];
    if (!list.has_value()) {
      continue;
    }
    absl::StatusOr<LoadedList> one = Load(*list, kind, copies, go_on);
    if (!one.ok()) {
      return one.status();
    }
    loaded[static_cast<size_t>(kind)] = *std::move(one);
  }
  return loaded;
}

absl::Status CheckListsOfStart(const LoadedLists& loaded, const ListsToLoad& lists) {
  const auto block = static_cast<size_t>(ListKind::kBlock);
  const std::optional<LoadedList>& allow = loaded[static_cast<size_t>(ListKind::kAllow)];
  if (!loaded[block].has_value() || lists[block]->is_copy) {
    return absl::OkStatus();
  }
  const SourcePrefixes& parsed = loaded[block]->parsed;
  const auto allowed = [&](const Prefix& host) {
    return allow.has_value() && AnyContains(allow->parsed.prefixes, host);
  };
  return CheckBlocks(parsed.prefixes, VitalAddresses(), allowed,
                     [&](size_t i) { return absl::StrCat(lists[block]->path, ":", parsed.lines[i], ": "); });
}

}  // namespace sluice
