// The Ethernet header, as network functions touch it.
#ifndef SLUICE_DATAPLANE_NET_ETHERNET_H_
#define SLUICE_DATAPLANE_NET_ETHERNET_H_

#include <cstdint>
#include <cstring>

namespace sluice {

inline constexpr uint32_t kEthernetHeaderBytes = 14;
inline constexpr uint32_t kMacBytes = 6;

// In whole words, of which the compiler makes a few moves. The header must be there.
inline void SwapMacs(uint8_t* frame) {
  uint8_t destination[kMacBytes];
  std::memcpy(destination, frame, kMacBytes);
  std::memcpy(frame, frame + kMacBytes, kMacBytes);
  std::memcpy(frame + kMacBytes, destination, kMacBytes);
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_NET_ETHERNET_H_
