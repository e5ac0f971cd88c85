// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Decides whether a packet goes to the dataplane, to the kernel, or nowhere. The same code runs in XDP and in clsact,
// so a packet gets the same answer in both; each hook acts on it in its own way. The first line that holds decides:
//
//   1. the source is on the blocklist                                           DROP
//   2. a rule of the active bank matches (the first one that does)              its action
//   3. OWN_MAC_ONLY, and the packet is ARP or ND, or not for the port's MAC     PASS
//   4. the destination, or the address that ARP or ND asks for, is the guest's  PASS: ssh and BGP survive the attach
//   5. otherwise                                                                DATAPLANE
#ifndef SLUICE_BPF_CLASSIFY_H_
#define SLUICE_BPF_CLASSIFY_H_

#include "bpf/maps.h"
#include "bpf/packet.h"
#include "bpf/rules.h"

// An index beyond the map: count_rule() ignores it.
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
