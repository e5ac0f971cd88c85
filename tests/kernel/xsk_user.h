// The dataplane's side of one AF_XDP socket, as far as tests need it: maps UMEM and rings, keeps the fill ring stocked,
// receives and sends frames. For one thread.
#ifndef SLUICE_TESTS_KERNEL_XSK_USER_H_
#define SLUICE_TESTS_KERNEL_XSK_USER_H_

#include <xdp/xsk.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "control/kernel/lane_sockets.h"
#include "tests/lib/packet.h"

namespace sluice {

class XskUser {
 public:
  // Must run before the socket is bound: Linux up to 6.3 maps no rings of bound sockets. Uses frames [first_frame,
  // first_frame + frame_count) of the lane, the first half of them to receive into.
  XskUser(const LaneSockets& lane, size_t socket_index, uint32_t first_frame, uint32_t frame_count);
  ~XskUser();
  XskUser(const XskUser&) = delete;
  XskUser& operator=(const XskUser&) = delete;

  // Returns the frames received until there are `count` or the time is up.
  std::vector<Bytes> Receive(size_t count, absl::Duration patience);
  // Uses the second half of the frames in turn, so at most frame_count / 2 may be in flight.
  void Send(const Bytes& frame);
  int fd() const { return fd_; }

 private:
  struct Area {
    void* start;
    size_t bytes;
  };
  void* Map(int fd, size_t bytes, off_t offset);

  int fd_;
  uint32_t frame_size_;
  uint64_t first_tx_address_;
  uint32_t tx_frames_;
  uint32_t sent_ = 0;
  uint8_t* frames_ = nullptr;
  xsk_ring_prod fill_{}, tx_{};
  xsk_ring_cons rx_{}, completion_{};
  std::vector<Area> areas_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_KERNEL_XSK_USER_H_
