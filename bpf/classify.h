// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Decides whether a packet goes to the dataplane, to the kernel, to both, or nowhere. The same code runs in XDP and in
// clsact, so a packet gets the same answer in both; each hook acts on it in its own way. The first line that holds
// decides:
//
//   1. the source is on the blocklist, and not on the allow-list                DROP
//   2. a rule of the active bank matches (the first one that does)              its action, or DROP: see below
//   3. OWN_MAC_ONLY, and the packet is ARP or ND, or not for the port's MAC     PASS
//   4. the destination, or the address that ARP or ND asks for, is the guest's  PASS: ssh and BGP survive the attach
//   5. ARP, ND or an answer of a DHCP server, for the port's MAC                PASS: the guest may have no address yet
//   6. without OWN_MAC_ONLY: a group that the guest joined on the port, an
//      answer of a DHCP server to it, or an ARP announcement                    BOTH: the guest is one host of several
//   7. otherwise                                                                DATAPLANE
//
// XDP cannot copy a packet, so it leaves those for both to clsact. XDP never trusts the flow of such a packet
// (flows.h), so all of the flow's packets go this way, and stay in order.
//
// A field that could not be read (packet.h, `unread`) is no reason to take a packet for one without it:
//
//   - There is a blocklist, and the source is unread: DROP, counted as UNREADABLE.
//   - The first rule that matches, or may match, names an unread field: DROP, counted as UNREADABLE.
//   - The same in a later fragment, whose unread fields the first fragment has. There only rules that drop count: the
//     others decide about the first fragment, and no fragment is of use without it. DROP, counted as FRAGMENT.
//
// Where no list and no rule asks for the field, the packet goes the way of all others.
#ifndef SLUICE_BPF_CLASSIFY_H_
#define SLUICE_BPF_CLASSIFY_H_

#include <bpf/bpf_endian.h>

#include "bpf/header_numbers.h"
#include "bpf/maps.h"
#include "bpf/packet.h"
#include "bpf/rules.h"

// An index beyond the map: count_rule() ignores it.
#define NO_HITS SLUICE_RULE_HITS

struct decision {
  __u32 action;   // enum sluice_action
  __u32 hits;     // the deciding rule's index into sluice_rulehits, or NO_HITS
  __u32 verdict;  // enum sluice_verdict of the action DROP
};

static __always_inline struct decision dropped_as(enum sluice_verdict verdict) {
  return (struct decision){.action = SLUICE_ACTION_DROP, .hits = NO_HITS, .verdict = verdict};
}

static __always_inline bool has_source_in(void* prefixes, const struct packet* packet) {
  if (!packet->src.family) {
    return false;
  }
  struct sluice_prefix key = {
      .prefixlen = SLUICE_PREFIX_TABLE_BITS + (packet->src.family == 4 ? 32 : 128),
      .table = SLUICE_PREFIX_TABLE(packet->src.family, 0, 0),
  };
  __builtin_memcpy(key.addr_be, packet->src.addr_be, sizeof(key.addr_be));
  return bpf_map_lookup_elem(prefixes, &key) != NULL;
}

// The allow-list goes first, but is looked at last: only packets of blocked sources cost a second look-up.
static __always_inline bool is_allowed(const struct packet* packet) {
  __u32 allow = SLUICE_LIST_ALLOW;
  void* allowed = bpf_map_lookup_elem(&sluice_blocked, &allow);
  return allowed && has_source_in(allowed, packet);
}

// Returns what the address is to the guest: enum sluice_local, or 0.
static __always_inline __u8 local_kind(const struct sluice_address* address) {
  const __u8* kind = address->family ? bpf_map_lookup_elem(&sluice_locals, address) : NULL;
  return kind ? *kind : 0;
}

// Announcements are ARP's word to all hosts (RFC 5227 section 2.3), of which the guest is one if it is in their group.
static __always_inline bool hears_announcements(void) {
  __be32 group = bpf_htonl(SLUICE_GROUP_ALL_HOSTS);
  barrier_var(group);  // or clang puts the whole key into .rodata, which is to have the ABI's version alone (config.h)
  struct sluice_address all_hosts = {.addr_be = {group}, .family = 4};
  return local_kind(&all_hosts) == SLUICE_LOCAL_GROUP;
}

// The decision about a packet that no list and no rule is about.
static __always_inline enum sluice_action default_action(const struct sluice_config* config,
                                                         const struct packet* packet) {
  bool own_mac_only = config->flags & SLUICE_CONFIG_OWN_MAC_ONLY;
  bool to_own_mac = is_own_mac(packet->dst_mac, config);
  if (own_mac_only && (packet->neighbour || !to_own_mac)) {
    return SLUICE_ACTION_PASS;
  }
  __u8 destination = local_kind(&packet->dst);
  if (destination == SLUICE_LOCAL_ADDRESS || local_kind(&packet->asked_for) == SLUICE_LOCAL_ADDRESS) {
    return SLUICE_ACTION_PASS;
  }
  if (to_own_mac && (packet->neighbour || packet->dhcp_answer)) {
    return SLUICE_ACTION_PASS;
  }
  if (own_mac_only) {
    return SLUICE_ACTION_DATAPLANE;
  }
  bool for_both = destination == SLUICE_LOCAL_GROUP ||
                  (packet->dhcp_answer && is_own_mac(packet->dhcp_client_mac, config)) ||
                  (packet->announcement && hears_announcements());
  return for_both ? SLUICE_ACTION_BOTH : SLUICE_ACTION_DATAPLANE;
}

static __always_inline struct decision classify(const struct sluice_config* config, const struct packet* packet) {
  struct decision decision = {.action = SLUICE_ACTION_DATAPLANE, .hits = NO_HITS, .verdict = SLUICE_VERDICT_DROP};
  __u32 block = SLUICE_LIST_BLOCK;
  void* blocked = bpf_map_lookup_elem(&sluice_blocked, &block);
  if (blocked) {
    if (packet->unread & SLUICE_MATCH_SRC) {
      return dropped_as(SLUICE_VERDICT_UNREADABLE);
    }
    if (has_source_in(blocked, packet) && !is_allowed(packet)) {
      return dropped_as(SLUICE_VERDICT_BLOCKED);
    }
  }
  __u32 bank = config->rule_bank;
  __u32 number = sluice_find_rule(packet, bank);
  if (number < SLUICE_MAX_RULES) {
    __u32 index = bank * SLUICE_MAX_RULES + number;
    const struct sluice_rule* rule = bpf_map_lookup_elem(&sluice_rules, &index);
    if (rule) {
      __u32 unread = rule->fields & packet->unread;
      if (unread) {
        return dropped_as(unread & ~fields_elsewhere(packet) ? SLUICE_VERDICT_UNREADABLE : SLUICE_VERDICT_FRAGMENT);
      }
      decision.action = rule->action;
      decision.hits = rule->hits;
      return decision;
    }
  }
  decision.action = default_action(config, packet);
  return decision;
}

#endif  // SLUICE_BPF_CLASSIFY_H_
