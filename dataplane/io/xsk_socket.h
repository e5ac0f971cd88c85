// One bound AF_XDP socket as the packet path sees it: four rings, and the kernel calls that wake it.
//
// The agent made, configured and bound the socket; MapXskSocket maps its rings. Nothing here owns the
// descriptor. XskKernel is the whole of the kernel beside the shared memory: tests put their own there.
//
// Threads: the one that polls the lane.
#ifndef SLUICE_DATAPLANE_IO_XSK_SOCKET_H_
#define SLUICE_DATAPLANE_IO_XSK_SOCKET_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "dataplane/contract/umem_layout.h"
#include "dataplane/io/rings.h"

namespace sluice {

class XskKernel {
 public:
  virtual ~XskKernel() = default;
  // Readable while the receive ring holds frames.
  virtual int poll_fd() const = 0;
  // Has the kernel send what is on the transmit ring. May send a part or nothing: in copy mode at most
  // 32 descriptors a call (net/xdp/xsk.c: TX_BATCH_SIZE), fewer when the device or the socket's send
  // buffer is full. The transmit ring's consumer index tells.
  virtual void WakeTx() = 0;
  // Has the driver look at the fill ring again.
  virtual void WakeRx() = 0;
  // Frames for this socket that the kernel dropped for want of a frame to put them into, or of room on the receive
  // ring, modulo 2^32 (XDP_STATISTICS). A system call.
  virtual uint32_t Lost() const = 0;
};

// The transmit and completion rings are absent (exists() is false) for a socket that only receives.
struct XskSocket {
  FillRing fill;
  CompletionRing completion;
  RxRing rx;
  TxRing tx;
  std::unique_ptr<XskKernel> kernel;
};

// `sizes`: as the agent set them with setsockopt. `fd` must stay open as long as the result lives.
absl::StatusOr<XskSocket> MapXskSocket(int fd, const XskRingSizes& sizes);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_XSK_SOCKET_H_
