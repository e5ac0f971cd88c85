// The Ethernet header, as network functions touch it.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_ETHERNET_H_
#define SLUICE_DATAPLANE_FUNCTIONS_ETHERNET_H_

#include <cstdint>

namespace sluice {

inline constexpr uint32_t kEthernetHeaderBytes = 14;
inline constexpr uint32_t kMacBytes = 6;

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTIONS_ETHERNET_H_
