// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The configuration of a port (struct sluice_config) and the version of the ABI, which every program of ours needs. The
// agent writes the configuration.
#ifndef SLUICE_BPF_CONFIG_H_
#define SLUICE_BPF_CONFIG_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/sluice_abi.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sluice_config);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_config SEC(".maps");

// The agent reads it before it adopts a program that it did not load itself. volatile keeps it in .rodata, and libbpf
// binds .rodata to every program of the object (bpf_object_load_prog), so it is found from the program's fd although no
// instruction reads it.
const volatile __u32 sluice_abi_version = SLUICE_ABI_VERSION;

// Returns the configuration, or NULL while no agent has activated it.
static __always_inline const struct sluice_config* active_config(void) {
  __u32 zero = 0;
  const struct sluice_config* config = bpf_map_lookup_elem(&sluice_config, &zero);
  return config && (config->flags & SLUICE_CONFIG_ACTIVE) ? config : NULL;
}

#endif  // SLUICE_BPF_CONFIG_H_
