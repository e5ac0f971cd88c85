// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The self-test of a port: the agent runs the port's XDP program on a frame (BPF_PROG_TEST_RUN) before the port steers,
// and XDP sends that frame to the queue's socket as it will send packets.
//
// Only a port that no agent has activated yet looks for such frames, and only those with the token of the test that
// runs count. So packets cost nothing, and a stranger on the wire cannot use it. The frame has no verdict: it is no
// packet of the port's.
#ifndef SLUICE_BPF_SELF_TEST_H_
#define SLUICE_BPF_SELF_TEST_H_

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf/credit.h"
#include "bpf/header_numbers.h"
#include "bpf/sluice_abi.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_MAX_QUEUES);
  __type(key, __u32);
  __type(value, struct sluice_self_test);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_selftest SEC(".maps");

static __always_inline bool is_self_test(const struct xdp_md* ctx, const struct sluice_self_test* test) {
  const struct sluice_self_test_frame* frame = (const void*)(long)ctx->data;
  if ((const void*)(frame + 1) > (const void*)(long)ctx->data_end || !test->token[0]) {
    return false;
  }
  __u32 differs = frame->tpid_be ^ bpf_htons(SLUICE_ETHERTYPE_VLAN);
  differs |= frame->ethertype_be ^ bpf_htons(SLUICE_ETHERTYPE_EXPERIMENTAL);
  for (int i = 0; i < SLUICE_TOKEN_WORDS; i++) {
    differs |= frame->token[i] ^ test->token[i];
  }
  return !differs;
}

// Returns what becomes of a frame while the port does not steer: XDP_PASS, unless it is a test's.
static __always_inline int run_self_test(struct xdp_md* ctx, void* xsks) {
  __u32 queue = ctx->rx_queue_index;
  struct sluice_self_test* test = bpf_map_lookup_elem(&sluice_selftest, &queue);
  if (!test || !is_self_test(ctx, test)) {
    return XDP_PASS;
  }
  test->seen++;
  const struct bpf_xdp_sock* socket = bpf_map_lookup_elem(xsks, &queue);
  if (!socket) {
    return XDP_DROP;
  }
  test->has_socket = 1;
  test->socket_queue = socket->queue_id;
  __u32 number = 0;
  if (test->is_live && !take_credit(queue, &number)) {
    return XDP_DROP;
  }
  return bpf_redirect_map(xsks, queue, XDP_DROP);
}

#endif  // SLUICE_BPF_SELF_TEST_H_
