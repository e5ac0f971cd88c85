// A hash of the fields that all packets of a flow share, in both directions.
//
// It decides by which lane a flow leaves when it cannot leave by its own. For IPv4 and IPv6 it covers addresses and
// protocol, and ports if there are any. Fragments are hashed without ports, since only the first one has them. For any
// other frame, unreadable ones included, it covers the two MAC addresses and the ethertype.
//
// The lane of a flow. A frame keeps one hash on its whole way: that of the frame as received, computed before the
// network function runs and stored in Headers::flow_hash. The steering probe, the hold for moved flows and the hand-off
// all use the stored hash, so they agree even if the function rewrites the frame. A function that translates addresses
// gives the two directions of a session different tuples, and so different hashes. To have both leave by one lane, it
// stores one hash for the session, that of the first packet, in the headers of each packet of either direction.
//
// Cheap rather than good: some multiplications. Not keyed: a sender that chooses its addresses can put flows on one
// lane, as with any RSS key that is public. Pure; any thread.
#ifndef SLUICE_DATAPLANE_NET_FLOW_HASH_H_
#define SLUICE_DATAPLANE_NET_FLOW_HASH_H_

#include <cstdint>

#include "dataplane/net/headers.h"

namespace sluice {

// Returns the hash, never 0. `headers` are those of this frame, which has not been rewritten since they were parsed.
uint32_t FlowHash(const uint8_t* data, uint32_t length_bytes, const Headers& headers);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_NET_FLOW_HASH_H_
