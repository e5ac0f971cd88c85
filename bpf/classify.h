// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Decides whose a packet is. The same code runs in XDP and in clsact, so a packet gets the same
// answer wherever it is asked; what the hook then does about it is the hook's.
//
//   1. the rules of the active bank, first match wins
//   2. one of the guest's own addresses is the destination, or is what ARP or ND asks for -> PASS
//      (an operator's ssh, ARP, ND and BGP survive the attach)
//   3. OWN_MAC_ONLY, and not sent to the port's MAC, or ARP or ND at all -> PASS
//   4. the dataplane's
#ifndef SLUICE_BPF_CLASSIFY_H_
#define SLUICE_BPF_CLASSIFY_H_

#include "bpf/maps.h"
#include "bpf/packet.h"

// A slot that is in no map: count_rule() ignores it.
#define NO_RULE (SLUICE_RULE_BANKS * SLUICE_MAX_RULES)

struct decision {
  __u32 action;     // enum sluice_action
  __u32 rule_slot;  // index into sluice_rules and sluice_rulehits, or NO_RULE
};

// The configuration, or NULL while no agent has activated it.
static __always_inline const struct sluice_config* active_config(void) {
  __u32 zero = 0;
  const struct sluice_config* config = bpf_map_lookup_elem(&sluice_config, &zero);
  return config && (config->flags & SLUICE_CONFIG_ACTIVE) ? config : NULL;
}

static __always_inline bool address_matches(const struct sluice_address* address, const __be32* wanted_be,
                                            const __be32* mask_be, __u8 family) {
  if (address->family != family) {
    return false;
  }
  __be32 difference = (address->addr_be[0] ^ wanted_be[0]) & mask_be[0];
  if (family == 6) {
    difference |= (address->addr_be[1] ^ wanted_be[1]) & mask_be[1];
    difference |= (address->addr_be[2] ^ wanted_be[2]) & mask_be[2];
    difference |= (address->addr_be[3] ^ wanted_be[3]) & mask_be[3];
  }
  return difference == 0;
}

static __always_inline bool rule_matches(const struct sluice_rule* rule, const struct packet* packet) {
  __u32 match = rule->match;
  // A field the packet has not got cannot match, nor can a bit this program does not know.
  if (match & ~packet->fields) {
    return false;
  }
  if ((match & SLUICE_MATCH_ETHERTYPE) && rule->ethertype_be != packet->ethertype_be) {
    return false;
  }
  if ((match & SLUICE_MATCH_VLAN) && rule->vlan != packet->vlan) {
    return false;
  }
  if ((match & SLUICE_MATCH_PROTO) && rule->proto != packet->proto) {
    return false;
  }
  if ((match & SLUICE_MATCH_SRC_PORT) &&
      (packet->src_port < rule->src_port_first || packet->src_port > rule->src_port_last)) {
    return false;
  }
  if ((match & SLUICE_MATCH_DST_PORT) &&
      (packet->dst_port < rule->dst_port_first || packet->dst_port > rule->dst_port_last)) {
    return false;
  }
  if ((match & SLUICE_MATCH_SRC) && !address_matches(&packet->src, rule->src_be, rule->src_mask_be, rule->family)) {
    return false;
  }
  if ((match & SLUICE_MATCH_DST) && !address_matches(&packet->dst, rule->dst_be, rule->dst_mask_be, rule->family)) {
    return false;
  }
  return true;
}

// The slot of the first rule that matches, or NO_RULE. A global function: the verifier proves the
// walk once, for any packet, and not again for each way through the parser.
__noinline __u32 sluice_find_rule(const struct packet* packet, __u32 bank, __u32 rule_count) {
  if (!packet || bank >= SLUICE_RULE_BANKS) {
    return NO_RULE;
  }
  for (__u32 i = 0; i < SLUICE_MAX_RULES; i++) {
    if (i >= rule_count) {
      break;
    }
    __u32 slot = bank * SLUICE_MAX_RULES + i;
    const struct sluice_rule* rule = bpf_map_lookup_elem(&sluice_rules, &slot);
    if (rule && rule_matches(rule, packet)) {
      return slot;
    }
  }
  return NO_RULE;
}

static __always_inline bool is_for_the_guest(const struct packet* packet) {
  if (packet->dst.family && bpf_map_lookup_elem(&sluice_locals, &packet->dst)) {
    return true;
  }
  return packet->asked_for.family && bpf_map_lookup_elem(&sluice_locals, &packet->asked_for);
}

static __always_inline bool is_own_mac(const struct packet* packet, const struct sluice_config* config) {
  __u8 difference = 0;
  for (int i = 0; i < 6; i++) {
    difference |= packet->dst_mac[i] ^ config->mac[i];
  }
  return difference == 0;
}

static __always_inline struct decision classify(const struct sluice_config* config, const struct packet* packet) {
  struct decision decision = {.action = SLUICE_ACTION_DATAPLANE, .rule_slot = NO_RULE};
  if (config->rule_count) {
    __u32 slot = sluice_find_rule(packet, config->rule_bank, config->rule_count);
    const struct sluice_rule* rule = bpf_map_lookup_elem(&sluice_rules, &slot);
    if (rule) {
      decision.action = rule->action;
      decision.rule_slot = slot;
      return decision;
    }
  }
  if (config->flags & SLUICE_CONFIG_OWN_MAC_ONLY) {
    if (packet->neighbour || !is_own_mac(packet, config)) {
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
