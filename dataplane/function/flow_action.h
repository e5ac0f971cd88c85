// Makes actions: what XDP does to each packet of an offloaded flow (bpf/sluice_abi.h: sluice_flow_action;
// bpf/flow_rewrite.h does it).
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
#include "dataplane/net/checksum.h"

namespace sluice {

// Sends out of a port. `changes`: those of enum sluice_flow_change that need no further values.
inline sluice_flow_action SentOut(uint32_t port, uint32_t changes = 0) {
  return {.changes = changes, .out_port = port};
}

// Adds to `action` that addresses and ports become those of `to`; both keys are of one family.
inline sluice_flow_action Translated(sluice_flow_action action, const sluice_flow_key& from,
                                     const sluice_flow_key& to) {
  action.changes |= SLUICE_FLOW_SET_ADDRESSES | SLUICE_FLOW_SET_PORTS;
  std::memcpy(action.src_be, to.src_be, sizeof(action.src_be));
  std::memcpy(action.dst_be, to.dst_be, sizeof(action.dst_be));
  action.src_port_be = to.src_port_be;
  action.dst_port_be = to.dst_port_be;
  const uint64_t addresses = Plus(Difference(from.src_be, to.src_be, sizeof(from.src_be)),
                                  Difference(from.dst_be, to.dst_be, sizeof(from.dst_be)));
  const uint64_t ports = Plus(Difference(&from.src_port_be, &to.src_port_be, sizeof(from.src_port_be)),
                              Difference(&from.dst_port_be, &to.dst_port_be, sizeof(from.dst_port_be)));
  action.ip_delta = from.family == 4 ? Fold(addresses).host() : 0;
  action.l4_delta = Fold(Plus(addresses, ports)).host();
  return action;
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_FLOW_ACTION_H_
