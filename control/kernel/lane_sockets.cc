#include "control/kernel/lane_sockets.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

// The kernel's release work runs within a few milliseconds once it is due (40 to 155 ms in all).
constexpr absl::Duration kBusyRetryPause = absl::Milliseconds(5);

// The UMEM in our address space, which XDP_UMEM_REG wants to see. The kernel pins the pages, so the
// mapping may go once the sockets are open.
class Mapping {
 public:
  Mapping(int fd, size_t bytes)
      : bytes_(bytes), start_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {}
  ~Mapping() {
    if (ok()) {
      munmap(start_, bytes_);
    }
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  bool ok() const { return start_ != MAP_FAILED; }
  uint64_t address() const { return reinterpret_cast<uintptr_t>(start_); }

 private:
  size_t bytes_;
  void* start_;
};

std::string NameOf(const QueueAddress& queue) {
  return absl::StrCat("queue ", queue.queue, " of ", queue.netdev);
}

absl::Status SetRing(int socket, int option, uint32_t entries, const char* ring, const QueueAddress& queue) {
  if (setsockopt(socket, SOL_XDP, option, &entries, sizeof(entries)) != 0) {
    return KernelError(errno, absl::StrCat("making a ", ring, " ring of ", entries, " entries for ", NameOf(queue)));
  }
  return absl::OkStatus();
}

// A socket with its four rings, not bound.
absl::StatusOr<UniqueFd> MakeSocket(const XskRingSizes& rings, const QueueAddress& queue) {
  UniqueFd xsk(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!xsk) {
    return KernelError(errno, absl::StrCat("opening an AF_XDP socket for ", NameOf(queue)));
  }
  const struct {
    int option;
    uint32_t entries;
    const char* name;
  } options[] = {{XDP_UMEM_FILL_RING, rings.fill, "fill"},
                 {XDP_UMEM_COMPLETION_RING, rings.completion, "completion"},
                 {XDP_RX_RING, rings.rx, "receive"},
                 {XDP_TX_RING, rings.tx, "transmit"}};
  for (const auto& option : options) {
    absl::Status status = SetRing(xsk.get(), option.option, option.entries, option.name, queue);
    if (!status.ok()) {
      return status;
    }
  }
  return xsk;
}

absl::Status RegisterUmem(int socket, const Mapping& memory, const UmemLayout& layout, const QueueAddress& queue) {
  xdp_umem_reg registration{};
  registration.addr = memory.address();
  registration.len = layout.frames_bytes();
  registration.chunk_size = layout.frame_size_bytes;
  if (setsockopt(socket, SOL_XDP, XDP_UMEM_REG, &registration, sizeof(registration)) == 0) {
    return absl::OkStatus();
  }
  const std::string doing = absl::StrCat("registering a UMEM of ", layout.frames_bytes(), " bytes for ", NameOf(queue));
  if (errno == ENOBUFS) {  // net/xdp/xdp_umem.c: xdp_umem_account_pages
    return absl::ResourceExhaustedError(
        absl::StrCat(doing,
                     ": the pages exceed this process's memlock limit; give the agent CAP_IPC_LOCK or raise "
                     "LimitMEMLOCK (ulimit -l)"));
  }
  return KernelError(errno, doing);
}

// A bind that failed; `error` tells the caller whether another mode or moment may do.
struct BindFailure {
  int error = 0;
  QueueAddress queue;
};

// One try of a whole lane in one mode: sockets, or why not.
struct Attempt {
  std::vector<UniqueFd> sockets;
  std::optional<BindFailure> bind_failure;
};

class LaneOpener {
 public:
  LaneOpener(const Mapping& memory, const UmemLayout& layout, const XskRingSizes& rings,
             absl::Span<const QueueAddress> queues, absl::Time deadline)
      : memory_(memory), layout_(layout), rings_(rings), queues_(queues), deadline_(deadline) {}

  // Binds all queues with `mode_flag` (XDP_ZEROCOPY or XDP_COPY). An error status is one that no other
  // mode would cure.
  absl::StatusOr<Attempt> Open(uint16_t mode_flag) {
    Attempt attempt;
    for (const QueueAddress& queue : queues_) {
      absl::StatusOr<UniqueFd> bound = BindWhenFree(queue, mode_flag, attempt);
      if (!bound.ok()) {
        return bound.status();
      }
      if (attempt.bind_failure.has_value()) {
        attempt.sockets.clear();
        break;
      }
      attempt.sockets.push_back(std::move(*bound));
    }
    return attempt;
  }

 private:
  // Each try has a fresh socket: some kernels leave the rings of one whose bind failed half torn down.
  absl::StatusOr<UniqueFd> BindWhenFree(const QueueAddress& queue, uint16_t mode_flag, Attempt& attempt) {
    while (true) {
      absl::StatusOr<UniqueFd> xsk = MakeSocket(rings_, queue);
      if (!xsk.ok()) {
        return xsk;
      }
      sockaddr_xdp address{};
      address.sxdp_family = AF_XDP;
      address.sxdp_ifindex = if_nametoindex(queue.netdev.c_str());
      address.sxdp_queue_id = queue.queue;
      if (address.sxdp_ifindex == 0) {
        return KernelError(ENODEV, absl::StrCat("binding an AF_XDP socket to ", NameOf(queue)));
      }
      if (attempt.sockets.empty()) {
        absl::Status status = RegisterUmem(xsk->get(), memory_, layout_, queue);
        if (!status.ok()) {
          return status;
        }
        address.sxdp_flags = mode_flag | XDP_USE_NEED_WAKEUP;
      } else {
        // Mode and wakeup flag are the first socket's (net/xdp/xsk_buff_pool.c: xp_assign_dev_shared).
        address.sxdp_flags = XDP_SHARED_UMEM;
        address.sxdp_shared_umem_fd = static_cast<uint32_t>(attempt.sockets.front().get());
      }
      if (bind(xsk->get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
        return xsk;
      }
      const int error = errno;
      if (error == EBUSY && absl::Now() + kBusyRetryPause < deadline_) {
        xsk->Reset();
        absl::SleepFor(kBusyRetryPause);
        continue;
      }
      attempt.bind_failure = BindFailure{error, queue};
      return UniqueFd();
    }
  }

  const Mapping& memory_;
  const UmemLayout& layout_;
  const XskRingSizes& rings_;
  absl::Span<const QueueAddress> queues_;
  absl::Time deadline_;
};

absl::Status BindError(const BindFailure& failure, bool zero_copy) {
  const std::string doing = absl::StrCat("binding an AF_XDP socket to ", NameOf(failure.queue),
                                         zero_copy ? " in zero-copy mode" : " in copy mode");
  switch (failure.error) {
    case EBUSY:
      return KernelError(failure.error, doing, "another AF_XDP socket, or one being closed, still holds the queue");
    case EINVAL:
      return KernelError(failure.error, doing, "does the device have this queue?");
    default:
      return KernelError(failure.error, doing);
  }
}

std::string ErrnoText(int error) {
  return std::generic_category().message(error);
}

}  // namespace

absl::StatusOr<UniqueFd> MakeUmemMemory(const UmemLayout& layout, const std::string& name) {
  UniqueFd memory(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) {
    return KernelError(errno, absl::StrCat("making memfd ", name));
  }
  if (ftruncate(memory.get(), static_cast<off_t>(layout.total_bytes())) != 0) {
    return KernelError(errno, absl::StrCat("sizing memfd ", name, " to ", layout.total_bytes(), " bytes"));
  }
  // Shrinking would give whoever maps it SIGBUS.
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return KernelError(errno, absl::StrCat("sealing memfd ", name));
  }
  return memory;
}

absl::StatusOr<LaneSockets> OpenLaneSockets(UniqueFd umem, const UmemLayout& layout, const XskRingSizes& rings,
                                            absl::Span<const QueueAddress> queues, WantedXskMode wanted,
                                            bool xdp_is_skb, absl::Time deadline) {
  if (queues.empty()) {
    return absl::InvalidArgumentError("a lane without queues");
  }
  if (xdp_is_skb && wanted == WantedXskMode::kZeroCopy) {
    return absl::FailedPreconditionError(
        absl::StrCat("zero-copy needs native XDP; ", queues.front().netdev, " has it in skb mode"));
  }
  const Mapping memory(umem.get(), layout.frames_bytes());
  if (!memory.ok()) {
    return KernelError(errno, "mapping the UMEM");
  }
  LaneSockets lane;
  lane.layout = layout;
  lane.rings = rings;
  LaneOpener opener(memory, layout, rings, queues, deadline);

  if (!xdp_is_skb && (wanted == WantedXskMode::kAuto || wanted == WantedXskMode::kZeroCopy)) {
    absl::StatusOr<Attempt> attempt = opener.Open(XDP_ZEROCOPY);
    if (!attempt.ok()) {
      return attempt.status();
    }
    if (!attempt->bind_failure.has_value()) {
      // What was asked for is not always what it became: the kernel's word counts.
      const absl::StatusOr<bool> zero_copy = IsZeroCopy(attempt->sockets.front().get());
      if (!zero_copy.ok()) {
        return zero_copy.status();
      }
      if (!*zero_copy && wanted == WantedXskMode::kZeroCopy) {
        return absl::FailedPreconditionError(
            absl::StrCat(NameOf(queues.front()), ": the kernel took a zero-copy bind and copies all the same"));
      }
      lane.umem = std::move(umem);
      lane.sockets = std::move(attempt->sockets);
      lane.mode = *zero_copy ? XskMode::kZeroCopy : XskMode::kCopy;
      lane.mode_reason =
          *zero_copy ? "device offers zero-copy" : "the kernel took a zero-copy bind and copies all the same";
      return lane;
    }
    const BindFailure& failure = *attempt->bind_failure;
    if (wanted == WantedXskMode::kZeroCopy || failure.error == EBUSY) {
      return BindError(failure, /*zero_copy=*/true);
    }
    lane.mode_reason =
        absl::StrCat(failure.queue.netdev, " has no zero-copy: bind said \"", ErrnoText(failure.error), "\"");
  } else {
    lane.mode_reason = xdp_is_skb ? "XDP runs in skb mode" : "asked for by the configuration";
  }

  absl::StatusOr<Attempt> attempt = opener.Open(XDP_COPY);
  if (!attempt.ok()) {
    return attempt.status();
  }
  if (attempt->bind_failure.has_value()) {
    return BindError(*attempt->bind_failure, /*zero_copy=*/false);
  }
  lane.umem = std::move(umem);
  lane.sockets = std::move(attempt->sockets);
  lane.mode = xdp_is_skb ? XskMode::kSkb : XskMode::kCopy;
  return lane;
}

absl::StatusOr<xdp_statistics> ReadXskStatistics(int socket) {
  xdp_statistics statistics{};
  socklen_t length = sizeof(statistics);
  if (getsockopt(socket, SOL_XDP, XDP_STATISTICS, &statistics, &length) != 0) {
    return KernelError(errno, "reading XDP_STATISTICS");
  }
  return statistics;
}

absl::StatusOr<bool> IsZeroCopy(int socket) {
  xdp_options options{};
  socklen_t length = sizeof(options);
  if (getsockopt(socket, SOL_XDP, XDP_OPTIONS, &options, &length) != 0) {
    return KernelError(errno, "reading XDP_OPTIONS");
  }
  return (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

}  // namespace sluice
