// Completes partial checksums: of TCP and UDP frames whose sender left the sum over the payload to a device.
//
// Such a frame has the sum over the pseudo header, folded and not complemented, in the checksum's field
// (include/linux/skbuff.h: CHECKSUM_PARTIAL; net/ipv4/tcp_ipv4.c: __tcp_v4_send_check; net/ipv4/udp.c: udp4_hwcsum).
// The kernel marks such a frame outside of the frame's bytes, and AF_XDP does not pass the mark: the next receiver
// would find the checksum wrong. Such frames come from veth, whose peer by default leaves checksums to it, and in skb
// mode from any driver that received them so. None comes from the bridge, whose veth pair completes them
// (net/core/dev.c: validate_xmit_skb), nor from virtio_net with native XDP, which drops them (drivers/net/virtio_net.c:
// mergeable_xdp_get_buf, receive_small_xdp; `rx_drops` in status).
//
// Telling them apart is a heuristic: a field that equals the pseudo header's sum is taken for a partial checksum.
//   - A complete and right checksum equals it by chance once in 65,536 frames. It stays as it is to the bit: with P for
//     the pseudo header's sum and B for the rest, right means P + P + B = 0 in ones' complement, so we write
//     -(P + B), which is P. That is not counted either. (Of partial ones, one in 65,536 is right already, and not
//     counted.)
//   - A complete and wrong checksum equals it as seldom, and becomes right: of frames damaged before they came to us,
//     one in 65,536 can no longer be recognised by its checksum.
// A checksum of 0 (UDP without one) is never taken for partial: no pseudo header's sum is 0.
//
// Some packets are left alone, as their checksum cannot be partial or is not the one described: fragments (the kernel
// completes before it cuts, net/ipv4/ip_output.c: ip_do_fragment), packets whose pseudo header has another address than
// the header (source routes, IPv6 routing headers and home addresses), all but TCP and UDP, unreadable frames, UDP
// whose length is not the packet's, and packets within a tunnel.
//
// A complete frame costs a look at its addresses and its checksum, not at its payload. Pure; any thread.
#ifndef SLUICE_DATAPLANE_LANE_PARTIAL_CHECKSUM_H_
#define SLUICE_DATAPLANE_LANE_PARTIAL_CHECKSUM_H_

#include <cstdint>

#include "dataplane/function/burst.h"
#include "dataplane/net/headers.h"

namespace sluice {

// `headers` are the frame's. Returns whether the frame was changed.
bool CompletePartialChecksum(uint8_t* frame, const Headers& headers);

// Fills in the headers of the burst's frames (Burst::headers) and completes their checksums. Returns how many frames
// were changed. In one loop: a second one would cost 20 instructions a frame.
uint32_t ParseAndCompleteChecksums(Burst& burst);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_PARTIAL_CHECKSUM_H_
