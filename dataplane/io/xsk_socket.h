// One AF_XDP socket as the packet path sees it: four rings, and the system calls that wake the kernel.
//
// The agent makes, configures and binds the socket; MapXskSocket maps its rings. The packet path reaches the kernel by
// shared memory and by XskKernel only: tests put their own there.
//
// Ownership: the result owns the mappings, not the descriptor.
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
  // Makes the kernel send frames on the transmit ring: all, some or none. In copy mode it sends at most 32 a call
  // (net/xdp/xsk.c: TX_BATCH_SIZE), fewer when the device or the socket's send buffer is full. The transmit ring's
  // consumer index tells how many.
  virtual void WakeTx() = 0;
  // Makes the driver look at the fill ring again.
  virtual void WakeRx() = 0;
  // Returns how many packets for this socket the kernel dropped because there was no frame to receive into, or no room
  // on the receive ring; modulo 2^32 (XDP_STATISTICS). A system call.
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

// Maps the rings of the socket `fd`, which must stay open as long as the result lives; `sizes` are those that the agent
// set with setsockopt. Errors: InvalidArgument when it is no AF_XDP socket or a size is no power of two;
// FailedPrecondition for a kernel without need_wakeup, or one that does not map a bound socket's rings
// (Mapping::Share); Internal when mmap fails.
absl::StatusOr<XskSocket> MapXskSocket(int fd, const XskRingSizes& sizes);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_XSK_SOCKET_H_
