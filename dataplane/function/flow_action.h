// Making what is done to each packet of a offloaded flow (bpf/sluice_abi.h: sluice_flow_action; bpf/flow_rewrite.h does
// it).
//
//   burst.Offload(frame, SentOut(port, SLUICE_FLOW_DEC_TTL));
//   burst.Offload(frame, Translated(SentOut(port), from, to));      NAT
//
// Pure; any thread.
#ifndef SLUICE_DATAPLANE_FUNCTION_FLOW_ACTION_H_
#define SLUICE_DATAPLANE_FUNCTION_FLOW_ACTION_H_

#include <cstdint>
#include <cstring>

#include "bpf/sluice_abi.h"

namespace sluice {

// `changes`: of enum sluice_flow_change those that need no more than being named.
inline sluice_flow_action SentOut(uint32_t port, uint32_t changes = 0) {
  return {.changes = changes, .out_port = port};
}

namespace flow_action_internal {

// What a ones' complement sum over these bytes, in network order, gains by them becoming others. `count` is even.
inline uint32_t Delta(const void* from, const void* to, size_t count) {
  uint32_t sum = 0;
  for (size_t i = 0; i < count; i += 2) {
    const auto* was = static_cast<const uint8_t*>(from) + i;
    const auto* is = static_cast<const uint8_t*>(to) + i;
    sum += (~(static_cast<uint32_t>(was[0]) << 8 | was[1]) & 0xffff) + (static_cast<uint32_t>(is[0]) << 8 | is[1]);
  }
  return sum;
}

inline uint16_t Folded(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

}  // namespace flow_action_internal

// Addresses and ports become those of `to`; both are of one family.
inline sluice_flow_action Translated(sluice_flow_action action, const sluice_flow_key& from,
                                     const sluice_flow_key& to) {
  using flow_action_internal::Delta;
  using flow_action_internal::Folded;
  action.changes |= SLUICE_FLOW_SET_ADDRESSES | SLUICE_FLOW_SET_PORTS;
  std::memcpy(action.src_be, to.src_be, sizeof(action.src_be));
  std::memcpy(action.dst_be, to.dst_be, sizeof(action.dst_be));
  action.src_port_be = to.src_port_be;
  action.dst_port_be = to.dst_port_be;
  const uint32_t addresses =
      Delta(from.src_be, to.src_be, sizeof(from.src_be)) + Delta(from.dst_be, to.dst_be, sizeof(from.dst_be));
  const uint32_t ports = Delta(&from.src_port_be, &to.src_port_be, sizeof(from.src_port_be)) +
                         Delta(&from.dst_port_be, &to.dst_port_be, sizeof(from.dst_port_be));
  action.ip_delta = from.family == 4 ? Folded(addresses) : 0;
  action.l4_delta = Folded(addresses + ports);
  return action;
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_FLOW_ACTION_H_
