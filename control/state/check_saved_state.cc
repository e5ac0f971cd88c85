#include "control/state/check_saved_state.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "bpf/sluice_abi.h"

namespace sluice {
namespace {

constexpr uint32_t kMaxPid = 1U << 22;      // PID_MAX_LIMIT (include/linux/threads.h)
constexpr uint32_t kMaxDevicePairs = 4096;  // of any device; far above what drivers have
constexpr int kMaxRssEntries = 16384;
constexpr size_t kMaxAffinityFiles = 3 * 4096;  // two interrupts and XPS for each queue
constexpr size_t kMaxTextBytes = 4096;
constexpr int kMaxFields = 32;
constexpr size_t kMaxCommandChars = 64;
constexpr size_t kMaxPrefixChars = 64;  // of IPv6 at most 43

template <typename... Words>
absl::Status Wrong(const Words&... words) {
  return absl::DataLossError(absl::StrCat(words...));
}

bool IsPlain(const std::string& text, size_t most) {
  return text.size() <= most &&
         std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// As the kernel's dev_valid_name() (net/core/dev.c).
bool IsNetdevName(const std::string& name) {
  constexpr size_t kMaxChars = 15;
  return !name.empty() && name.size() <= kMaxChars && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > ' ' && c != '/' && c != ':'; });
}

absl::Status CheckPort(const SavedPort& port) {
  if (!IsNetdevName(port.netdev()) || !IsPlain(port.name(), kMaxTextBytes)) {
    return Wrong("a port with a name that no device has");
  }
  if (port.queue_pairs() == 0 || port.queue_pairs() > kMaxDevicePairs) {
    return Wrong(port.netdev(), " with ", port.queue_pairs(), " queue pairs");
  }
  if (port.rss_table_size() > kMaxRssEntries || port.affinity().size() > kMaxAffinityFiles) {
    return Wrong(port.netdev(), " with ", port.rss_table_size(), " entries of RSS and ", port.affinity().size(),
                 " interrupts");
  }
  for (const auto& [file, text] : port.affinity()) {
    if (!IsPlain(file, kMaxTextBytes) || text.size() > kMaxTextBytes) {
      return Wrong(port.netdev(), " with interrupts that cannot be");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFields(const SavedRule& rule) {
  if (rule.fields().size() > kMaxFields) {
    return Wrong("a rule of ", rule.fields().size(), " fields");
  }
  for (const auto& [name, value] : rule.fields()) {
    if (!IsPlain(name, kMaxTextBytes) || !IsPlain(value, kMaxTextBytes)) {
      return Wrong("a rule whose fields are no text");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRules(const SavedState& state) {
  if (state.rules_size() > SLUICE_MAX_RULES || state.rules_of_file_size() > SLUICE_MAX_RULES) {
    return Wrong(state.rules_size(), " rules, and ", state.rules_of_file_size(), " of the configuration");
  }
  std::set<uint32_t> ids, hits;
  for (const SavedRule& rule : state.rules()) {
    if (rule.id() == 0 || rule.id() >= state.next_rule_id() || !ids.insert(rule.id()).second ||
        rule.hits() >= SLUICE_RULE_HITS || !hits.insert(rule.hits()).second) {
      return Wrong("rule ", rule.id(), " with counter ", rule.hits());
    }
    if (absl::Status s = CheckFields(rule); !s.ok()) {
      return s;
    }
  }
  for (const SavedRule& rule : state.rules_of_file()) {
    if (absl::Status s = CheckFields(rule); !s.ok()) {
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status CheckListChange(const SavedListChange& change) {
  const auto is_prefix = [](const std::string& text) { return IsPlain(text, kMaxPrefixChars); };
  if (change.list() >= SLUICE_LISTS || change.deadline_ns() < 0 || !IsPlain(change.boot_id(), kMaxTextBytes)) {
    return Wrong("a change of list ", change.list(), " that cannot have been");
  }
  if (change.added_size() > kMaxUndonePrefixes || change.removed_size() > kMaxUndonePrefixes ||
      !std::all_of(change.added().begin(), change.added().end(), is_prefix) ||
      !std::all_of(change.removed().begin(), change.removed().end(), is_prefix)) {
    return Wrong("a change of ", change.added_size() + change.removed_size(), " prefixes that cannot have been");
  }
  return absl::OkStatus();
}

bool IsSource(const SavedListSource& source) {
  return IsPlain(source.file(), kMaxTextBytes) && IsPlain(source.stamp(), kMaxTextBytes);
}

absl::Status CheckListSources(const SavedState& state) {
  std::set<uint32_t> lists;
  for (const SavedFormerList& former : state.former_lists()) {
    if (former.list() >= SLUICE_LISTS || !lists.insert(former.list()).second || !IsSource(former.source())) {
      return Wrong("a former list ", former.list(), " that cannot have been");
    }
  }
  if (state.list_sources_size() > SLUICE_LISTS ||
      !std::all_of(state.list_sources().begin(), state.list_sources().end(), IsSource)) {
    return Wrong(state.list_sources_size(), " files of lists");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSavedState(const SavedState& state) {
  if (state.ports_size() > SLUICE_MAX_PORTS) {
    return Wrong(state.ports_size(), " ports");
  }
  std::set<std::string> netdevs;
  for (const SavedPort& port : state.ports()) {
    if (absl::Status s = CheckPort(port); !s.ok()) {
      return s;
    }
    if (!netdevs.insert(port.netdev()).second) {
      return Wrong(port.netdev(), " twice");
    }
  }
  if (!IsPlain(state.runs_as(), kMaxTextBytes)) {
    return Wrong("a function with a strange name");
  }
  if (!IsPlain(state.held_by(), kMaxCommandChars)) {
    return Wrong("a hold of a strange name");
  }
  if (state.dataplane_pid() > kMaxPid) {
    return Wrong("a dataplane of pid ", state.dataplane_pid());
  }
  if (state.active_pairs() > SLUICE_MAX_QUEUES || state.resize().from() > SLUICE_MAX_QUEUES ||
      state.resize().to() > SLUICE_MAX_QUEUES || !IsPlain(state.resize().method(), kMaxTextBytes) ||
      state.resize().began_ns() < 0) {
    return Wrong(state.active_pairs(), " queue pairs, or a resize that cannot have been");
  }
  if (absl::Status s = CheckListChange(state.list_change()); !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckListSources(state); !s.ok()) {
    return s;
  }
  return CheckRules(state);
}

}  // namespace sluice
