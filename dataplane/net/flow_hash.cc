#include "dataplane/net/flow_hash.h"

#include <cstring>

namespace sluice {
namespace {

template <typename T>
T Load(const void* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// The finalizer of MurmurHash3 (public domain), one word at a time.
uint64_t Mix(uint64_t hash, uint64_t word) {
  hash ^= word;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53ULL;
  hash ^= hash >> 33;
  return hash;
}

// Mixes both ends in, in either order. Never returns 0, which stands for a hash not computed.
uint32_t MixEnds(uint64_t hash, uint64_t one, uint64_t other) {
  const auto mixed = static_cast<uint32_t>(Mix(hash, one + other));
  return mixed == 0 ? 1 : mixed;
}

uint32_t HashIpv4(const uint8_t* data, const Headers& headers, bool has_ports) {
  const auto& ip = HeaderAt<Ipv4Header>(data, headers.l3_offset);
  uint64_t source = ip.source.wire();
  uint64_t destination = ip.destination.wire();
  if (has_ports) {
    const auto& ports = HeaderAt<Ports>(data, headers.l4_offset);
    source |= uint64_t{ports.source.wire()} << 32;
    destination |= uint64_t{ports.destination.wire()} << 32;
  }
  return MixEnds(headers.protocol, Mix(0, source), Mix(0, destination));
}

uint32_t HashIpv6(const uint8_t* data, const Headers& headers, bool has_ports) {
  const auto& ip = HeaderAt<Ipv6Header>(data, headers.l3_offset);
  const uint8_t* from = ip.source.bytes;
  const uint8_t* to = ip.destination.bytes;
  uint64_t source = Mix(Mix(0, Load<uint64_t>(from)), Load<uint64_t>(from + 8));
  uint64_t destination = Mix(Mix(0, Load<uint64_t>(to)), Load<uint64_t>(to + 8));
  if (has_ports) {
    const auto& ports = HeaderAt<Ports>(data, headers.l4_offset);
    source = Mix(source, ports.source.wire());
    destination = Mix(destination, ports.destination.wire());
  }
  // In the first fragment extension headers may follow the fragment header: not all fragments have one protocol.
  const uint8_t protocol = headers.fragment == Fragment::kNone ? headers.protocol : SLUICE_PROTO_FRAGMENT;
  return MixEnds(protocol, source, destination);
}

uint32_t HashMacs(const uint8_t* data, uint16_t ethertype) {
  const auto& ethernet = HeaderAt<EthernetHeader>(data, 0);
  uint64_t source = 0;
  uint64_t destination = 0;
  std::memcpy(&source, &ethernet.source, sizeof(ethernet.source));
  std::memcpy(&destination, &ethernet.destination, sizeof(ethernet.destination));
  return MixEnds(ethertype, Mix(0, source), Mix(0, destination));
}

}  // namespace

uint32_t FlowHash(const uint8_t* data, uint32_t length_bytes, const Headers& headers) {
  const bool has_ports = headers.fragment == Fragment::kNone && headers.has_ports();
  switch (headers.network) {
    case Network::kIpv4:
      return HashIpv4(data, headers, has_ports);
    case Network::kIpv6:
      return HashIpv6(data, headers, has_ports);
    default:
      return length_bytes < SLUICE_ETHERNET_BYTES ? 1 : HashMacs(data, headers.ethertype);
  }
}

}  // namespace sluice
