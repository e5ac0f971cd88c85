// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// What XDP and the dataplane tell each other about a queue's socket (the element: sluice_abi.h): how many packets it
// was given, and how many it may be given.
//
// A packet for which the socket has no room is dropped either way, but not at the same price: the socket counts it in
// the cache line that is read for each frame it sends (include/net/xdp_sock.h: rx_dropped is beside tx), and asks the
// pool, whose lines the sender needs as well. With ten times the packets that the dataplane takes, on another core than
// its worker's, that made it a tenth slower (tests/bench/README.md). So while it is behind, the dataplane says how many
// packets there is room for, and XDP drops the others before they get there.
//
// While it keeps up nothing is limited, and neither side touches the other's cache line.
#ifndef SLUICE_BPF_MARKS_H_
#define SLUICE_BPF_MARKS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/sluice_abi.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_MAX_QUEUES);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct sluice_queue_marks);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_marks SEC(".maps");

// The other side writes these while we look.
#define LOOK(field) (*(volatile __typeof__(field)*)&(field))

// Is the queue's socket to get one more packet? If so, its number is *given.
static __always_inline bool give(__u32 queue, __u32* given) {
  // A queue's packets are looked at one by one: its polls do not run side by side.
  struct sluice_queue_marks* marks = bpf_map_lookup_elem(&sluice_marks, &queue);
  if (!marks) {
    return true;
  }
  if (LOOK(marks->limited) && (__s32)(marks->given - LOOK(marks->limit)) >= 0) {
    marks->shed++;
    return false;
  }
  *given = ++marks->given;
  return true;
}

#endif  // SLUICE_BPF_MARKS_H_
