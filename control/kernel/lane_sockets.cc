#include "control/kernel/lane_sockets.h"

#include <linux/magic.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/kernel_error.h"
#include "control/kernel/progress.h"
#include "control/kernel/shared_memory.h"
#include "dataplane/base/mapping.h"
#include "dataplane/base/steady_time.h"

namespace sluice {
namespace {

// The kernel's release work runs within a few milliseconds once it is due (40 to 155 ms in all).
constexpr absl::Duration kBusyRetryPause = absl::Milliseconds(5);

std::string NameOf(const QueueAddress& queue) {
  return absl::StrCat("queue ", queue.queue, " of ", queue.netdev);
}

absl::Status SetRing(int socket, int option, uint32_t entries, const char* ring, const QueueAddress& queue) {
  if (setsockopt(socket, SOL_XDP, option, &entries, sizeof(entries)) != 0) {
    return NameValue(
        KernelError(errno, absl::StrCat("making a ", ring, " ring of ", entries, " entries for ", NameOf(queue))),
        absl::StrCat(entries, " entries, which no key sets; the kernel takes powers of two"));
  }
  return absl::OkStatus();
}

// Makes a socket with four rings, not bound.
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
  registration.addr = reinterpret_cast<uintptr_t>(memory.start());
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
  return NameValue(KernelError(errno, doing), absl::StrCat("frames of ", layout.frame_size_bytes,
                                                           " bytes, of which each holds a frame of the ports' MTU"));
}

// Says in our words what an errno means for a bind.
const char* BindAdvice(int error) {
  switch (error) {
    case EBUSY:
      return "; another AF_XDP socket, or one being closed, still holds the queue";
    case EINVAL:
      return "; does the device have this queue?";
    case EOPNOTSUPP:
      return "; the device does not offer this mode";
    default:
      return "";
  }
}

// A failed bind leaves the socket and its rings as they were (net/xdp/xsk.c: xsk_bind gives the rings to the
// pool last), so it may be tried again, and rings that are mapped stay the ones the kernel will use.
absl::Status BindWhenFree(int socket, const QueueAddress& queue, sockaddr_xdp address, SteadyTime deadline) {
  const std::string doing = absl::StrCat("binding an AF_XDP socket to ", NameOf(queue));
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = if_nametoindex(queue.netdev.c_str());
  address.sxdp_queue_id = queue.queue;
  if (address.sxdp_ifindex == 0) {
    return KernelError(ENODEV, doing);
  }
  while (bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    if (error != EBUSY || SteadyTime::Now() + kBusyRetryPause >= deadline) {
      const absl::Status status = NameValue(
          KernelError(error, doing),
          absl::StrCat("queue ", queue.queue, " of [dataplane] queue_pairs, in the mode of [dataplane] mode"));
      return absl::Status(status.code(), absl::StrCat(status.message(), BindAdvice(error)));
    }
    NoteProgress();
    absl::SleepFor(kBusyRetryPause);
  }
  return absl::OkStatus();
}

// Says when a bind failed because the lane's ports do not agree on zero-copy. `failed` is a later port's error: a
// driver that cannot follow the first port into zero-copy says EOPNOTSUPP or EINVAL (drivers/net/virtio_net.c:
// virtnet_xsk_pool_enable, for a virtqueue that it cannot map memory for).
absl::Status TellUnequalModes(const LaneSockets& lane, const absl::Status& failed) {
  const absl::StatusOr<bool> zero_copy = IsZeroCopy(lane.sockets.front().get());
  return zero_copy.ok() && *zero_copy
             ? absl::UnimplementedError(
                   absl::StrCat(lane.queues.front().netdev, " is in zero-copy mode, but ", failed.message()))
             : failed;
}

}  // namespace

absl::StatusOr<UniqueFd> MakeUmemMemory(const UmemLayout& layout, const std::string& name) {
  const size_t huge_bytes = (layout.total_bytes() + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  absl::StatusOr<UniqueFd> huge = MakeSharedMemory(name, huge_bytes, PageKind::kHuge);
  return huge.ok() ? std::move(huge) : MakeSharedMemory(name, layout.total_bytes());
}

bool HasHugePages(int memory) {
  struct statfs filesystem {};
  return fstatfs(memory, &filesystem) == 0 && filesystem.f_type == HUGETLBFS_MAGIC;
}

absl::StatusOr<LaneSockets> MakeLaneSockets(UniqueFd umem, const UmemLayout& layout, const XskRingSizes& rings,
                                            std::vector<QueueAddress> queues) {
  if (queues.empty()) {
    return absl::InvalidArgumentError("a lane without queues");
  }
  // XDP_UMEM_REG wants an address. The kernel pins the pages, so the mapping may go once the sockets are made.
  const absl::StatusOr<Mapping> memory = Mapping::ShareFile(umem.get(), "the UMEM");
  if (!memory.ok()) {
    return memory.status();
  }
  LaneSockets lane;
  lane.layout = layout;
  lane.rings = rings;
  for (const QueueAddress& queue : queues) {
    absl::StatusOr<UniqueFd> xsk = MakeSocket(rings, queue);
    if (!xsk.ok()) {
      return xsk.status();
    }
    if (lane.sockets.empty()) {
      absl::Status status = RegisterUmem(xsk->get(), *memory, layout, queue);
      if (!status.ok()) {
        return status;
      }
    }
    lane.sockets.push_back(*std::move(xsk));
  }
  lane.umem = std::move(umem);
  lane.queues = std::move(queues);
  return lane;
}

absl::Status BindLaneSockets(LaneSockets& lane, ModeSetting wanted, bool xdp_is_skb, SteadyTime deadline) {
  if (xdp_is_skb && wanted == ModeSetting::kZeroCopy) {
    return absl::FailedPreconditionError(
        absl::StrCat("zero-copy needs native XDP; ", lane.queues.front().netdev, " has it in skb mode"));
  }
  sockaddr_xdp first{};
  first.sxdp_flags = XDP_USE_NEED_WAKEUP;
  if (wanted == ModeSetting::kZeroCopy) {
    first.sxdp_flags |= XDP_ZEROCOPY;
  } else if (wanted != ModeSetting::kAuto || xdp_is_skb) {
    first.sxdp_flags |= XDP_COPY;
  }  // With neither the kernel tries zero-copy and falls back (net/xdp/xsk_buff_pool.c: xp_assign_dev).
  sockaddr_xdp shared{};
  // Mode and wakeup flag are the first socket's (net/xdp/xsk_buff_pool.c: xp_assign_dev_shared).
  shared.sxdp_flags = XDP_SHARED_UMEM;
  shared.sxdp_shared_umem_fd = static_cast<uint32_t>(lane.sockets.front().get());
  for (size_t i = 0; i < lane.sockets.size(); ++i) {
    absl::Status status = BindWhenFree(lane.sockets[i].get(), lane.queues[i], i == 0 ? first : shared, deadline);
    if (!status.ok()) {
      return i > 0 && wanted == ModeSetting::kAuto ? TellUnequalModes(lane, status) : status;
    }
  }
  // The kernel may have chosen another mode than the one asked for.
  const absl::StatusOr<bool> zero_copy = IsZeroCopy(lane.sockets.front().get());
  if (!zero_copy.ok()) {
    return zero_copy.status();
  }
  const std::string& netdev = lane.queues.front().netdev;
  if (*zero_copy) {
    lane.mode = XskMode::kZeroCopy;
    lane.mode_reason = absl::StrCat(netdev, " offers zero-copy");
  } else if (wanted == ModeSetting::kZeroCopy) {
    return absl::FailedPreconditionError(
        absl::StrCat(NameOf(lane.queues.front()), ": the kernel took a zero-copy bind and copies all the same"));
  } else if (xdp_is_skb) {
    lane.mode = XskMode::kSkb;
    lane.mode_reason = "XDP runs in skb mode";
  } else {
    lane.mode = XskMode::kCopy;
    lane.mode_reason = wanted == ModeSetting::kAuto
                           ? absl::StrCat(netdev, " offers no zero-copy on this kernel (sluicectl doctor says more)")
                           : "asked for by the configuration";
  }
  return absl::OkStatus();
}

absl::Status CheckLaneSockets(int umem, const UmemLayout& layout, absl::Span<const int> sockets,
                              absl::Span<const QueueAddress> queues) {
  if (absl::Status s = CheckSharedMemory(umem, layout.total_bytes(), PageKind::kHuge); !s.ok()) {
    return absl::DataLossError(absl::StrCat("UMEM: ", s.message()));
  }
  if (sockets.size() != queues.size()) {
    return absl::DataLossError(absl::StrCat(sockets.size(), " sockets for ", queues.size(), " queues"));
  }
  for (size_t i = 0; i < sockets.size(); ++i) {
    int domain = 0;
    socklen_t length = sizeof(domain);
    if (getsockopt(sockets[i], SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_XDP) {
      return absl::DataLossError(absl::StrCat("no AF_XDP socket for ", NameOf(queues[i])));
    }
    if (!IsBound(sockets[i])) {
      continue;
    }
    const UniqueFd probe(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (absl::Status s = SetRing(probe.get(), XDP_RX_RING, 1, "receive", queues[i]); !s.ok()) {
      return s;
    }
    sockaddr_xdp address{};
    address.sxdp_family = AF_XDP;
    address.sxdp_ifindex = if_nametoindex(queues[i].netdev.c_str());
    address.sxdp_queue_id = queues[i].queue;
    address.sxdp_flags = XDP_SHARED_UMEM;
    address.sxdp_shared_umem_fd = static_cast<uint32_t>(sockets[i]);
    if (bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      return absl::DataLossError(
          absl::StrCat("a socket that is not on ", NameOf(queues[i]), " (", strerror(errno), ")"));
    }
  }
  return absl::OkStatus();
}

bool IsQueueTaken(const QueueAddress& queue) {
  constexpr uint32_t kFrameBytes = 4096;
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = if_nametoindex(queue.netdev.c_str());
  address.sxdp_queue_id = queue.queue;
  address.sxdp_flags = XDP_COPY;
  const UmemLayout layout{1, kFrameBytes};
  const absl::StatusOr<UniqueFd> memory = MakeSharedMemory("sluice-probe", layout.total_bytes());
  const absl::StatusOr<Mapping> mapped =
      memory.ok() ? Mapping::ShareFile(memory->get(), "a probe's UMEM") : memory.status();
  const absl::StatusOr<UniqueFd> probe = MakeSocket({1, 1, 1, 1}, queue);
  if (address.sxdp_ifindex == 0 || !mapped.ok() || !probe.ok() ||
      !RegisterUmem(probe->get(), *mapped, layout, queue).ok()) {
    return false;
  }
  return bind(probe->get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 && errno == EBUSY;
}

absl::StatusOr<xdp_statistics> ReadXskStatistics(int socket) {
  xdp_statistics statistics{};
  socklen_t length = sizeof(statistics);
  if (getsockopt(socket, SOL_XDP, XDP_STATISTICS, &statistics, &length) != 0) {
    return KernelError(errno, "reading XDP_STATISTICS");
  }
  return statistics;
}

bool IsBound(int socket) {
  // net/xdp/xsk.c: xsk_recvmsg, xsk_check_common. Netlink's sock_diag would tell more, but is a module.
  return recv(socket, nullptr, 0, MSG_DONTWAIT) == 0 || errno != ENXIO;
}

absl::StatusOr<uint64_t> SocketCookie(int socket) {
  uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  if (getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length) != 0) {
    return KernelError(errno, "reading SO_COOKIE");
  }
  return cookie;
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
