// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Decides whose a packet is. The same code runs in XDP and in clsact, so a packet gets the same answer in both; each
// hook acts on it in its own way.
//
//   1. its source is on the blocklist -> DROP
//   2. the rules of the active bank, first match wins
//   3. one of the guest's own addresses is the destination, or the address that ARP or ND asks for -> PASS
//      (an operator's ssh, ARP, ND and BGP survive the attach)
//   4. OWN_MAC_ONLY, and not sent to the port's MAC, or ARP or ND at all -> PASS
//   5. the dataplane's
#ifndef SLUICE_BPF_CLASSIFY_H_
#define SLUICE_BPF_CLASSIFY_H_

#include "bpf/maps.h"
#include "bpf/packet.h"
#include "bpf/rules.h"

// An index that is in no map: count_rule() ignores it.
#define NO_HITS SLUICE_RULE_HITS

struct decision {
  __u32 action;  // enum sluice_action
  __u32 hits;    // the deciding rule's index into sluice_rulehits, or NO_HITS
  bool blocked;  // the source is on the blocklist; the action is DROP
};

static __always_inline bool is_blocked(const struct packet* packet) {
  __u32 zero = 0;
  void* prefixes = bpf_map_lookup_elem(&sluice_blocked, &zero);
  if (!prefixes || !packet->src.family) {
    return false;
  }
  struct sluice_prefix key = {
      .prefixlen = SLUICE_PREFIX_TABLE_BITS + (packet->src.family == 4 ? 32 : 128),
      .table = SLUICE_PREFIX_TABLE(packet->src.family, 0, 0),
  };
  __builtin_memcpy(key.addr_be, packet->src.addr_be, sizeof(key.addr_be));
  return bpf_map_lookup_elem(prefixes, &key) != NULL;
}

static __always_inline bool is_for_the_guest(const struct packet* packet) {
  if (packet->dst.family && bpf_map_lookup_elem(&sluice_locals, &packet->dst)) {
    return true;
  }
  return packet->asked_for.family && bpf_map_lookup_elem(&sluice_locals, &packet->asked_for);
}

static __always_inline struct decision classify(const struct sluice_config* config, const struct packet* packet) {
  struct decision decision = {.action = SLUICE_ACTION_DATAPLANE, .hits = NO_HITS};
  if (is_blocked(packet)) {
    decision.action = SLUICE_ACTION_DROP;
    decision.blocked = true;
    return decision;
  }
  __u32 bank = config->rule_bank;
  __u32 number = sluice_find_rule(packet, bank);
  if (number < SLUICE_MAX_RULES) {
    __u32 index = bank * SLUICE_MAX_RULES + number;
    const struct sluice_rule* rule = bpf_map_lookup_elem(&sluice_rules, &index);
    if (rule) {
      decision.action = rule->action;
      decision.hits = rule->hits;
      return decision;
    }
  }
  if (config->flags & SLUICE_CONFIG_OWN_MAC_ONLY) {
    if (packet->neighbour || !is_own_mac(packet->dst_mac, config)) {
      decision.action = SLUICE_ACTION_PASS;
      return decision;
    }
  }
  if (is_for_the_guest(packet)) {
    decision.action = SLUICE_ACTION_PASS;
  }
  return decision;
}

#endif  // SLUICE_BPF_CLASSIFY_H_
