// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Decided flows: what XDP does with their packets without asking the dataplane (the entries: sluice_abi.h).
//
// Order. A decision is made while packets of the flow are on their way through the dataplane, which those that XDP
// carries must not overtake. So an entry is PENDING until none of the flow is under way: XDP goes on giving its packets
// to the dataplane, and remembers the number of the last; the dataplane says up to which number all that came by the
// queue is sent and completed; the first packet that finds the flow's last number among those is carried, and so are
// all behind it. Numbers are per queue, as are the receive rings (sluice_queue_marks): a flow that came by another
// queue is given to the dataplane there first.
//
// The other way round, when the decisions of an epoch are withdrawn, what XDP sent before must be out before the
// dataplane sends: lanes are held back until the polls that began before have ended (dataplane/process/fence.h). An
// entry that leaves for being idle is withdrawn only when no packet came since a poll that may have carried one ended.
#ifndef SLUICE_BPF_FLOWS_H_
#define SLUICE_BPF_FLOWS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/count.h"
#include "bpf/flow_key.h"
#include "bpf/flow_rewrite.h"
#include "bpf/maps.h"
#include "bpf/marks.h"

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

// An entry, and where it is. Without an entry the packet's flow is not decided.
struct decided {
  struct sluice_flow* flow;
  __u32 bucket;
  __u32 way;
};

static __always_inline bool same_key(const struct sluice_flow_key* a, const struct sluice_flow_key* b) {
  const __u64* x = (const __u64*)a;
  const __u64* y = (const __u64*)b;
  return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4];
}

static __always_inline struct decided find_decided(const struct sluice_config* config,
                                                   const struct sluice_flow_key* key) {
  struct decided decided = {};
  __u32 hash = sluice_flow_hash(key);
#pragma unroll
  for (int probe = 0; probe < SLUICE_FLOW_PROBES; probe++) {
    __u32 index = (hash + probe) & (config->flow_buckets - 1);
    struct sluice_flow_bucket* bucket = bpf_map_lookup_elem(&sluice_flows, &index);
    if (!bucket) {
      return decided;
    }
#pragma unroll
    for (int way = 0; way < SLUICE_FLOW_WAYS; way++) {
      struct sluice_flow* flow = &bucket->flows[way];
      __u32 state = LOOK(flow->state);
      if (state >= SLUICE_FLOW_PENDING && state <= SLUICE_FLOW_LEAVING && flow->epoch == config->flow_epoch &&
          same_key(&flow->key, key)) {
        decided.flow = flow;
        decided.bucket = index;
        decided.way = way;
        return decided;
      }
    }
  }
  return decided;
}

static __always_inline struct sluice_flow_detail* detail_of(const struct decided* decided) {
  __u32 index = decided->bucket;
  struct sluice_detail_bucket* bucket = bpf_map_lookup_elem(&sluice_details, &index);
  return bucket ? &bucket->details[decided->way & (SLUICE_FLOW_WAYS - 1)] : NULL;
}

// None of the packets that were given to the dataplane is under way any more. False where none was given yet.
static __always_inline bool all_are_done(const struct decided* decided, __u32 queue) {
  const struct sluice_flow_detail* detail = detail_of(decided);
  const struct sluice_queue_marks* marks = bpf_map_lookup_elem(&sluice_marks, &queue);
  return detail && marks && detail->mark_queue == queue + 1 && (__s32)(LOOK(marks->done) - detail->mark) >= 0;
}

// Is this packet to be carried?
static __always_inline bool is_carried(const struct decided* decided, __u32 queue) {
  struct sluice_flow* flow = decided->flow;
  __u32 state = LOOK(flow->state);
  if (state == SLUICE_FLOW_CARRIED) {
    return true;
  }
  if (state == SLUICE_FLOW_LEAVING) {
    __u32 was = __sync_val_compare_and_swap(&flow->state, SLUICE_FLOW_LEAVING, SLUICE_FLOW_CARRIED);
    return was == SLUICE_FLOW_LEAVING || was == SLUICE_FLOW_CARRIED;
  }
  return state == SLUICE_FLOW_PENDING && all_are_done(decided, queue) &&
         __sync_val_compare_and_swap(&flow->state, SLUICE_FLOW_PENDING, SLUICE_FLOW_CARRIED) == SLUICE_FLOW_PENDING;
}

// A packet of it has been given to the queue's socket as the number `given`.
static __always_inline void note_given(const struct decided* decided, __u32 queue, __u32 given) {
  struct sluice_flow_detail* detail = detail_of(decided);
  if (detail) {
    detail->mark = given;
    detail->mark_queue = queue + 1;
  }
}

// A flow that brings more than the dataplane can take would never have its packets done. Where packets are lost anyway,
// it loses those that keep it from being carried, for as long as the ring takes to empty.
static __always_inline bool must_wait(const struct decided* decided, __u32 queue) {
  const struct sluice_queue_marks* marks = bpf_map_lookup_elem(&sluice_marks, &queue);
  if (!marks || !LOOK(marks->overflows) || LOOK(decided->flow->state) != SLUICE_FLOW_PENDING) {
    return false;
  }
  const struct sluice_flow_detail* detail = detail_of(decided);
  return detail && detail->mark_queue == queue + 1;
}

static __always_inline bool is_to(const __u8* mac, const struct sluice_config* config) {
  __u8 difference = 0;
  for (int i = 0; i < 6; i++) {
    difference |= mac[i] ^ config->mac[i];
  }
  return difference == 0;
}

// The packet's entry if its flow is decided: to be carried or not.
static __always_inline struct decided decided_flow(struct xdp_md* ctx, const struct sluice_config* config,
                                                   __u32 length) {
  const __u8* data = (const __u8*)(long)ctx->data;
  const __u8* end = (const __u8*)(long)ctx->data_end;
  struct sluice_flow_key key;
  if (!sluice_flow_key_of(data, end, length, &key) ||
      ((config->flags & SLUICE_CONFIG_OWN_MAC_ONLY) && !is_to(data, config))) {
    return (struct decided){};
  }
  return find_decided(config, &key);
}

static __always_inline bool change(struct xdp_md* ctx, const struct decided* decided) {
  if (!(decided->flow->changes & ~SLUICE_FLOW_SWAP_MACS)) {
    return !decided->flow->changes || swap_macs(ctx);
  }
  const struct sluice_flow_detail* detail = detail_of(decided);
  return detail && rewrite(ctx, &detail->action, decided->flow->key.family);
}

// Rewrites the packet, counts it and sends it on. XDP_ABORTED, which leaves it as it was: it is the dataplane's.
static __always_inline int carry(struct xdp_md* ctx, const struct sluice_config* config, const struct decided* decided,
                                 struct amount frame) {
  struct sluice_flow* flow = decided->flow;
  // Masked: a comparison is forgotten where clang spills the number (kernel 6.1's verifier).
  __u32 out_port = flow->out_port & (SLUICE_MAX_PORTS - 1);
  __u32 ifindex = config->ifindex[out_port];
  if (!ifindex || !change(ctx, decided)) {
    return XDP_ABORTED;
  }
  // A flow's packets come by one queue at a time, whose polls do not run side by side.
  flow->packets += (__u32)frame.packets;
  flow->bytes += frame.bytes;
  count_verdict(ctx->rx_queue_index, SLUICE_VERDICT_OFFLOADED, frame);
  return out_port == config->port ? XDP_TX : bpf_redirect(ifindex, 0);
}

#endif  // SLUICE_BPF_FLOWS_H_
