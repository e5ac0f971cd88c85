#include "control/rules/rule_tables.h"

#include <array>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// The values of a number field that a rule accepts; both ends are included.
struct Range {
  uint32_t first = 0;
  uint32_t last = 0;
};

constexpr uint32_t kNumberFields[] = {SLUICE_FIELD_ETHERTYPE, SLUICE_FIELD_VLAN,     SLUICE_FIELD_PROTO,
                                      SLUICE_FIELD_SRC_PORT,  SLUICE_FIELD_DST_PORT, SLUICE_FIELD_FRAGMENT};

Range RangeOf(const RuleConfig& rule, uint32_t field) {
  switch (field) {
    case SLUICE_FIELD_ETHERTYPE:
      return {rule.ethertype, rule.ethertype};
    case SLUICE_FIELD_VLAN:
      return {rule.vlan, rule.vlan};
    case SLUICE_FIELD_PROTO:
      return {rule.proto, rule.proto};
    case SLUICE_FIELD_SRC_PORT:
      return {rule.src_port_first, rule.src_port_last};
    case SLUICE_FIELD_FRAGMENT:
      return {rule.fragment_first, rule.fragment_last};
    default:
      return {rule.dst_port_first, rule.dst_port_last};
  }
}

const Prefix& PrefixOf(const RuleConfig& rule, uint32_t field) {
  return field == SLUICE_FIELD_SRC ? rule.src : rule.dst;
}

void Insert(sluice_rule_set& set, size_t rule) {
  set.words[rule / 64] |= uint64_t{1} << (rule % 64);
  set.words_used |= uint64_t{1} << (rule / 64);
}

bool Names(const RuleConfig& rule, uint32_t field) {
  return (rule.match & (1U << field)) != 0;
}

class Maker {
 public:
  explicit Maker(absl::Span<const ActiveRule> rules) : rules_(rules) {}

  RuleTables Make() {
    for (const ActiveRule& rule : rules_) {
      tables_.bank.fields |= rule.config.match;
      tables_.rules.push_back({rule.config.action, rule.hits, rule.config.match});
      if (rule.fresh) {
        tables_.fresh_hits.push_back(rule.hits);
      }
    }
    tables_.bank.rules = static_cast<uint32_t>(rules_.size());
    tables_.bank.all_set = IdOf(SetOf([](const RuleConfig& /*rule*/) { return true; }));
    for (uint32_t field = 0; field < SLUICE_FIELD_COUNT; ++field) {
      const auto ignores = [field](const RuleConfig& rule) { return !Names(rule, field); };
      tables_.bank.absent_set[field] = IdOf(SetOf(ignores));
      tables_.bank.elsewhere_set[field] =
          IdOf(SetOf([&](const RuleConfig& rule) { return ignores(rule) || rule.action == SLUICE_ACTION_DROP; }));
    }
    for (const uint32_t field : kNumberFields) {
      if ((tables_.bank.fields & (1U << field)) != 0) {
        MakeValues(field);
      }
    }
    for (const uint32_t field : {SLUICE_FIELD_SRC, SLUICE_FIELD_DST}) {
      MakePrefixes(field);
    }
    return std::move(tables_);
  }

 private:
  template <typename Predicate>
  sluice_rule_set SetOf(const Predicate& has) const {
    sluice_rule_set set{};
    for (size_t r = 0; r < rules_.size(); ++r) {
      if (has(rules_[r].config)) {
        Insert(set, r);
      }
    }
    return set;
  }

  uint16_t IdOf(const sluice_rule_set& set) {
    std::array<uint64_t, SLUICE_RULE_WORDS> words;
    std::memcpy(words.data(), set.words, sizeof(set.words));
    const auto [known, fresh] = ids_.emplace(words, static_cast<uint16_t>(tables_.sets.size()));
    if (fresh) {
      tables_.sets.push_back(set);
    }
    return known->second;
  }

  // A rule's range begins, or has just ended, at an edge. All values between two edges have the same set.
  void MakeValues(uint32_t field) {
    tables_.values.resize(SLUICE_FIELD_VALUES);
    std::set<uint32_t> edges = {0, SLUICE_FIELD_VALUES};
    for (const ActiveRule& rule : rules_) {
      if (Names(rule.config, field)) {
        const Range range = RangeOf(rule.config, field);
        edges.insert({range.first, range.last + 1});
      }
    }
    for (auto edge = edges.begin(); *edge != SLUICE_FIELD_VALUES; ++edge) {
      const uint16_t id = IdOf(SetOf([&](const RuleConfig& rule) {
        const Range range = RangeOf(rule, field);
        return !Names(rule, field) || (range.first <= *edge && *edge <= range.last);
      }));
      for (uint32_t value = *edge; value < *std::next(edge); ++value) {
        tables_.values[value].set[field] = id;
      }
    }
  }

  void MakePrefixes(uint32_t field) {
    std::set<Prefix> prefixes;
    for (const ActiveRule& rule : rules_) {
      if (Names(rule.config, field)) {
        prefixes.insert(PrefixOf(rule.config, field));
      }
    }
    for (const Prefix& prefix : prefixes) {
      const uint16_t id = IdOf(SetOf(
          [&](const RuleConfig& rule) { return !Names(rule, field) || Contains(PrefixOf(rule, field), prefix); }));
      tables_.prefixes.emplace_back(TrieKey(prefix, field, 0), id);
    }
  }

  absl::Span<const ActiveRule> rules_;
  RuleTables tables_;
  std::map<std::array<uint64_t, SLUICE_RULE_WORDS>, uint16_t> ids_;
};

}  // namespace

absl::StatusOr<RuleTables> MakeRuleTables(absl::Span<const ActiveRule> rules) {
  if (rules.size() > SLUICE_MAX_RULES) {
    return absl::InvalidArgumentError(absl::StrCat(rules.size(), " rules; a port can have ", SLUICE_MAX_RULES));
  }
  return Maker(rules).Make();
}

sluice_prefix InBank(sluice_prefix prefix, uint32_t bank) {
  prefix.table |= SLUICE_PREFIX_TABLE(0, 0, bank);
  return prefix;
}

}  // namespace sluice
