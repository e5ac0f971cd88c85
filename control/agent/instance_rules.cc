// The steering rules and the blocklist of a running Instance.
#include <algorithm>
#include <utility>

#include "control/agent/instance.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

void Save(const std::vector<RuleConfig>& rules, google::protobuf::RepeatedPtrField<SavedRule>& saved) {
  saved.Clear();
  for (const RuleConfig& rule : rules) {
    saved.Add()->mutable_fields()->insert(rule.fields.begin(), rule.fields.end());
  }
}

}  // namespace

// What the file says is in force, unless an agent that died had other rules than the same file: those go on.
absl::Status Instance::MakeRules() {
  std::vector<ActiveRule> before;
  for (const SavedRule& saved : state_.rules()) {
    absl::StatusOr<RuleConfig> config = MakeRule({saved.fields().begin(), saved.fields().end()}, config_.ports);
    if (config.ok()) {
      before.push_back({*std::move(config), saved.id(), saved.hits(), false});
    }
  }
  next_rule_id_ = std::max(1U, state_.next_rule_id());
  google::protobuf::RepeatedPtrField<SavedRule> file;
  Save(config_.rules, file);
  const auto same = [](const SavedRule& a, const SavedRule& b) {
    return RuleFields(a.fields().begin(), a.fields().end()) == RuleFields(b.fields().begin(), b.fields().end());
  };
  const bool file_is_the_same =
      state_.next_rule_id() != 0 &&
      std::equal(file.begin(), file.end(), state_.rules_of_file().begin(), state_.rules_of_file().end(), same);
  if (file_is_the_same && before.size() == static_cast<size_t>(state_.rules_size())) {
    config_.rules = ConfigsOf(before);
  }
  *state_.mutable_rules_of_file() = file;
  rules_ = MakeActive(config_.rules, before, next_rule_id_);
  return AdoptBlocklist();
}

absl::Status Instance::ReplaceRules(std::vector<RuleConfig> rules) {
  google::protobuf::RepeatedPtrField<SavedRule> file;
  Save(rules, file);
  absl::Status s = ChangeRules(std::move(rules));
  if (s.ok()) {
    *state_.mutable_rules_of_file() = file;
    SaveState();
  }
  return s;
}

absl::Status Instance::ChangeRules(std::vector<RuleConfig> rules) {
  std::vector<ActiveRule> wanted = MakeActive(rules, rules_, next_rule_id_);
  for (size_t changed = 0; changed < ports_.size(); ++changed) {
    const absl::Status s = ports_[changed].SetRules(wanted);
    if (s.ok()) {
      continue;
    }
    for (size_t port = 0; port < changed; ++port) {
      if (absl::Status undone = ports_[port].SetRules(rules_); !undone.ok()) {
        spdlog::error("putting the rules back: {}", std::string(undone.message()));
      }
    }
    return s;
  }
  rules_ = std::move(wanted);
  config_.rules = std::move(rules);
  RulesAreCounting();
  SaveState();
  return absl::OkStatus();
}

void Instance::RulesAreCounting() {
  for (ActiveRule& rule : rules_) {
    rule.fresh = false;
  }
}

void Instance::SaveRules() {
  Save(config_.rules, *state_.mutable_rules());
  for (size_t r = 0; r < rules_.size(); ++r) {
    SavedRule& saved = *state_.mutable_rules(static_cast<int>(r));
    saved.set_id(rules_[r].id);
    saved.set_hits(rules_[r].hits);
  }
  state_.set_next_rule_id(next_rule_id_);
  state_.set_blocked_prefixes(blocklist_.has_value() ? blocklist_->size() : 0);
}

// The list outlives an agent in the ports' maps.
absl::Status Instance::AdoptBlocklist() {
  for (const AgentPort& port : ports_) {
    absl::StatusOr<UniqueFd> trie = port.maps().OpenBlocklist();
    if (!trie.ok()) {
      return OnPort(port.netdev(), trie.status());
    }
    if (*trie && !blocklist_.has_value()) {
      blocklist_.emplace(*std::move(trie), state_.blocked_prefixes());
    }
  }
  return PutBlocklist(blocklist_);
}

absl::Status Instance::PutBlocklist(const std::optional<Blocklist>& list) {
  for (AgentPort& port : ports_) {
    if (absl::Status s = port.SetBlocklist(list.has_value() ? list->fd() : -1); !s.ok()) {
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status Instance::ReplaceBlocklist(std::vector<sluice_prefix> prefixes) {
  std::optional<Blocklist> wanted;
  if (!prefixes.empty()) {
    absl::StatusOr<Blocklist> made = Blocklist::Make(std::move(prefixes));
    if (!made.ok()) {
      return made.status();
    }
    wanted = *std::move(made);
  }
  if (absl::Status s = PutBlocklist(wanted); !s.ok()) {
    if (absl::Status undone = PutBlocklist(blocklist_); !undone.ok()) {
      spdlog::error("putting the blocklist back: {}", std::string(undone.message()));
    }
    return s;
  }
  blocklist_ = std::move(wanted);
  SaveState();
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Instance::Block(const std::vector<sluice_prefix>& prefixes) {
  if (!blocklist_.has_value()) {
    if (absl::Status s = ReplaceBlocklist(prefixes); !s.ok()) {
      return s;
    }
    return blocklist_.has_value() ? blocklist_->size() : 0;
  }
  absl::StatusOr<uint64_t> added = blocklist_->Add(prefixes);
  SaveState();
  return added;
}

absl::StatusOr<uint64_t> Instance::Unblock(const std::vector<sluice_prefix>& prefixes) {
  if (!blocklist_.has_value()) {
    return 0;
  }
  absl::StatusOr<uint64_t> removed = blocklist_->Remove(prefixes);
  SaveState();
  return removed;
}

}  // namespace sluice
