// The steering rules and the blocklist of a running Instance.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
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

RuleFields FieldsOf(const SavedRule& rule) {
  return {rule.fields().begin(), rule.fields().end()};
}

}  // namespace

// What the file says is in force, unless an agent that died had other rules than the same file: those go on.
absl::Status Instance::MakeRules() {
  std::vector<ActiveRule> before;
  for (const SavedRule& saved : state_.rules()) {
    absl::StatusOr<RuleConfig> config = MakeRule(FieldsOf(saved), PortNames(config_.ports));
    if (config.ok()) {
      before.push_back({*std::move(config), saved.id(), saved.hits(), false});
    } else {
      spdlog::warn("rule {} of the agent before is dropped: {}", saved.id(), std::string(config.status().message()));
    }
  }
  next_rule_id_ = std::max(1U, state_.next_rule_id());
  google::protobuf::RepeatedPtrField<SavedRule> file;
  Save(config_.rules, file);
  const auto same = [](const SavedRule& a, const SavedRule& b) { return FieldsOf(a) == FieldsOf(b); };
  const bool took_over = state_.next_rule_id() != 0;
  if (took_over &&
      std::equal(file.begin(), file.end(), state_.rules_of_file().begin(), state_.rules_of_file().end(), same)) {
    config_.rules = ConfigsOf(before);
  } else if (took_over) {
    spdlog::warn("the configuration's rules are others than when the agent before started: they are in force now");
  }
  *state_.mutable_rules_of_file() = file;
  if (absl::Status s = PutRules(MakeActive(config_.rules, before, next_rule_id_)); !s.ok()) {
    return s;
  }
  return took_over ? AdoptBlocklist() : PutBlocklist(std::nullopt);
}

// On all ports or on none: what may fail comes before the first flip, and a flip is one write to an array.
absl::Status Instance::PutRules(std::vector<ActiveRule> rules) {
  if (absl::Status s = rcu_->Wait(); !s.ok()) {
    return s;
  }
  for (AgentPort& port : ports_) {
    if (absl::Status s = port.FillIdleRules(rules); !s.ok()) {
      return s;
    }
  }
  if (absl::Status s = Withdrawing([this] { return FlipRules(); }); !s.ok()) {
    return s;
  }
  rules_ = std::move(rules);
  for (ActiveRule& rule : rules_) {
    rule.fresh = false;
  }
  return absl::OkStatus();
}

absl::Status Instance::FlipRules() {
  for (size_t flipped = 0; flipped < ports_.size(); ++flipped) {
    absl::Status s = ports_[flipped].FlipRules();
    if (s.ok()) {
      continue;
    }
    for (size_t port = 0; port < flipped; ++port) {
      if (absl::Status undone = ports_[port].FlipRules(); !undone.ok()) {
        s = absl::Status(s.code(), absl::StrCat(s.message(), "; and putting the rules back: ", undone.message()));
      }
    }
    return s;
  }
  return absl::OkStatus();
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
  if (absl::Status s = PutRules(MakeActive(rules, rules_, next_rule_id_)); !s.ok()) {
    return s;
  }
  config_.rules = std::move(rules);
  SaveState();
  return absl::OkStatus();
}

void Instance::SaveRules() {
  Save(config_.rules, *state_.mutable_rules());
  for (size_t r = 0; r < rules_.size(); ++r) {
    SavedRule& saved = *state_.mutable_rules(static_cast<int>(r));
    saved.set_id(rules_[r].id);
    saved.set_hits(rules_[r].hits);
  }
  state_.set_next_rule_id(next_rule_id_);
}

// The list outlives an agent in the ports' maps.
absl::Status Instance::AdoptBlocklist() {
  for (const AgentPort& port : ports_) {
    absl::StatusOr<UniqueFd> trie = port.maps().OpenBlocklist();
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

absl::Status Instance::PutBlocklist(const std::optional<Blocklist>& list) {
  return Withdrawing([&] {
    absl::Status s;
    for (size_t port = 0; s.ok() && port < ports_.size(); ++port) {
      s = ports_[port].SetBlocklist(list.has_value() ? list->fd() : -1);
    }
    return s;
  });
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
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Instance::Block(const std::vector<sluice_prefix>& prefixes) {
  if (!blocklist_.has_value()) {
    if (absl::Status s = ReplaceBlocklist(prefixes); !s.ok()) {
      return s;
    }
    return blocklist_.has_value() ? blocklist_->size() : 0;
  }
  absl::StatusOr<uint64_t> added;
  absl::Status s = Withdrawing([&] { return (added = blocklist_->Add(prefixes)).status(); });
  return s.ok() ? added : s;
}

absl::StatusOr<uint64_t> Instance::Unblock(const std::vector<sluice_prefix>& prefixes) {
  if (!blocklist_.has_value()) {
    return 0;
  }
  absl::StatusOr<uint64_t> removed;
  absl::Status s = Withdrawing([&] { return (removed = blocklist_->Remove(prefixes)).status(); });
  return s.ok() ? removed : s;
}

}  // namespace sluice
