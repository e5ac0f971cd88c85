// Partial checksums, completed: TCP and UDP frames whose sender left the sum over the payload to a device.
//
// Such a frame has the sum over the pseudo header, folded and not complemented, where the checksum belongs
// (net/core/skbuff.h's CHECKSUM_PARTIAL; net/ipv4/tcp_ipv4.c: __tcp_v4_send_check; net/ipv4/udp.c: udp4_hwcsum). The
// kernel keeps beside the frame that it is so, AF_XDP does not hand that on, and whoever gets the frame from us would
// take the checksum for wrong. It comes up by veth, whose peer by default leaves checksums to it, and in skb mode from
// any driver that got it so. Not by the bridge, whose veth pair completes it (net/core/dev.c: validate_xmit_skb), and
// not from virtio_net with native XDP, which drops it (receive_mergeable_xdp; `rx_drops` in status).
//
// Telling them apart is a heuristic: a field that equals the pseudo header's sum is taken for a partial checksum.
//   - A complete and right checksum equals it by chance once in 65,536 frames. It stays as it is to the bit: with P for
//     the pseudo header's sum and B for the rest, right means P + P + B = 0 in ones' complement, so what we write,
//     -(P + B), is P. That is not counted either. (Of partial ones, one in 65,536 is right already, and not counted.)
//   - A complete and wrong checksum equals it as seldom, and becomes right: of frames damaged before they came to us,
//     one in 65,536 is no longer known by its checksum to be.
// A checksum of 0 (UDP without one) is never taken for partial: no pseudo header's sum is 0.
//
// Left alone, as their checksum cannot be partial or is not the one described: fragments (the kernel completes before
// it cuts, net/ipv4/ip_output.c: ip_do_fragment), packets whose pseudo header has another address than the header
// (source routes, IPv6 routing headers and home addresses), all but TCP and UDP, and lengths that contradict each
// other. Not looked for: what is inside a tunnel.
//
// A complete frame costs a walk over its headers, not over its payload. Pure; any thread.
#ifndef SLUICE_DATAPLANE_LANE_PARTIAL_CHECKSUM_H_
#define SLUICE_DATAPLANE_LANE_PARTIAL_CHECKSUM_H_

#include <cstdint>

#include "dataplane/function/burst.h"

namespace sluice {

// Ethernet, with at most two VLAN tags, and IPv4 or IPv6. Whether the frame was changed.
bool CompletePartialChecksum(uint8_t* frame, uint32_t length_bytes);

// How many of the burst's frames were changed.
uint32_t CompletePartialChecksums(const Burst& burst);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_PARTIAL_CHECKSUM_H_
