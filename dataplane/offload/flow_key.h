// The key of a received frame's flow, from its headers: the same, to the bit, that XDP makes from the bytes
// (bpf/flow_key.h: sluice_flow_key_of). tests/fuzz/net compares the two. Made from the parsed headers it takes 42
// instructions a frame, three quarters of those that it takes from the bytes.
//
// Pure; any thread.
#ifndef SLUICE_DATAPLANE_OFFLOAD_FLOW_KEY_H_
#define SLUICE_DATAPLANE_OFFLOAD_FLOW_KEY_H_

#include <cstddef>
#include <cstdint>

#include "bpf/flow_key.h"
#include "bpf/sluice_abi.h"
#include "dataplane/net/headers.h"

namespace sluice {

static_assert(kNoVlan == SLUICE_NO_VLAN);

// `headers` are the frame's. Returns false, and leaves anything in `key`, when the flow of such a frame is not
// offloaded.
inline bool FlowKeyOf(const uint8_t* data, const Headers& headers, sluice_flow_key& key) {
  if (headers.fragment != Fragment::kNone || headers.vlan_tags > 1) {
    return false;
  }
  if (headers.vlan_tags == 1 && HeaderAt<EthernetHeader>(data, 0).type != be16(SLUICE_ETHERTYPE_VLAN)) {
    return false;
  }
  // Padding behind UDP within its packet is not XDP's to keep.
  const bool udp = headers.protocol == SLUICE_PROTO_UDP &&
                   HeaderAt<UdpHeader>(data, headers.l4_offset).length_bytes.host() == headers.l4_bytes;
  if (!udp && headers.protocol != SLUICE_PROTO_TCP) {
    return false;
  }
  const uint32_t header_bytes = headers.l4_offset - headers.l3_offset;
  const uint8_t* ip = data + headers.l3_offset;
  key = {.vlan = headers.vlan, .proto = headers.protocol};
  if (headers.network == Network::kIpv4) {
    if (header_bytes != SLUICE_IPV4_BYTES) {
      return false;
    }
    key.family = 4;
    sluice_flow_address(key.src_be, ip + offsetof(Ipv4Header, source), 1);
    sluice_flow_address(key.dst_be, ip + offsetof(Ipv4Header, destination), 1);
  } else {
    if (header_bytes != SLUICE_IPV6_BYTES) {
      return false;
    }
    key.family = 6;
    sluice_flow_address(key.src_be, ip + offsetof(Ipv6Header, source), 4);
    sluice_flow_address(key.dst_be, ip + offsetof(Ipv6Header, destination), 4);
  }
  const auto& ports = HeaderAt<Ports>(data, headers.l4_offset);
  key.src_port_be = ports.source.wire();
  key.dst_port_be = ports.destination.wire();
  return true;
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_OFFLOAD_FLOW_KEY_H_
