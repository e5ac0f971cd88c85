/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What liveload and its BPF programs share.
 */
#ifndef SLUICE_TESTS_BENCH_LOAD_LIVE_FRAMES_H_
#define SLUICE_TESTS_BENCH_LOAD_LIVE_FRAMES_H_

#include <linux/types.h>

enum {
  /* Ethernet, IPv4 without options, UDP. */
  LOAD_HEADER_BYTES = 42,
  /* Most frame sizes that are sent in turn: simple IMIX repeats after twelve frames. */
  LOAD_MAX_SIZES = 12,
  /* Source ports 1024..61023, then the next source address, as flowgen has them. Divisible by 1, 2, 4, 8 and 16. */
  LOAD_FIRST_PORT = 1024,
  LOAD_FLOWS_PER_ADDRESS = 60000,
  /* Discard: where all frames go to, and how the sink knows them. */
  LOAD_UDP_PORT = 9,
};

struct load_counters {
  __u64 received; /* ours, as they must be */
  __u64 bytes;    /* of those */
  __u64 wrong;    /* ours, with other MAC addresses than expected */
  __u64 foreign;  /* anything else */
};

#endif /* SLUICE_TESTS_BENCH_LOAD_LIVE_FRAMES_H_ */
