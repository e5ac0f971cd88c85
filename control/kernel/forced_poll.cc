#include "control/kernel/forced_poll.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

// The most packets that a poll takes: NAPI's own weight.
constexpr int kBudget = 64;
// Enough to empty the longest virtqueue (QEMU: VIRTIO_NET_RX_QUEUE_MAX_SIZE), twice over for polls that met a softirq.
constexpr int kPolls = 2 * 1024 / kBudget;
constexpr absl::Duration kPause = absl::Microseconds(100);

absl::Status SetBusyPoll(int socket, int usec) {
  if (setsockopt(socket, SOL_SOCKET, SO_BUSY_POLL, &usec, sizeof(usec)) != 0) {
    return NameValue(KernelError(errno, "setting SO_BUSY_POLL"),
                     absl::StrCat(usec, " microseconds, which no key sets"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ForcePolls(absl::Span<const int> sockets) {
  absl::Status first;
  for (const int socket : sockets) {
    setsockopt(socket, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &kBudget, sizeof(kBudget));  // else 8 at a time
    if (absl::Status s = SetBusyPoll(socket, 1); !s.ok() && first.ok()) {
      first = s;
    }
  }
  for (int poll = 0; first.ok() && poll < kPolls; ++poll) {
    for (const int socket : sockets) {
      // No buffer: recvfrom reads nothing from an AF_XDP socket.
      if (recv(socket, nullptr, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN && first.ok()) {
        first = absl::InternalError(absl::StrCat("polling a queue by its socket: ", strerror(errno)));
      }
    }
    absl::SleepFor(kPause);
  }
  // Left on, every sendto would poll the queue as well.
  for (const int socket : sockets) {
    if (absl::Status s = SetBusyPoll(socket, 0); !s.ok() && first.ok()) {
      first = s;
    }
  }
  return first;
}

}  // namespace sluice
