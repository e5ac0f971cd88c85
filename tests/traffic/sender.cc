#include "tests/traffic/sender.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/traffic/clock.h"
#include "tests/traffic/ledger.h"

namespace sluice::flowgen {
namespace {

// Small compared with veth's ring of 256 packets and a tap's of 500.
constexpr double kCatchUpPackets = 16;
// If a window stays full this long without an arrival, its packets are lost. A busy machine may keep the device under
// test from running for seconds.
constexpr int64_t kWriteOffNs = 20 * kNsPerSecond;
// If the kernel takes nothing for this long, the interface is gone, or down for good.
constexpr int64_t kGiveUpNs = 120 * kNsPerSecond;
// The wait for room in the window or in the kernel: about the time that two packets take through a device.
constexpr int64_t kRetryNs = 20 * kNsPerUs;

}  // namespace

absl::StatusOr<Sender> Sender::Open(int ifindex, const FrameFormat& format, const SendPlan& plan,
                                    std::function<uint64_t()> received) {
  UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));  // protocol 0: receives nothing
  if (!fd) {
    return absl::ErrnoToStatus(errno, "packet socket (CAP_NET_RAW needed)");
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = ifindex;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, "packet socket: bind for sending");
  }
  return Sender(std::move(fd), format, plan, std::move(received));
}

Sender::Sender(UniqueFd fd, const FrameFormat& format, const SendPlan& plan, std::function<uint64_t()> received)
    : fd_(std::move(fd)),
      plan_(plan),
      received_(std::move(received)),
      frames_(kBatch, FrameBuilder(format)),
      flows_(plan.flows),
      sent_(std::make_unique<std::atomic<uint64_t>>(0)) {}

absl::Status Sender::Run(const std::atomic<bool>& stop) {
  prctl(PR_SET_TIMERSLACK, 1);  // in ns; the default of 50 us is half the spacing of packets at 10 kpps
  while (!stop.load(std::memory_order_relaxed)) {
    const int64_t now_ns = NowNs();
    if (Finished(now_ns)) {
      break;
    }
    const uint64_t due = DueAt(now_ns);
    if (due == 0) {
      const double next = static_cast<double>(totals_.sent) * kNsPerSecond / plan_.rate_pps + slipped_ns_;
      // Sleep briefly, to notice `stop` and the end in time.
      SleepUntilNs(std::min(plan_.start_ns + static_cast<int64_t>(next), now_ns + 10 * kNsPerMs));
      continue;
    }
    const uint64_t room = RoomInWindow(now_ns);
    if (room == 0) {
      SleepUntilNs(now_ns + kRetryNs);
      continue;
    }
    const uint64_t left = plan_.count == 0 ? kBatch : plan_.count - totals_.sent;
    absl::Status status = SendBatch(std::min({due, room, left, kBatch}), now_ns);
    if (!status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

bool Sender::Finished(int64_t now_ns) const {
  return (plan_.count != 0 && totals_.sent >= plan_.count) || (plan_.end_ns != 0 && now_ns >= plan_.end_ns);
}

// Returns how many packets are due and not sent.
uint64_t Sender::DueAt(int64_t now_ns) {
  if (plan_.rate_pps == 0) {
    return kBatch;
  }
  const double packet_ns = kNsPerSecond / plan_.rate_pps;
  const double late_ns =
      static_cast<double>(now_ns - plan_.start_ns) - slipped_ns_ - static_cast<double>(totals_.sent) * packet_ns;
  if (late_ns < 0) {
    return 0;
  }
  totals_.longest_stall_ns = std::max(totals_.longest_stall_ns, static_cast<int64_t>(late_ns));
  const double due = late_ns / packet_ns + 1;
  if (due > kCatchUpPackets) {
    slipped_ns_ += (due - kCatchUpPackets) * packet_ns;
    return static_cast<uint64_t>(kCatchUpPackets);
  }
  return static_cast<uint64_t>(due);
}

uint64_t Sender::RoomInWindow(int64_t now_ns) {
  if (plan_.window == 0) {
    return kBatch;
  }
  const uint64_t received = received_();
  const uint64_t settled = received + totals_.written_off;
  const uint64_t outstanding = totals_.sent > settled ? totals_.sent - settled : 0;
  if (outstanding < plan_.window) {
    window_full_ns_ = 0;
    return plan_.window - outstanding;
  }
  if (window_full_ns_ == 0 || received != window_received_) {
    window_full_ns_ = now_ns;
    window_received_ = received;
  } else if (now_ns - window_full_ns_ > kWriteOffNs) {
    totals_.written_off += outstanding;
    window_full_ns_ = 0;
  }
  return 0;
}

absl::Status Sender::SendBatch(uint64_t packets, int64_t now_ns) {
  std::array<mmsghdr, kBatch> messages{};
  std::array<iovec, kBatch> vectors{};
  // A batch may have several packets of one flow. Their spacing after the first is 0.
  for (uint64_t i = 0; i < packets; ++i) {
    const uint32_t flow = (next_flow_ + i) % plan_.flows;
    const uint64_t ahead = i / plan_.flows;
    Stamp stamp;
    stamp.run = plan_.run;
    stamp.direction = plan_.direction;
    stamp.flow = flow;
    stamp.sequence = static_cast<uint32_t>(kFirstSequence + flows_[flow].sent + ahead);
    stamp.send_ns = now_ns;
    stamp.spacing_ns = ahead > 0 || flows_[flow].sent == 0 ? 0 : now_ns - flows_[flow].last_send_ns;
    const absl::Span<const uint8_t> frame = frames_[i].Build(stamp);
    vectors[i] = {.iov_base = const_cast<uint8_t*>(frame.data()), .iov_len = frame.size()};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int sent = sendmmsg(fd_.get(), messages.data(), static_cast<unsigned int>(packets), MSG_DONTWAIT);
  if (sent > 0) {
    CountSent(static_cast<uint64_t>(sent), now_ns);
    return absl::OkStatus();
  }
  return CountFailure(errno, now_ns);
}

void Sender::CountSent(uint64_t packets, int64_t now_ns) {
  for (uint64_t i = 0; i < packets; ++i) {
    flows_[next_flow_].sent += 1;
    flows_[next_flow_].last_send_ns = now_ns;
    next_flow_ = (next_flow_ + 1) % plan_.flows;
  }
  totals_.sent += packets;
  totals_.last_send_ns = now_ns;
  totals_.first_send_ns = totals_.first_send_ns == 0 ? now_ns : totals_.first_send_ns;
  sent_->store(totals_.sent, std::memory_order_relaxed);  // relaxed: the number only shows the progress
  failing_since_ns_ = 0;
  if (plan_.interval_ns > 0) {
    const auto row = static_cast<size_t>((now_ns - plan_.start_ns) / plan_.interval_ns);
    timeline_.resize(std::max(timeline_.size(), row + 1));
    timeline_[row] += packets;
  }
}

absl::Status Sender::CountFailure(int error, int64_t now_ns) {
  if (error == ENOBUFS || error == EAGAIN) {
    ++totals_.refused;
  } else if (error == EMSGSIZE) {
    return absl::InvalidArgumentError("frames are longer than the interface's MTU allows");
  } else {
    ++totals_.errors;
  }
  if (failing_since_ns_ == 0) {
    failing_since_ns_ = now_ns;
  } else if (now_ns - failing_since_ns_ > kGiveUpNs) {
    return absl::ErrnoToStatus(error, "sending: the kernel has taken no packet for 2 minutes");
  }
  SleepUntilNs(now_ns + kRetryNs);
  return absl::OkStatus();
}

}  // namespace sluice::flowgen
