// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The maps that both hooks of a port read: XDP (sluice_steer) and clsact (sluice_bridge). Each is pinned by name, so
// the object that is loaded second into the same bpffs folder finds the first one's maps, and the agent opens the very
// same ones.
//
//   sluice_config (config.h)                        the bank and policy in force; written by the agent, read here
//   sluice_banks, sluice_rules, sluice_rulesets, sluice_values, sluice_prefixes
//                                                   the rules, see rules.h; written by the agent
//   sluice_blocked ──► tries of sources             the agent swaps the tries, or changes them
//   sluice_locals                                   written by the agent, read here
//   sluice_counters, sluice_rulehits                written here, one copy per CPU, read by the agent
#ifndef SLUICE_BPF_MAPS_H_
#define SLUICE_BPF_MAPS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/config.h"
#include "bpf/sluice_abi.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_RULE_BANKS);
  __type(key, __u32);
  __type(value, struct sluice_bank);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_banks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_RULE_BANKS* SLUICE_MAX_RULES);
  __type(key, __u32);
  __type(value, struct sluice_rule);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_rules SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_RULE_BANKS* SLUICE_MAX_RULE_SETS);
  __type(key, __u32);
  __type(value, struct sluice_rule_set);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_rulesets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_RULE_BANKS* SLUICE_FIELD_VALUES);
  __type(key, __u32);
  __type(value, struct sluice_value_sets);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_values SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, SLUICE_RULE_BANKS * 2 * SLUICE_MAX_RULES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_prefix);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_prefixes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_RULE_HITS);
  __type(key, __u32);
  __type(value, struct sluice_rule_hits);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_rulehits SEC(".maps");

// Holds a trie for each list that there is. The agent makes the tries, as large as the lists they are for.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SLUICE_LIST_PLACES);
  __type(key, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
  __array(
      values, struct {
        __uint(type, BPF_MAP_TYPE_LPM_TRIE);
        __uint(max_entries, 1);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, struct sluice_prefix);
        __type(value, __u32);
      });
} sluice_blocked SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, SLUICE_MAX_LOCAL_ADDRESSES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct sluice_address);
  __type(value, __u8);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_locals SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_MAX_QUEUES);
  __type(key, __u32);
  __type(value, struct sluice_counters);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_counters SEC(".maps");

#endif  // SLUICE_BPF_MAPS_H_
