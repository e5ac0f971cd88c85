// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Finds the first rule that matches a packet, in bounded time for up to SLUICE_MAX_RULES rules.
//
// Each field's value leads to the set of rules that it leaves possible: the rules that name this value, and the rules
// that do not name the field. The rules in all eight sets match; the lowest bit of the intersection is the first rule.
//
//   number fields  one lookup in an array by the value
//   addresses      one lookup in a trie; the longest prefix's set has the rules of all shorter ones, too
//   a field that the packet does not have: the set of rules that do not name it
//   a field that could not be read: all rules
//   a field that is in another fragment: the rules that do not name it, and those that drop
//
// The bound: 6 array and 2 trie lookups (a trie's path has at most as many nodes as the address has bits), then 8 words
// for each word of 64 rules that is used in all eight sets, at most SLUICE_RULE_WORDS.
#ifndef SLUICE_BPF_RULES_H_
#define SLUICE_BPF_RULES_H_

#include <bpf/bpf_endian.h>

#include "bpf/maps.h"
#include "bpf/packet.h"

#define NO_RULE SLUICE_MAX_RULES

// The __noinline functions are global: the verifier proves each once, for any arguments. At a call it knows only that
// some number is returned, so it does not follow the function's paths again.

__noinline __u32 sluice_set_of_value(__u32 bank, __u32 field, __u32 value) {
  __u32 index = bank * SLUICE_FIELD_VALUES + value;
  const struct sluice_value_sets* sets = bpf_map_lookup_elem(&sluice_values, &index);
  if (!sets || field >= SLUICE_FIELD_COUNT) {
    return 0;
  }
  return sets->set[field];
}

__noinline __u32 sluice_set_of_address(const struct sluice_address* address, __u32 bank, __u32 field, __u32 absent) {
  if (!address || !address->family) {
    return absent;
  }
  struct sluice_prefix key = {
      .prefixlen = SLUICE_PREFIX_TABLE_BITS + (address->family == 4 ? 32 : 128),
      .table = SLUICE_PREFIX_TABLE(address->family, field, bank),
  };
  __builtin_memcpy(key.addr_be, address->addr_be, sizeof(key.addr_be));
  const __u32* set = bpf_map_lookup_elem(&sluice_prefixes, &key);
  return set ? *set & 0xffff : absent;
}

// Returns the number of the lowest bit that is set. BPF has no instruction for it.
static __always_inline __u32 lowest_bit(__u64 word) {
  __u32 bit = 0;
  for (__u32 half = 32; half; half /= 2) {
    if (!(word & ((1ULL << half) - 1))) {
      word >>= half;
      bit += half;
    }
  }
  return bit;
}

static __always_inline const struct sluice_rule_set* rule_set(__u32 bank, __u32 id) {
  __u32 index = bank * SLUICE_MAX_RULE_SETS + id;
  return bpf_map_lookup_elem(&sluice_rulesets, &index);
}

// Returns the number of the first rule of the bank that matches, or may match: the rule names a field of
// packet->unread. NO_RULE if there is none.
__noinline __u32 sluice_find_rule(const struct packet* packet, __u32 bank) {
  if (!packet || bank >= SLUICE_RULE_BANKS) {
    return NO_RULE;
  }
  const struct sluice_bank* rules = bpf_map_lookup_elem(&sluice_banks, &bank);
  if (!rules || !rules->rules) {
    return NO_RULE;
  }
  __u32 ids[SLUICE_FIELD_COUNT];
  for (int field = 0; field < SLUICE_FIELD_COUNT; field++) {
    ids[field] = rules->absent_set[field];
  }
  __u32 unread = packet->unread & rules->fields;
  if (unread) {
    __u32 elsewhere = fields_elsewhere(packet);
    for (int field = 0; field < SLUICE_FIELD_COUNT; field++) {
      if (elsewhere >> field & 1) {
        ids[field] = rules->elsewhere_set[field];
      } else if (unread >> field & 1) {
        ids[field] = rules->all_set;
      }
    }
  }
  __u32 fields = packet->fields & rules->fields & ~unread;
  if (fields & SLUICE_MATCH_ETHERTYPE) {
    ids[SLUICE_FIELD_ETHERTYPE] = sluice_set_of_value(bank, SLUICE_FIELD_ETHERTYPE, bpf_ntohs(packet->ethertype_be));
  }
  if (fields & SLUICE_MATCH_VLAN) {
    ids[SLUICE_FIELD_VLAN] = sluice_set_of_value(bank, SLUICE_FIELD_VLAN, packet->vlan);
  }
  if (fields & SLUICE_MATCH_PROTO) {
    ids[SLUICE_FIELD_PROTO] = sluice_set_of_value(bank, SLUICE_FIELD_PROTO, packet->proto);
  }
  if (fields & SLUICE_MATCH_SRC) {
    ids[SLUICE_FIELD_SRC] =
        sluice_set_of_address(&packet->src, bank, SLUICE_FIELD_SRC, rules->absent_set[SLUICE_FIELD_SRC]);
  }
  if (fields & SLUICE_MATCH_DST) {
    ids[SLUICE_FIELD_DST] =
        sluice_set_of_address(&packet->dst, bank, SLUICE_FIELD_DST, rules->absent_set[SLUICE_FIELD_DST]);
  }
  if (fields & SLUICE_MATCH_SRC_PORT) {
    ids[SLUICE_FIELD_SRC_PORT] = sluice_set_of_value(bank, SLUICE_FIELD_SRC_PORT, packet->src_port);
  }
  if (fields & SLUICE_MATCH_DST_PORT) {
    ids[SLUICE_FIELD_DST_PORT] = sluice_set_of_value(bank, SLUICE_FIELD_DST_PORT, packet->dst_port);
  }
  if (fields & SLUICE_MATCH_FRAGMENT) {
    ids[SLUICE_FIELD_FRAGMENT] = sluice_set_of_value(bank, SLUICE_FIELD_FRAGMENT, packet->fragment);
  }

  const struct sluice_rule_set* set[SLUICE_FIELD_COUNT];
  __u64 used = ~0ULL;
#pragma unroll
  for (int field = 0; field < SLUICE_FIELD_COUNT; field++) {
    set[field] = rule_set(bank, ids[field]);
    if (!set[field]) {
      return NO_RULE;
    }
    used &= set[field]->words_used;
  }
  for (__u32 w = 0; w < SLUICE_RULE_WORDS; w++) {
    if (!(used >> w & 1)) {
      continue;
    }
    __u64 matching = set[0]->words[w] & set[1]->words[w] & set[2]->words[w] & set[3]->words[w] & set[4]->words[w] &
                     set[5]->words[w] & set[6]->words[w] & set[7]->words[w];
    if (matching) {
      return w * 64 + lowest_bit(matching);
    }
  }
  return NO_RULE;
}

#endif  // SLUICE_BPF_RULES_H_
