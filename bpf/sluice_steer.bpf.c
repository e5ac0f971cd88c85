// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The XDP program of a port: sends the packets of offloaded flows (flows.h), gives others to the queue's AF_XDP socket
// or leaves them to the kernel, and drops the rest. A frame for the dataplane whose queue has no socket goes on to the
// stack's entrance, where the clsact bridge (sluice_bridge.bpf.c) takes it.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

#include "bpf/classify.h"
#include "bpf/count.h"
#include "bpf/credit.h"
#include "bpf/flows.h"
#include "bpf/generic_xdp.h"
#include "bpf/maps.h"
#include "bpf/packet.h"
#include "bpf/self_test.h"
#include "bpf/tag_apart.h"

char _license[] SEC("license") = "Dual BSD/GPL";

typedef struct xdp_md frame_ctx;

// In a frame of several buffers data_end is the end of the first; bpf_xdp_get_buff_len (kernel 5.18) counts all of
// them.
static __always_inline struct frame_view view_of(frame_ctx* ctx) {
  return (struct frame_view){
      .data = (const void*)(long)ctx->data,
      .data_end = (const void*)(long)ctx->data_end,
      .length = bpf_xdp_get_buff_len(ctx),
  };
}

#include "bpf/parse.h"

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, SLUICE_MAX_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_xsks SEC(".maps");

// For libxdp's dispatcher. Programs of smaller priority run first: filters (xdp-filter has 10) and programs that keep
// the default of 50 see the frames before we take them off the wire. Later programs see the frames that we leave to the
// stack.
struct {
  __uint(priority, 60);
  __uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(sluice_steer);

static __always_inline int to_dataplane(struct xdp_md* ctx, const struct decision* decision,
                                        const struct flow_entry* entry, struct amount frame) {
  __u32 queue = ctx->rx_queue_index;
  if (entry->flow && must_drain(entry, queue)) {
    count_verdict(queue, SLUICE_VERDICT_OVERLOADED, frame);
    return XDP_DROP;
  }
  // The lower bits of the flags are what is returned if the queue has no socket
  // (__bpf_xdp_redirect_map), so one lookup both asks and redirects.
  int action = bpf_redirect_map(&sluice_xsks, queue, XDP_PASS);
  if (action != XDP_REDIRECT) {
    count_verdict(queue, SLUICE_VERDICT_NO_SOCKET, frame);
    return action;
  }
  count_rule(decision->hits, frame);
  __u32 number = 0;
  if (!take_credit(queue, &number)) {
    count_verdict(queue, SLUICE_VERDICT_OVERLOADED, frame);
    return XDP_DROP;
  }
  count_verdict(queue, SLUICE_VERDICT_DATAPLANE, frame);
  if (entry->flow) {
    note_delivered(entry, queue, number);
  }
  return action;
}

// A packet that is the dataplane's, and the first to find its flow offloaded.
static __always_inline int first_offloaded(struct xdp_md* ctx, const struct sluice_config* config,
                                           const struct decision* decision, const struct flow_entry* entry,
                                           struct amount frame) {
  trust(entry);
  int action = transmit_offloaded(ctx, config, entry, frame);
  return action != XDP_ABORTED ? action : to_dataplane(ctx, decision, entry, frame);
}

// "frags" lets it be attached to a device whose MTU takes several buffers.
SEC("xdp.frags")
int sluice_steer(struct xdp_md* ctx) {
  const struct sluice_config* config = active_config();
  if (!config) {
    return run_self_test(ctx, &sluice_xsks);
  }
  if ((config->flags & SLUICE_CONFIG_GENERIC_XDP) && has_group_source(ctx)) {
    return XDP_PASS;  // on its way from the dataplane to the kernel, or clsact's to judge (generic_xdp.h)
  }
  if (may_have_tag_apart(ctx, config)) {
    return XDP_PASS;  // clsact's to judge and to count
  }

  struct amount frame = {.packets = 1, .bytes = bpf_xdp_get_buff_len(ctx)};
  struct flow_entry entry = {};
  bool is_offloaded = false;
  if (config->flags & SLUICE_CONFIG_OFFLOAD) {
    entry = find_flow(ctx, config, frame.bytes);
    is_offloaded = entry.flow && try_offload(&entry, ctx->rx_queue_index);
    if (is_offloaded && is_trusted(&entry)) {
      int action = transmit_offloaded(ctx, config, &entry, frame);
      if (action != XDP_ABORTED) {
        return action;
      }
      is_offloaded = false;
    }
  }

  struct packet packet;
  if (parse(ctx, &packet) == PARSE_MALFORMED) {
    count_verdict(ctx->rx_queue_index, SLUICE_VERDICT_MALFORMED, frame);
    return XDP_DROP;
  }

  struct decision decision = classify(config, &packet);
  switch (decision.action) {
    case SLUICE_ACTION_DATAPLANE:
      return is_offloaded ? first_offloaded(ctx, config, &decision, &entry, frame)
                          : to_dataplane(ctx, &decision, &entry, frame);
    case SLUICE_ACTION_DROP:
      count_verdict(ctx->rx_queue_index, decision.verdict, frame);
      count_rule(decision.hits, frame);
      return XDP_DROP;
    default:
      return XDP_PASS;  // the kernel's, or for both: clsact counts it (count.h) and copies it
  }
}
