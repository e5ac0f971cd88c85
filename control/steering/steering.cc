#include "control/steering/steering.h"

#include <algorithm>

#include "spdlog/spdlog.h"

namespace sluice {
namespace {

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

absl::Status Steering::Start(const std::vector<RuleConfig>& rules_of_file) {
  const std::vector<ActiveRule> before = RulesBefore();
  const bool took_over = state_.state().next_rule_id() != 0;
  next_rule_id_ = std::max(1U, state_.state().next_rule_id());
  const SavedRules file = Saved(rules_of_file);
  std::vector<RuleConfig> rules = rules_of_file;
  if (took_over && SameFields(file, state_.state().rules_of_file())) {
    rules = ConfigsOf(before);
  } else if (took_over) {
    spdlog::warn("the configuration's rules are others than when the agent before started: they are in force now");
  }
  if (absl::Status s = Put(MakeActive(std::move(rules), before, next_rule_id_)); !s.ok()) {
    return s;
  }
  state_.Update([&file](SavedState& state) { *state.mutable_rules_of_file() = file; });
  return took_over ? AdoptBlocklist() : PutBlocklist(std::nullopt);
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

// The list outlives an agent in the ports' maps.
absl::Status Steering::AdoptBlocklist() {
  for (const Port& port : ports_) {
    absl::StatusOr<UniqueFd> trie = port.OpenBlocklist();
    if (!trie.ok()) {
      return OnPort(port.netdev(), trie.status());
    }
    if (*trie && !blocklist_.has_value()) {
      absl::StatusOr<Blocklist> list = Blocklist::Adopt(*std::move(trie));
      if (!list.ok()) {
        return list.status();
      }
      blocklist_ = *std::move(list);
    }
  }
  return PutBlocklist(blocklist_);
}

absl::Status Steering::PutBlocklist(const std::optional<Blocklist>& list) {
  const auto put = [](const std::optional<Blocklist>& which) {
    return [fd = which.has_value() ? which->fd() : -1](Port& port) { return port.SetBlocklist(fd); };
  };
  return offload_.Withdrawing([&] { return ports_.ForAllOrNone(put(list), put(blocklist_)); });
}

absl::Status Steering::ReplaceBlocklist(std::vector<sluice_prefix> prefixes) {
  std::optional<Blocklist> wanted;
  if (!prefixes.empty()) {
    absl::StatusOr<Blocklist> made = Blocklist::Make(std::move(prefixes));
    if (!made.ok()) {
      return made.status();
    }
    wanted = *std::move(made);
  }
  if (absl::Status s = PutBlocklist(wanted); !s.ok()) {
    // Withdrawing may have failed after all ports had the list.
    if (absl::Status undone = PutBlocklist(blocklist_); !undone.ok()) {
      spdlog::error("putting the blocklist back: {}", std::string(undone.message()));
    }
    return s;
  }
  blocklist_ = std::move(wanted);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Steering::Block(const std::vector<sluice_prefix>& prefixes) {
  if (!blocklist_.has_value()) {
    if (absl::Status s = ReplaceBlocklist(prefixes); !s.ok()) {
      return s;
    }
    return blocklist_.has_value() ? blocklist_->size() : 0;
  }
  absl::StatusOr<uint64_t> added;
  absl::Status s = offload_.Withdrawing([&] { return (added = blocklist_->Add(prefixes)).status(); });
  return s.ok() ? added : s;
}

absl::StatusOr<uint64_t> Steering::Unblock(const std::vector<sluice_prefix>& prefixes) {
  if (!blocklist_.has_value()) {
    return 0;
  }
  absl::StatusOr<uint64_t> removed;
  absl::Status s = offload_.Withdrawing([&] { return (removed = blocklist_->Remove(prefixes)).status(); });
  return s.ok() ? removed : s;
}

void Steering::FollowAddresses() {
  const absl::StatusOr<std::vector<sluice_address>> addresses = addresses_();
  if (!addresses.ok() || !ports_.Any([&](const Port& port) { return !port.HasLocals(*addresses); })) {
    return;
  }
  const auto set = [&](Port& port) { return port.SetLocals(*addresses); };
  if (absl::Status s = offload_.Withdrawing([&] { return ports_.ForEach(set); }); !s.ok()) {
    spdlog::error("{}", std::string(s.message()));
  }
}

}  // namespace sluice
