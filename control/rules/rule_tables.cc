#include "control/rules/rule_tables.h"

#include <arpa/inet.h>

#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Values [first, last] of a number field; what a rule that names the field accepts.
struct Range {
  uint32_t first = 0;
  uint32_t last = 0;
};

constexpr uint32_t kNumberFields[] = {SLUICE_FIELD_ETHERTYPE, SLUICE_FIELD_VLAN, SLUICE_FIELD_PROTO,
                                      SLUICE_FIELD_SRC_PORT, SLUICE_FIELD_DST_PORT};

Range RangeOf(const SteeringRule& rule, uint32_t field) {
  switch (field) {
    case SLUICE_FIELD_ETHERTYPE:
      return {ntohs(rule.ethertype_be), ntohs(rule.ethertype_be)};
    case SLUICE_FIELD_VLAN:
      return {rule.vlan, rule.vlan};
    case SLUICE_FIELD_PROTO:
      return {rule.proto, rule.proto};
    case SLUICE_FIELD_SRC_PORT:
      return {rule.src_port_first, rule.src_port_last};
    default:
      return {rule.dst_port_first, rule.dst_port_last};
  }
}

// An address prefix that a rule names.
struct Prefix {
  uint32_t family = 0;
  uint32_t bits = 0;
  std::array<uint8_t, 16> address{};

  bool operator<(const Prefix& other) const {
    return std::tie(family, bits, address) < std::tie(other.family, other.bits, other.address);
  }
};

Prefix PrefixOf(const SteeringRule& rule, uint32_t field) {
  const auto& address = field == SLUICE_FIELD_SRC ? rule.src_be : rule.dst_be;
  const auto& mask = field == SLUICE_FIELD_SRC ? rule.src_mask_be : rule.dst_mask_be;
  Prefix prefix;
  prefix.family = rule.family;
  std::memcpy(prefix.address.data(), address, sizeof(address));
  for (const __be32 word : mask) {
    prefix.bits += static_cast<uint32_t>(std::popcount(word));
  }
  return prefix;
}

bool Contains(const Prefix& outer, const Prefix& inner) {
  if (outer.family != inner.family || outer.bits > inner.bits) {
    return false;
  }
  const size_t whole = outer.bits / 8;
  const uint32_t rest = outer.bits % 8;
  return std::memcmp(outer.address.data(), inner.address.data(), whole) == 0 &&
         (rest == 0 || ((outer.address[whole] ^ inner.address[whole]) >> (8 - rest)) == 0);
}

void Insert(sluice_rule_set& set, size_t rule) {
  set.words[rule / 64] |= uint64_t{1} << (rule % 64);
  set.words_used |= uint64_t{1} << (rule / 64);
}

bool Names(const SteeringRule& rule, uint32_t field) {
  return (rule.match & (1U << field)) != 0;
}

class Maker {
 public:
  explicit Maker(absl::Span<const SteeringRule> rules) : rules_(rules) {}

  RuleTables Make() {
    for (const SteeringRule& rule : rules_) {
      tables_.bank.fields |= rule.match;
      tables_.actions.push_back(rule.action);
    }
    tables_.bank.rules = static_cast<uint32_t>(rules_.size());
    for (uint32_t field = 0; field < SLUICE_FIELD_COUNT; ++field) {
      sluice_rule_set absent{};
      for (size_t r = 0; r < rules_.size(); ++r) {
        if (!Names(rules_[r], field)) {
          Insert(absent, r);
        }
      }
      tables_.bank.absent_set[field] = IdOf(absent);
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
  uint16_t IdOf(const sluice_rule_set& set) {
    std::array<uint64_t, SLUICE_RULE_WORDS> words;
    std::memcpy(words.data(), set.words, sizeof(set.words));
    const auto [known, fresh] = ids_.emplace(words, static_cast<uint16_t>(tables_.sets.size()));
    if (fresh) {
      tables_.sets.push_back(set);
    }
    return known->second;
  }

  // Between two edges, where some rule's range begins or has just ended, all values have the same set.
  void MakeValues(uint32_t field) {
    tables_.values.resize(SLUICE_FIELD_VALUES);
    std::set<uint32_t> edges = {0, SLUICE_FIELD_VALUES};
    for (const SteeringRule& rule : rules_) {
      if (Names(rule, field)) {
        const Range range = RangeOf(rule, field);
        edges.insert({range.first, range.last + 1});
      }
    }
    for (auto edge = edges.begin(); *edge != SLUICE_FIELD_VALUES; ++edge) {
      sluice_rule_set set{};
      for (size_t r = 0; r < rules_.size(); ++r) {
        const Range range = RangeOf(rules_[r], field);
        if (!Names(rules_[r], field) || (range.first <= *edge && *edge <= range.last)) {
          Insert(set, r);
        }
      }
      const uint16_t id = IdOf(set);
      for (uint32_t value = *edge; value < *std::next(edge); ++value) {
        tables_.values[value].set[field] = id;
      }
    }
  }

  void MakePrefixes(uint32_t field) {
    std::set<Prefix> prefixes;
    for (const SteeringRule& rule : rules_) {
      if (Names(rule, field)) {
        prefixes.insert(PrefixOf(rule, field));
      }
    }
    for (const Prefix& prefix : prefixes) {
      sluice_rule_set set{};
      for (size_t r = 0; r < rules_.size(); ++r) {
        if (!Names(rules_[r], field) || Contains(PrefixOf(rules_[r], field), prefix)) {
          Insert(set, r);
        }
      }
      sluice_prefix key{};
      key.prefixlen = SLUICE_PREFIX_TABLE_BITS + prefix.bits;
      key.table = SLUICE_PREFIX_TABLE(prefix.family, field, 0);
      std::memcpy(key.addr_be, prefix.address.data(), sizeof(key.addr_be));
      tables_.prefixes.emplace_back(key, IdOf(set));
    }
  }

  absl::Span<const SteeringRule> rules_;
  RuleTables tables_;
  std::map<std::array<uint64_t, SLUICE_RULE_WORDS>, uint16_t> ids_;
};

}  // namespace

absl::StatusOr<RuleTables> MakeRuleTables(absl::Span<const SteeringRule> rules) {
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
