#include "control/steering/steering.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "control/rules/prefix.h"
#include "control/state/check_saved_state.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr ListKind kListKinds[] = {ListKind::kAllow, ListKind::kBlock};  // no allowed source is blocked in between

using SavedRules = google::protobuf::RepeatedPtrField<SavedRule>;

SavedRules Saved(const std::vector<RuleConfig>& rules) {
  SavedRules saved;
  for (const RuleConfig& rule : rules) {
    saved.Add()->mutable_fields()->insert(rule.fields.begin(), rule.fields.end());
  }
  return saved;
}

SavedRules Saved(const std::vector<ActiveRule>& rules) {
  SavedRules saved = Saved(ConfigsOf(rules));
  for (size_t r = 0; r < rules.size(); ++r) {
    saved[static_cast<int>(r)].set_id(rules[r].id);
    saved[static_cast<int>(r)].set_hits(rules[r].hits);
  }
  return saved;
}

RuleFields FieldsOf(const SavedRule& rule) {
  return {rule.fields().begin(), rule.fields().end()};
}

bool SameFields(const SavedRules& a, const SavedRules& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const SavedRule& x, const SavedRule& y) { return FieldsOf(x) == FieldsOf(y); });
}

SavedListSource Saved(const ListSource& source) {
  SavedListSource saved;
  saved.set_file(source.config.file.value_or(""));
  saved.set_min_entries(source.config.min_entries);
  saved.set_stamp(source.stamp);
  return saved;
}

ListSource SourceFrom(const SavedListSource& saved) {
  ListSource source{{std::nullopt, saved.min_entries()}, saved.stamp()};
  if (!saved.file().empty()) {
    source.config.file = saved.file();
  }
  return source;
}

// Returns those that the text of a state file has.
std::vector<sluice_prefix> KeysFrom(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<sluice_prefix> keys;
  for (const std::string& text : texts) {
    if (Prefix prefix; ParsePrefix(text, prefix).empty()) {
      keys.push_back(TrieKey(prefix, 0, 0));
    }
  }
  return keys;
}

}  // namespace

// The rules that an agent before us had in force, those of ports that are gone left out.
std::vector<ActiveRule> Steering::RulesBefore() const {
  std::vector<std::string> port_names;
  for (const Port& port : ports_) {
    port_names.push_back(port.name());
  }
  std::vector<ActiveRule> before;
  for (const SavedRule& saved : state_.state().rules()) {
    absl::StatusOr<RuleConfig> config = MakeRule(FieldsOf(saved), port_names);
    if (config.ok()) {
      before.push_back({*std::move(config), saved.id(), saved.hits(), false});
    } else {
      spdlog::warn("rule {} of the agent before is dropped: {}", saved.id(), std::string(config.status().message()));
    }
  }
  return before;
}

bool Steering::Loaded(ListKind kind, const ListSource& source) const {
  const auto index = static_cast<int>(kind);
  return index < state_.state().list_sources_size() && SourceFrom(state_.state().list_sources(index)) == source;
}

absl::Status Steering::Start(const std::vector<RuleConfig>& rules_of_file, LoadedLists lists) {
  const std::vector<ActiveRule> before = RulesBefore();
  took_over_ = TakesOver();
  next_rule_id_ = std::max(1U, state_.state().next_rule_id());
  const SavedRules file = Saved(rules_of_file);
  std::vector<RuleConfig> rules = rules_of_file;
  if (took_over_ && SameFields(file, state_.state().rules_of_file())) {
    rules = ConfigsOf(before);
  } else if (took_over_) {
    spdlog::warn("the configuration's rules are others than when the agent before started: they are in force now");
  }
  if (absl::Status put = Put(MakeActive(std::move(rules), before, next_rule_id_)); !put.ok()) {
    return put;
  }
  state_.Update([&file](SavedState& state) { *state.mutable_rules_of_file() = file; });
  if (!took_over_) {
    state_.Update([](SavedState& state) {
      state.clear_list_sources();
      state.clear_former_lists();
      state.clear_list_change();
    });
  }
  absl::Status s;
  for (const ListKind kind : kListKinds) {
    s.Update(StartList(kind, lists[static_cast<size_t>(kind)]));
  }
  return s;
}

absl::Status Steering::StartList(ListKind kind, std::optional<LoadedList>& loaded) {
  const auto index = static_cast<int>(kind);
  if (index < state_.state().list_sources_size()) {
    sources_[static_cast<size_t>(kind)] = SourceFrom(state_.state().list_sources(index));
  }
  if (loaded.has_value()) {
    // A new list is final: what waited to be confirmed is of the former one.
    if (unconfirmed_.SecondsLeft(kind) > 0) {
      unconfirmed_.Forget();
    }
    absl::Status s = PutList(kind, loaded->trie);
    if (s.ok()) {
      ListOf(kind) = std::move(loaded->trie);
      SetSource(kind, loaded->source);
    }
    return s;
  }
  if (!took_over_) {
    return PutList(kind, std::nullopt);
  }
  if (absl::Status s = AdoptList(kind); !s.ok()) {
    return s;
  }
  return AdoptChanges(kind);
}

// Takes over the changes of the list that can be undone yet.
absl::Status Steering::AdoptChanges(ListKind kind) {
  const SavedListChange change = state_.state().list_change();
  if (unconfirmed_.waits() && change.list() == static_cast<uint32_t>(kind) && change.replaced()) {
    const absl::StatusOr<bool> adopted = AdoptFormer(kind, change.had_former());
    if (!adopted.ok()) {
      return adopted.status();
    }
    if (!*adopted) {
      unconfirmed_.Forget();
    }
  }
  SavedState rest;
  for (const SavedFormerList& former : state_.state().former_lists()) {
    absl::StatusOr<bool> adopted = true;
    if (former.list() == static_cast<uint32_t>(kind) && !former.stays()) {
      adopted = AdoptFormer(kind, former.had_former());
    }
    if (!adopted.ok()) {
      return adopted.status();
    }
    if (*adopted) {
      *rest.add_former_lists() = former;
    }
  }
  if (rest.former_lists_size() < state_.state().former_lists_size()) {
    state_.Update([&rest](SavedState& state) { state.mutable_former_lists()->Swap(rest.mutable_former_lists()); });
  }
  return absl::OkStatus();
}

// All that may fail comes before the first flip, and a flip is one write to an array.
absl::Status Steering::Put(std::vector<ActiveRule> rules) {
  if (absl::Status s = wait_for_rcu_(); !s.ok()) {
    return s;
  }
  for (Port& port : ports_) {
    if (absl::Status s = port.FillIdleRules(rules); !s.ok()) {
      return s;
    }
  }
  const auto flip = [](Port& port) { return port.FlipRules(); };
  bool flipped = false;
  const auto flip_all = [&] {
    absl::Status s = ports_.ForAllOrNone(flip, flip);
    flipped = s.ok();
    return s;
  };
  if (absl::Status s = offload_.Withdrawing(flip_all); !s.ok()) {
    // Withdrawing may have failed after all ports had the rules.
    if (absl::Status undone = flipped ? offload_.Withdrawing(flip_all) : absl::OkStatus(); !undone.ok()) {
      spdlog::error("putting the rules back: {}", std::string(undone.message()));
    }
    return s;
  }
  active_ = std::move(rules);
  for (ActiveRule& rule : active_) {
    rule.fresh = false;
  }
  state_.Update([this](SavedState& state) {
    *state.mutable_rules() = Saved(active_);
    state.set_next_rule_id(next_rule_id_);
  });
  return absl::OkStatus();
}

absl::Status Steering::ReplaceRules(std::vector<RuleConfig> rules) {
  const SavedRules file = Saved(rules);
  absl::Status s = ChangeRules(std::move(rules));
  if (s.ok()) {
    state_.Update([&file](SavedState& state) { *state.mutable_rules_of_file() = file; });
  }
  return s;
}

absl::Status Steering::ChangeRules(std::vector<RuleConfig> rules) {
  return Put(MakeActive(std::move(rules), active_, next_rule_id_));
}

// A list outlives an agent in the ports' maps.
absl::Status Steering::AdoptList(ListKind kind) {
  std::optional<SourceList>& list = ListOf(kind);
  for (const Port& port : ports_) {
    absl::StatusOr<UniqueFd> trie = port.OpenList(kind);
    if (!trie.ok()) {
      return OnPort(port.netdev(), trie.status());
    }
    if (*trie && !list.has_value()) {
      absl::StatusOr<SourceList> adopted = SourceList::Adopt(*std::move(trie));
      if (!adopted.ok()) {
        return adopted.status();
      }
      list = *std::move(adopted);
    }
  }
  return PutList(kind, list);
}

absl::StatusOr<std::optional<SourceList>> Steering::FindFormer(ListKind kind) const {
  for (const Port& port : ports_) {
    absl::StatusOr<UniqueFd> trie = port.OpenFormerList(kind);
    if (!trie.ok()) {
      return OnPort(port.netdev(), trie.status());
    }
    if (*trie) {
      return SourceList::Adopt(*std::move(trie));
    }
  }
  return std::nullopt;
}

// Returns false when it is lost.
absl::StatusOr<bool> Steering::AdoptFormer(ListKind kind, bool had_former) {
  absl::StatusOr<std::optional<SourceList>> former = FindFormer(kind);
  if (!former.ok()) {
    return former.status();
  }
  const bool lost = had_former && !former->has_value();
  if (lost) {
    spdlog::error("the former {} is lost, so a change that nobody confirmed stays", ListName(kind));
  }
  FormerOf(kind) = *std::move(former);
  return !lost;
}

absl::Status Steering::PutList(ListKind kind, const std::optional<SourceList>& list) {
  const auto put = [kind](const std::optional<SourceList>& which) {
    return [kind, fd = which.has_value() ? which->fd() : -1](Port& port) { return port.SetList(kind, fd); };
  };
  return offload_.Withdrawing([&] { return ports_.ForAllOrNone(put(list), put(ListOf(kind))); });
}

absl::Status Steering::SwapList(ListKind kind, std::optional<SourceList>& list) {
  if (absl::Status s = PutList(kind, list); !s.ok()) {
    // Withdrawing may have failed after all ports had the list.
    if (absl::Status undone = PutList(kind, ListOf(kind)); !undone.ok()) {
      spdlog::error("putting the {} back: {}", ListName(kind), std::string(undone.message()));
    }
    return s;
  }
  std::swap(ListOf(kind), list);
  return absl::OkStatus();
}

// Has the ports' maps keep the list in force as the former one, over the agent's death.
absl::Status Steering::KeepFormer(ListKind kind) {
  const auto set = [kind](int trie) { return [kind, trie](Port& port) { return port.SetFormerList(kind, trie); }; };
  return ports_.ForAllOrNone(set(ListOf(kind).has_value() ? ListOf(kind)->fd() : -1), set(-1));
}

void Steering::DropFormer(ListKind kind) {
  FormerOf(kind).reset();
  const auto clear = [kind](Port& port) { return port.SetFormerList(kind, -1); };
  if (absl::Status s = ports_.ForEach(clear); !s.ok()) {
    spdlog::error("the former {} takes memory on: {}", ListName(kind), std::string(s.message()));
  }
}

void Steering::SetSource(ListKind kind, const ListSource& source) {
  sources_[static_cast<size_t>(kind)] = source;
  state_.Update([this](SavedState& state) {
    state.clear_list_sources();
    for (const ListSource& one : sources_) {
      *state.add_list_sources() = Saved(one);
    }
  });
}

// One former list of a kind can be kept.
absl::Status Steering::CheckMayConfirm() const {
  return state_.state().former_lists().empty()
             ? absl::OkStatus()
             : absl::FailedPreconditionError(
                   "a configuration with lists waits to be confirmed, so a change of a list cannot; first `sluicectl "
                   "config confirm` or `sluicectl config rollback`. Nothing was changed");
}

absl::Status Steering::ReplaceList(ListKind kind, std::optional<SourceList> list, absl::Duration confirm) {
  if (absl::Status s = unconfirmed_.RefuseWhileWaiting(); !s.ok()) {
    return s;
  }
  if (confirm <= absl::ZeroDuration()) {
    return SwapList(kind, list);
  }
  absl::Status s = CheckMayConfirm();
  if (s.ok()) {
    s = KeepFormer(kind);
  }
  if (!s.ok()) {
    return s;
  }
  SavedListChange change;
  change.set_list(static_cast<uint32_t>(kind));
  change.set_replaced(true);
  change.set_had_former(ListOf(kind).has_value());
  unconfirmed_.Begin(std::move(change), confirm);
  s = SwapList(kind, list);
  if (s.ok()) {
    FormerOf(kind) = std::move(list);
  } else {
    unconfirmed_.Forget();
  }
  return s;
}

absl::Status Steering::Undo(const SavedListChange& change) {
  const auto kind = static_cast<ListKind>(change.list());
  if (change.replaced()) {
    return SwapList(kind, FormerOf(kind));
  }
  const absl::Status s = RemoveNow(kind, KeysFrom(change.added())).status();
  return s.ok() ? AddNow(kind, KeysFrom(change.removed())).status() : s;
}

void Steering::Settle(const SavedListChange& change) {
  if (change.replaced()) {
    DropFormer(static_cast<ListKind>(change.list()));
  }
}

absl::Status Steering::PutLoaded(ListKind kind, LoadedList& loaded) {
  absl::Status s = loaded.stays ? absl::OkStatus() : KeepFormer(kind);
  if (!s.ok()) {
    return s;
  }
  state_.Update([&](SavedState& state) {
    SavedFormerList& former = *state.add_former_lists();
    former.set_list(static_cast<uint32_t>(kind));
    former.set_had_former(ListOf(kind).has_value());
    former.set_stays(loaded.stays);
    *former.mutable_source() = Saved(source(kind));
  });
  if (loaded.stays) {
    SetSource(kind, loaded.source);
    return absl::OkStatus();
  }
  s = SwapList(kind, loaded.trie);
  if (!s.ok()) {
    state_.Update([](SavedState& state) { state.mutable_former_lists()->RemoveLast(); });
    DropFormer(kind);
    return s;
  }
  FormerOf(kind) = std::move(loaded.trie);
  SetSource(kind, loaded.source);
  return absl::OkStatus();
}

absl::Status Steering::PutPrepared() {
  LoadedLists lists = *std::exchange(prepared_, std::nullopt);
  absl::Status s = unconfirmed_.RefuseWhileWaiting();
  for (const ListKind kind : kListKinds) {
    if (std::optional<LoadedList>& loaded = lists[static_cast<size_t>(kind)]; s.ok() && loaded.has_value()) {
      s = PutLoaded(kind, *loaded);
    }
  }
  if (!s.ok()) {
    if (absl::Status undone = PutFormerBack(); !undone.ok()) {
      return absl::Status(s.code(), absl::StrCat(s.message(), "; and putting the lists back: ", undone.message()));
    }
  }
  return s;
}

absl::Status Steering::PutFormerBack() {
  absl::Status first;
  const std::vector<SavedFormerList> former(state_.state().former_lists().begin(), state_.state().former_lists().end());
  SavedState rest;
  for (const SavedFormerList& one : former) {
    const auto kind = static_cast<ListKind>(one.list());
    if (absl::Status s = one.stays() ? absl::OkStatus() : SwapList(kind, FormerOf(kind)); !s.ok()) {
      first.Update(s);
      *rest.add_former_lists() = one;
      continue;
    }
    SetSource(kind, SourceFrom(one.source()));
    if (!one.stays()) {
      DropFormer(kind);
    }
  }
  if (!former.empty()) {
    state_.Update([&rest](SavedState& state) { state.mutable_former_lists()->Swap(rest.mutable_former_lists()); });
  }
  return first;
}

void Steering::ForgetFormer() {
  const std::vector<SavedFormerList> former(state_.state().former_lists().begin(), state_.state().former_lists().end());
  if (former.empty()) {
    return;
  }
  state_.Update([](SavedState& state) { state.clear_former_lists(); });
  for (const SavedFormerList& one : former) {
    if (!one.stays()) {
      DropFormer(static_cast<ListKind>(one.list()));
    }
  }
}

// Returns those of the prefixes that are on the list, or are not.
std::vector<sluice_prefix> Steering::OnList(ListKind kind, const std::vector<sluice_prefix>& prefixes, bool on) const {
  std::vector<sluice_prefix> some;
  std::copy_if(prefixes.begin(), prefixes.end(), std::back_inserter(some),
               [&](const sluice_prefix& prefix) { return (list(kind).has_value() && list(kind)->Has(prefix)) == on; });
  return some;
}

absl::StatusOr<uint64_t> Steering::AddNow(ListKind kind, const std::vector<sluice_prefix>& prefixes) {
  std::optional<SourceList>& list = ListOf(kind);
  if (prefixes.empty()) {
    return 0;
  }
  if (!list.has_value()) {
    absl::StatusOr<SourceList> made = SourceList::Make(prefixes);
    if (!made.ok()) {
      return made.status();
    }
    std::optional<SourceList> wanted = *std::move(made);
    absl::Status s = SwapList(kind, wanted);
    return s.ok() ? absl::StatusOr<uint64_t>(list->size()) : s;
  }
  absl::StatusOr<uint64_t> added;
  absl::Status s = offload_.Withdrawing([&] { return (added = list->Add(prefixes)).status(); });
  return s.ok() ? added : s;
}

absl::StatusOr<uint64_t> Steering::RemoveNow(ListKind kind, const std::vector<sluice_prefix>& prefixes) {
  std::optional<SourceList>& list = ListOf(kind);
  if (!list.has_value()) {
    return 0;
  }
  absl::StatusOr<uint64_t> removed;
  absl::Status s = offload_.Withdrawing([&] { return (removed = list->Remove(prefixes)).status(); });
  if (s.ok() && list->size() == 0) {
    std::optional<SourceList> none;  // no list: a packet whose source cannot be read is not dropped on its behalf
    s = SwapList(kind, none);
  }
  return s.ok() ? removed : s;
}

absl::StatusOr<uint64_t> Steering::ChangeList(ListKind kind, const std::vector<sluice_prefix>& prefixes, bool add,
                                              absl::Duration confirm) {
  const bool waits = confirm > absl::ZeroDuration();
  absl::Status s = unconfirmed_.RefuseWhileWaiting();
  if (s.ok() && waits) {
    s = CheckMayConfirm();
  }
  if (!s.ok()) {
    return s;
  }
  if (waits) {
    const std::vector<sluice_prefix> concerned = OnList(kind, prefixes, !add);
    if (concerned.size() > kMaxUndonePrefixes) {
      return absl::InvalidArgumentError(absl::StrCat("--confirm takes at most ", kMaxUndonePrefixes,
                                                     " prefixes; `replace` takes any number. Nothing was changed"));
    }
    SavedListChange change;
    change.set_list(static_cast<uint32_t>(kind));
    for (const sluice_prefix& prefix : concerned) {
      (add ? change.add_added() : change.add_removed())->assign(PrefixText(PrefixOf(prefix)));
    }
    unconfirmed_.Begin(std::move(change), confirm);
  }
  absl::StatusOr<uint64_t> changed = add ? AddNow(kind, prefixes) : RemoveNow(kind, prefixes);
  if (!changed.ok() && waits) {
    unconfirmed_.Forget();
  }
  return changed;
}

absl::StatusOr<uint64_t> Steering::AddToList(ListKind kind, const std::vector<sluice_prefix>& prefixes,
                                             absl::Duration confirm) {
  return ChangeList(kind, prefixes, /*add=*/true, confirm);
}

absl::StatusOr<uint64_t> Steering::RemoveFromList(ListKind kind, const std::vector<sluice_prefix>& prefixes,
                                                  absl::Duration confirm) {
  return ChangeList(kind, prefixes, /*add=*/false, confirm);
}

absl::Status Steering::PutAgain() {
  absl::Status s = Put(active_);
  for (const ListKind kind : kListKinds) {
    if (s.ok()) {
      s = PutList(kind, ListOf(kind));
    }
    if (s.ok() && FormerOf(kind).has_value()) {
      s = ports_.ForEach([&](Port& port) { return port.SetFormerList(kind, FormerOf(kind)->fd()); });
    }
  }
  return s;
}

void Steering::FollowAddresses() {
  const absl::StatusOr<std::vector<sluice_address>> addresses = addresses_();
  if (!addresses.ok()) {
    return;
  }
  std::map<const Port*, Locals> wanted;
  bool differs = false;
  for (const Port& port : ports_) {
    absl::StatusOr<std::vector<sluice_address>> groups = port.JoinedGroups();
    if (!groups.ok()) {
      spdlog::error("looking for joined groups: {}", std::string(groups.status().message()));
      return;
    }
    const Locals& locals = wanted[&port] = {*addresses, *std::move(groups)};
    differs = differs || !port.HasLocals(locals);
  }
  if (!differs) {
    return;
  }
  const auto set = [&](Port& port) { return port.SetLocals(wanted[&port]); };
  if (absl::Status s = offload_.Withdrawing([&] { return ports_.ForEach(set); }); !s.ok()) {
    spdlog::error("{}", std::string(s.message()));
  }
}

}  // namespace sluice
