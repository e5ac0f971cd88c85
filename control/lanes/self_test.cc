#include "control/lanes/self_test.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/kernel_error.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr absl::Duration kLookEvery = absl::Microseconds(200);

absl::StatusOr<SelfTestToken> DrawToken() {
  SelfTestToken token;
  if (getrandom(token.data(), sizeof(token), 0) != static_cast<ssize_t>(sizeof(token))) {
    return KernelError(errno, "drawing a random token");
  }
  token[0] |= 1;
  return token;
}

absl::Status Failed(uint32_t queue, const std::string& step) {
  return absl::FailedPreconditionError(
      absl::StrCat("the self-test failed at queue ", queue, ": ", step,
                   "; nothing steers packets, and all is put back. Start sluice-agent again, and if it stays like this "
                   "report the log of both programs"));
}

class SelfTest {
 public:
  SelfTest(Port& port, uint32_t index, const LaneSet& lanes, DataplaneClient& dataplane, absl::Duration bound,
           const SelfTestToken& token)
      : port_(port), index_(index), lanes_(lanes), dataplane_(dataplane), bound_(bound), token_(token) {}

  // Returns the parts that were left out, in words; Unimplemented when all were.
  absl::StatusOr<std::string> Run() {
    for (uint32_t queue = 0; queue < port_.queue_pairs(); ++queue) {
      const absl::StatusOr<sluice_self_test> seen = port_.TestQueue(queue, token_, /*live=*/false);
      if (absl::Status s = seen.ok() ? Judge(queue, *seen) : seen.status(); !s.ok()) {
        return s;
      }
    }
    if (lanes_.zero_copy()) {
      return std::string("the sockets' own part was left out, as zero-copy mode has no way to test it");
    }
    const absl::Status s = SendLive();
    return absl::IsUnimplemented(s) ? absl::StatusOr<std::string>(std::string(s.message()))
           : s.ok()                 ? absl::StatusOr<std::string>("")
                                    : s;
  }

 private:
  absl::Status Judge(uint32_t queue, const sluice_self_test& seen) const {
    if (seen.seen == 0 && port_.other_xdp_programs() > 0) {
      return absl::UnimplementedError("another program of its XDP dispatcher keeps the frame (xdp-loader status)");
    }
    if (seen.seen == 0) {
      return Failed(queue, "its XDP program did not see the frame");
    }
    if (seen.has_socket == 0) {
      return Failed(queue, "XDP finds no socket for it (map " SLUICE_MAP_XSKS ")");
    }
    if (seen.socket_queue != queue) {
      return Failed(queue, absl::StrCat("the socket that XDP finds for it is bound to queue ", seen.socket_queue));
    }
    return absl::OkStatus();
  }

  absl::Status SendLive() {
    const auto received = [this] { return dataplane_.stats().port(0, index_).self_test_packets.Get(); };
    const uint64_t before = received();
    absl::Status s = dataplane_.ExpectSelfTest(0, token_);
    if (s.ok()) {
      s = port_.TestQueue(0, token_, /*live=*/true).status();
    }
    const SteadyTime deadline = SteadyTime::Now() + bound_;
    while (s.ok() && received() == before && SteadyTime::Now() < deadline) {
      absl::SleepFor(kLookEvery);
    }
    if (s.ok() && received() == before) {
      s = Failed(0, absl::StrCat("XDP sent a frame to the socket, and in ", absl::FormatDuration(bound_),
                                 " the dataplane received none: the socket may be another device's"));
    }
    const absl::Status ended = dataplane_.ExpectSelfTest(0, std::nullopt);
    return s.ok() ? ended : s;
  }

  Port& port_;
  const uint32_t index_;
  const LaneSet& lanes_;
  DataplaneClient& dataplane_;
  const absl::Duration bound_;
  const SelfTestToken token_;
};

}  // namespace

absl::Status RunSelfTest(PortSet& ports, const LaneSet& lanes, DataplaneClient& dataplane, absl::Duration bound) {
  for (uint32_t index = 0; index < ports.size(); ++index) {
    Port& port = ports[index];
    const absl::StatusOr<SelfTestToken> token = DrawToken();
    if (!token.ok()) {
      return token.status();
    }
    const SteadyTime begin = SteadyTime::Now();
    const absl::StatusOr<std::string> left_out = SelfTest(port, index, lanes, dataplane, bound, *token).Run();
    if (!left_out.ok() && !absl::IsUnimplemented(left_out.status())) {
      return OnPort(port.netdev(), left_out.status());
    }
    const uint32_t pairs = port.queue_pairs();
    SelfTestNote note;
    if (!left_out.ok()) {
      note = {false, absl::StrCat("the self-test was left out: ", left_out.status().message())};
    } else if (!left_out->empty()) {
      note = {false, absl::StrCat("XDP finds the sockets of ", pairs, " queues; ", *left_out)};
    } else {
      note = {true, absl::StrCat("XDP finds the sockets of ", pairs,
                                 " queues, and a frame on queue 0 reached the dataplane with its VLAN tag")};
    }
    spdlog::info("{}: self-test: {} ({})", port.netdev(), note.words,
                 absl::FormatDuration(absl::Trunc(SteadyTime::Now() - begin, absl::Microseconds(1))));
    port.set_self_test(std::move(note));
  }
  return absl::OkStatus();
}

}  // namespace sluice
