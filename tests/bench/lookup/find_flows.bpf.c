// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Looks up offloaded flows as the steering program does (bpf/flows.h), many in one run, and times that. Each program
// handles all of `keys`, and leaves in `took_ns` and `found` what it took and how many there were.
//
//   find_in_a_row    one after the other, so that the CPU begins the next ones while it waits for an entry's memory
//   find_one_by_one  each waits for the entry of the one before: of packets, which are further apart than a CPU looks
//                    ahead, it can only fetch one entry at a time
//   keys_only        the loop and the keys without a look-up: what is to be subtracted
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf/flows.h"

char _license[] SEC("license") = "Dual BSD/GPL";

// 160 kB, which a second-level cache holds beside a small table; some 100 us at least, to which reading the clock adds
// nothing.
#define KEYS 4096

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, KEYS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct sluice_flow_key);
} keys SEC(".maps");

__u64 took_ns;
__u32 found;

struct run {
  struct sluice_config config;
  __u32 found;
  __u32 zero;  // out of the entry that was found last, so that nobody but the verifier knows before it is read
};

// The key is on the stack when it is looked up, as that of a packet is.
static __always_inline int get_key(__u32 index, struct sluice_flow_key* key) {
  const struct sluice_flow_key* from = bpf_map_lookup_elem(&keys, &index);
  if (!from) {
    return 0;
  }
  *key = *from;
  asm volatile("" : : "r"(key) : "memory");
  return 1;
}

static __always_inline void find(__u32 index, struct run* run) {
  struct sluice_flow_key key;
  if (!get_key(index, &key)) {
    return;
  }
  const struct flow_entry entry = find_entry(&run->config, &key);
  if (entry.flow) {
    run->found++;
    run->zero = entry.flow->packets;  // of a flow that is not offloaded yet
  }
}

static long next_in_a_row(__u32 index, struct run* run) {
  find(index, run);
  return 0;
}

static long next_one_by_one(__u32 index, struct run* run) {
  find(index + run->zero, run);
  return 0;
}

static long next_key_only(__u32 index, struct run* run) {
  struct sluice_flow_key key;
  run->found += get_key(index, &key);
  return 0;
}

static __always_inline int for_all_keys(long (*step)(__u32 index, struct run* run)) {
  const __u32 zero = 0;
  const struct sluice_config* config = bpf_map_lookup_elem(&sluice_config, &zero);
  if (!config) {
    return XDP_ABORTED;
  }
  struct run run = {.config = *config};
  const __u64 began_ns = bpf_ktime_get_ns();
  bpf_loop(KEYS, step, &run, 0);
  took_ns = bpf_ktime_get_ns() - began_ns;
  found = run.found;
  return XDP_PASS;
}

SEC("xdp")
int find_in_a_row(struct xdp_md* ctx) {
  return for_all_keys(next_in_a_row);
}

SEC("xdp")
int find_one_by_one(struct xdp_md* ctx) {
  return for_all_keys(next_one_by_one);
}

SEC("xdp")
int keys_only(struct xdp_md* ctx) {
  return for_all_keys(next_key_only);
}
