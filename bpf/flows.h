// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Offloaded flows: XDP rewrites and sends their packets without asking the dataplane (the entries: sluice_abi.h).
//
// Order. The dataplane offloads a flow while some of its packets are still passing through userspace; packets that
// XDP sends must not overtake those. So an entry starts PENDING: XDP still delivers the flow's packets to the
// dataplane and notes the sequence number of the last one. The dataplane publishes the number up to which every packet
// of the queue has been sent and completed. The first packet that finds the flow's last number covered turns the entry
// OFFLOADED, and XDP sends it and all later ones. Numbers are per queue, as the receive rings are
// (sluice_queue_credit): a flow that changes its queue is delivered to the dataplane on the new queue first.
//
// Trust. The dataplane writes the entries, and it may have been taken over. So an entry alone sends nothing: the first
// packet that finds it is classified like any other, and only when it is the dataplane's by rules, blocklist and the
// guest's addresses, XDP notes the flow as trusted, where the dataplane cannot write. What decides is in the flow's
// key, or asked before (the MAC address), so later packets need not be classified; and every change of rules, blocklist
// or addresses comes with a new epoch, and new secrets. The rest of an entry can do no more than the dataplane could
// with the packet in its hands: change it, and send it out of one of its ports.
//
// In the other direction, when the entries of an epoch are withdrawn, the packets that XDP sent must be out before the
// dataplane sends: lanes are held back until the polls that began earlier have ended (dataplane/process/fence.h). An
// idle entry becomes LEAVING, and leaves only if no packet comes until the dataplane's next look, which a grace period
// precedes (dataplane/offload/flow_table.h).
#ifndef SLUICE_BPF_FLOWS_H_
#define SLUICE_BPF_FLOWS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/count.h"
#include "bpf/credit.h"
#include "bpf/flow_key.h"
#include "bpf/flow_rewrite.h"
#include "bpf/maps.h"
#include "bpf/packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_FLOW_BUCKETS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct sluice_flow_bucket);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_FLOW_BUCKETS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct sluice_detail_bucket);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_details SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_FLOW_BUCKETS);
  __type(key, __u32);
  __type(value, struct sluice_trusted_bucket);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_trusted SEC(".maps");

// An entry and its place in the table. `flow` is NULL when the packet's flow has no entry.
struct flow_entry {
  struct sluice_flow* flow;
  __u32 bucket;
  __u32 way;
  __u64 tag;  // of the packet's key
};

static __always_inline bool same_key(const struct sluice_flow_key* a, const struct sluice_flow_key* b) {
  const __u64* x = (const __u64*)a;
  const __u64* y = (const __u64*)b;
  return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4];
}

// Returns a number that tells keys apart for whoever does not know the secrets: two chosen keys have one tag with a
// chance of 2^-32 (UMAC's NH, RFC 4418 section 5.2.2). Never 0.
static __always_inline __u64 tag_of(const struct sluice_config* config, const struct sluice_flow_key* key) {
  _Static_assert(sizeof(*key) == SLUICE_FLOW_SECRET_WORDS * sizeof(__u32), "a secret for each word");
  const __u32* words = (const __u32*)key;
  __u64 tag = 0;
#pragma unroll
  for (int i = 0; i < SLUICE_FLOW_SECRET_WORDS; i += 2) {
    __u32 left = words[i] + config->flow_secret[i];
    __u32 right = words[i + 1] + config->flow_secret[i + 1];
    tag += (__u64)left * right;
  }
  return tag ? tag : 1;
}

static __always_inline struct flow_entry find_entry(const struct sluice_config* config,
                                                    const struct sluice_flow_key* key) {
  struct flow_entry entry = {};
  __u32 hash = sluice_flow_hash(key);
#pragma unroll
  for (int probe = 0; probe < SLUICE_FLOW_PROBES; probe++) {
    __u32 index = (hash + probe) & (config->flow_buckets - 1);
    struct sluice_flow_bucket* bucket = bpf_map_lookup_elem(&sluice_flows, &index);
    if (!bucket) {
      return entry;
    }
#pragma unroll
    for (int way = 0; way < SLUICE_FLOW_WAYS; way++) {
      struct sluice_flow* flow = &bucket->flows[way];
      __u32 state = READ_ONCE(flow->state);
      if (state >= SLUICE_FLOW_PENDING && state <= SLUICE_FLOW_LEAVING && flow->epoch == config->flow_epoch &&
          same_key(&flow->key, key)) {
        entry.flow = flow;
        entry.bucket = index;
        entry.way = way;
        entry.tag = tag_of(config, key);
        return entry;
      }
    }
  }
  return entry;
}

static __always_inline struct sluice_flow_detail* detail_of(const struct flow_entry* entry) {
  __u32 index = entry->bucket;
  struct sluice_detail_bucket* bucket = bpf_map_lookup_elem(&sluice_details, &index);
  return bucket ? &bucket->details[entry->way & (SLUICE_FLOW_WAYS - 1)] : NULL;
}

// Returns true when every packet of the flow that was delivered on this queue has left the dataplane, and false if
// there was none.
static __always_inline bool all_completed(const struct flow_entry* entry, __u32 queue) {
  const struct sluice_flow_detail* detail = detail_of(entry);
  const struct sluice_queue_credit* credit = bpf_map_lookup_elem(&sluice_credit, &queue);
  return detail && credit && detail->last_queue == queue + 1 &&
         (__s32)(READ_ONCE(credit->completed) - detail->last_delivered) >= 0;
}

static __always_inline bool is_trusted(const struct flow_entry* entry) {
  __u32 index = entry->bucket;
  const struct sluice_trusted_bucket* bucket = bpf_map_lookup_elem(&sluice_trusted, &index);
  return bucket && bucket->tags[entry->way & (SLUICE_FLOW_WAYS - 1)] == entry->tag;
}

static __always_inline void trust(const struct flow_entry* entry) {
  __u32 index = entry->bucket;
  struct sluice_trusted_bucket* bucket = bpf_map_lookup_elem(&sluice_trusted, &index);
  if (bucket) {
    bucket->tags[entry->way & (SLUICE_FLOW_WAYS - 1)] = entry->tag;
  }
}

// Returns true when XDP is to send this packet, if its flow is trusted. Moves a LEAVING entry, or a PENDING one with
// nothing left in the dataplane, to OFFLOADED.
static __always_inline bool try_offload(const struct flow_entry* entry, __u32 queue) {
  struct sluice_flow* flow = entry->flow;
  __u32 state = READ_ONCE(flow->state);
  if (state == SLUICE_FLOW_OFFLOADED) {
    return true;
  }
  if (state == SLUICE_FLOW_LEAVING) {
    __u32 was = __sync_val_compare_and_swap(&flow->state, SLUICE_FLOW_LEAVING, SLUICE_FLOW_OFFLOADED);
    return was == SLUICE_FLOW_LEAVING || was == SLUICE_FLOW_OFFLOADED;
  }
  return state == SLUICE_FLOW_PENDING && all_completed(entry, queue) &&
         __sync_val_compare_and_swap(&flow->state, SLUICE_FLOW_PENDING, SLUICE_FLOW_OFFLOADED) == SLUICE_FLOW_PENDING;
}

// Notes that a packet of the flow was delivered to the queue's socket as sequence number `number`.
static __always_inline void note_delivered(const struct flow_entry* entry, __u32 queue, __u32 number) {
  struct sluice_flow_detail* detail = detail_of(entry);
  if (detail) {
    detail->last_delivered = number;
    detail->last_queue = queue + 1;
  }
}

// Returns true when the packet is to be dropped so that its PENDING flow drains: under overload it never would, and
// packets are being dropped anyway. It ends when the flow's last packet is completed.
static __always_inline bool must_drain(const struct flow_entry* entry, __u32 queue) {
  const struct sluice_queue_credit* credit = bpf_map_lookup_elem(&sluice_credit, &queue);
  if (!credit || !READ_ONCE(credit->overflowing) || READ_ONCE(entry->flow->state) != SLUICE_FLOW_PENDING) {
    return false;
  }
  const struct sluice_flow_detail* detail = detail_of(entry);
  return detail && detail->last_queue == queue + 1;
}

// Finds the packet's entry, PENDING or offloaded.
static __always_inline struct flow_entry find_flow(struct xdp_md* ctx, const struct sluice_config* config,
                                                   __u32 length) {
  const __u8* data = (const __u8*)(long)ctx->data;
  const __u8* end = (const __u8*)(long)ctx->data_end;
  struct sluice_flow_key key;
  if (!sluice_flow_key_of(data, end, length, &key) ||
      ((config->flags & SLUICE_CONFIG_OWN_MAC_ONLY) && !is_own_mac(data, config))) {
    return (struct flow_entry){};
  }
  return find_entry(config, &key);
}

static __always_inline bool rewrite_packet(struct xdp_md* ctx, const struct flow_entry* entry) {
  if (!(entry->flow->changes & ~SLUICE_FLOW_SWAP_MACS)) {
    return !entry->flow->changes || swap_macs(ctx);
  }
  const struct sluice_flow_detail* detail = detail_of(entry);
  return detail && rewrite(ctx, &detail->action, entry->flow->key.family);
}

// Rewrites the packet, counts it and sends it on. Returns XDP_ABORTED, with the packet as it was, when the dataplane
// has to handle it.
static __always_inline int transmit_offloaded(struct xdp_md* ctx, const struct sluice_config* config,
                                              const struct flow_entry* entry, struct amount frame) {
  struct sluice_flow* flow = entry->flow;
  _Static_assert((SLUICE_MAX_PORTS & (SLUICE_MAX_PORTS - 1)) == 0, "the mask takes every port");
  // Masked: kernel 6.1's verifier forgets a comparison where clang spills the number.
  __u32 out_port = flow->out_port & (SLUICE_MAX_PORTS - 1);
  __u32 ifindex = config->ifindex[out_port];
  if (!ifindex || !rewrite_packet(ctx, entry)) {
    return XDP_ABORTED;
  }
  // A flow's packets come by one queue at a time, whose polls do not run side by side.
  flow->packets += (__u32)frame.packets;
  flow->bytes += frame.bytes;
  count_verdict(ctx->rx_queue_index, SLUICE_VERDICT_OFFLOADED, frame);
  return out_port == config->port ? XDP_TX : bpf_redirect(ifindex, 0);
}

#endif  // SLUICE_BPF_FLOWS_H_
