// Takes any bytes as the messages of a dataplane's greeting: a length of two bytes, a number of descriptors, and a
// message, again and again. A greeting that is complete is one that the agent can index its arrays with.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "control/dataplane/greeting.h"
#include "dataplane/contract/stats_segment.h"
#include "tests/fuzz/require.h"

namespace {

using sluice::Require;

void CheckGreeting(const sluice::Greeting& greeting) {
  Require(greeting.hello.held_lanes() == greeting.lanes.size() && greeting.lanes.size() <= sluice::kMaxLanes);
  Require(static_cast<bool>(greeting.stats) == greeting.hello.configured());
  const int ports = greeting.hello.configuration().ports_size();
  std::set<uint32_t> indices;
  for (const sluice::SurvivingLane& lane : greeting.lanes) {
    Require(lane.spec.index() < sluice::kMaxLanes && indices.insert(lane.spec.index()).second);
    Require(lane.worker < sluice::kMaxWorkers);
    Require(ports >= 1 && ports <= static_cast<int>(sluice::kMaxPorts) && lane.spec.sockets_size() == ports);
    Require(lane.fds.size() == 1 + 2 * static_cast<size_t>(ports));
    for (int port = 0; port < ports; ++port) {
      Require(lane.spec.sockets(port).port() == static_cast<uint32_t>(port));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kHeader = 3;
  constexpr size_t kMostDescriptors = 16;
  const sluice::UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  sluice::GreetingParser parser;
  while (size >= kHeader) {
    const size_t bytes = std::min<size_t>(data[0] | data[1] << 8, size - kHeader);
    std::vector<sluice::UniqueFd> fds;
    for (size_t i = 0; i < data[2] % kMostDescriptors; ++i) {
      fds.emplace_back(fcntl(null.get(), F_DUPFD_CLOEXEC, 0));
    }
    sluice::dataplane::Report report;
    if (!report.ParseFromArray(data + kHeader, static_cast<int>(bytes))) {
      return 0;
    }
    const absl::StatusOr<bool> complete = parser.Take(report, std::move(fds));
    if (!complete.ok()) {
      Require(absl::IsDataLoss(complete.status()) || absl::IsFailedPrecondition(complete.status()));
      return 0;
    }
    if (*complete) {
      CheckGreeting(parser.Finish());
      return 0;
    }
    data += kHeader + bytes;
    size -= kHeader + bytes;
  }
  return 0;
}
