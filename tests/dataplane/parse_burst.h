// Fills in the headers of a burst's frames. A lane does it together with the checksums (lane/partial_checksum.h).
#ifndef SLUICE_TESTS_DATAPLANE_PARSE_BURST_H_
#define SLUICE_TESTS_DATAPLANE_PARSE_BURST_H_

#include "dataplane/function/burst.h"

namespace sluice {

inline void ParseHeaders(Burst& burst) {
  for (uint32_t i = 0; i < burst.count; ++i) {
    burst.headers[i] = Parse(burst.frames[i].data, burst.frames[i].length_bytes);
  }
}

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_PARSE_BURST_H_
