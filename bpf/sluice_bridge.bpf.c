// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The bridge: clsact ingress of a port, always attached. Redirects the dataplane's packets that XDP did not take (no
// program, or no socket on the queue) into the bridge's veth pair, whose far end has an AF_XDP socket
// (sluice_bridge_rx.bpf.c); the kernel stack never sees them. Counts every packet whose way ends here (count.h).
//
// Frames that the dataplane gives to the kernel come by here, too, and pass (to_kernel.h). Frames that it sends out of
// the port do not come by ingress, so no frame goes round in circles.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf/classify.h"
#include "bpf/count.h"
#include "bpf/generic_xdp.h"
#include "bpf/maps.h"
#include "bpf/packet.h"
#include "bpf/to_kernel.h"

char _license[] SEC("license") = "Dual BSD/GPL";

typedef struct __sk_buff frame_ctx;

static __always_inline struct frame_view view_of(frame_ctx* skb) {
  return (struct frame_view){
      .data = (const void*)(long)skb->data,
      .data_end = (const void*)(long)skb->data_end,
      .length = skb->len,
      .merged = skb->gso_size != 0,
      // __netif_receive_skb_core untags before clsact (skb_vlan_untag), so this is the usual place.
      .tag_in_metadata = skb->vlan_present,
      .metadata_vlan = skb->vlan_tci & SLUICE_VLAN_ID_MASK,
  };
}

#include "bpf/parse.h"

// At least the longest header that the parser reads at one place: ARP's addresses, ND's target.
#define LAST_HEADER_BYTES 32

// Returns the RX queue. skb_record_rx_queue stores it plus one; 0 is a packet that came by no queue.
static __always_inline __u32 rx_queue(const struct __sk_buff* skb) {
  return skb->queue_mapping ? skb->queue_mapping - 1 : 0;
}

// Returns the wire frames that this skb stands for: GRO merges before clsact, and XDP counted before GRO. Each frame
// had the headers that the merged packet has once.
static __always_inline struct amount wire_amount(const struct __sk_buff* skb, const struct packet* packet) {
  __u32 tag_bytes = skb->vlan_present ? SLUICE_TAG_BYTES : 0;
  __u64 frames = skb->gso_segs ? skb->gso_segs : 1;
  return (struct amount){
      .packets = frames,
      .bytes = skb->len + tag_bytes + (frames - 1) * (packet->payload_offset + tag_bytes),
  };
}

static __always_inline int to_bridge(struct __sk_buff* skb, const struct sluice_config* config, struct amount amount) {
  switch (config->bridge_mode) {
    case SLUICE_BRIDGE_PASS:
      count_verdict(rx_queue(skb), SLUICE_VERDICT_DOWN_PASS, amount);
      return TC_ACT_OK;
    case SLUICE_BRIDGE_REDIRECT:
      // Without a veth pair a redirect would lose the packet uncounted (skb_do_redirect).
      if (config->bridge_ifindex) {
        count_verdict(rx_queue(skb), SLUICE_VERDICT_BRIDGED, amount);
        put_token(skb, config);  // without it the near end lets nothing in (sluice_to_kernel.bpf.c)
        return bpf_redirect(config->bridge_ifindex, 0);
      }
      // fall through
    default:
      count_verdict(rx_queue(skb), SLUICE_VERDICT_DOWN_DROP, amount);
      return TC_ACT_SHOT;
  }
}

// Sends a copy into the bridge, and lets the packet itself go on to the stack. The copy is a clone, which goes where a
// redirect would send the packet (net/core/filter.c: bpf_clone_redirect). Without a way into the bridge the kernel has
// its packet all the same.
static __always_inline int to_both(struct __sk_buff* skb, const struct sluice_config* config, struct amount amount) {
  enum sluice_verdict verdict = SLUICE_VERDICT_DOWN_PASS;
  if (config->bridge_mode == SLUICE_BRIDGE_REDIRECT && config->bridge_ifindex) {
    put_token(skb, config);
    // Negative: no memory, or no such device. A loss further on is the veth pair's, and counted there.
    if (bpf_clone_redirect(skb, config->bridge_ifindex, 0) >= 0) {
      verdict = SLUICE_VERDICT_BOTH;
    }
    take_token(skb, config);
  }
  count_verdict(rx_queue(skb), verdict, amount);
  return TC_ACT_OK;
}

SEC("tc")
int sluice_bridge(struct __sk_buff* skb) {
  const struct sluice_config* config = active_config();
  if (!config) {
    return TC_ACT_OK;
  }
  bool after_generic_xdp = config->flags & SLUICE_CONFIG_GENERIC_XDP;
  if (after_generic_xdp && !restore_ethernet_header(skb)) {
    count_verdict(rx_queue(skb), SLUICE_VERDICT_MALFORMED, (struct amount){.packets = 1, .bytes = skb->len});
    return TC_ACT_SHOT;
  }
  if (take_token(skb, config)) {
    if (after_generic_xdp) {
      restore_group_source(skb);
    }
    return TC_ACT_OK;  // counted when it came in, see count.h
  }

  struct packet packet;
  enum parse_result result = parse(skb, &packet);
  if (result == PARSE_OUT_OF_REACH) {
    // virtio-net puts as little as 128 bytes into the linear part (page_to_skb).
    __u32 reach = SLUICE_HEADER_REACH_BYTES + LAST_HEADER_BYTES;
    if (bpf_skb_pull_data(skb, skb->len < reach ? skb->len : reach) == 0) {
      result = parse(skb, &packet);
    }
  }
  struct amount amount = wire_amount(skb, &packet);
  if (result == PARSE_MALFORMED) {
    count_verdict(rx_queue(skb), SLUICE_VERDICT_MALFORMED, amount);
    return TC_ACT_SHOT;
  }

  struct decision decision = classify(config, &packet);
  count_rule(decision.hits, amount);
  switch (decision.action) {
    case SLUICE_ACTION_DATAPLANE:
      return to_bridge(skb, config, amount);
    case SLUICE_ACTION_BOTH:
      return to_both(skb, config, amount);
    case SLUICE_ACTION_DROP:
      count_verdict(rx_queue(skb), decision.verdict, amount);
      return TC_ACT_SHOT;
    default:
      count_verdict(rx_queue(skb), SLUICE_VERDICT_PASS, amount);
      return TC_ACT_OK;
  }
}
