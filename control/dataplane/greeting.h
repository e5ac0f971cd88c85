// The greeting of a dataplane: Hello, then the lanes it holds (dataplane/contract/dataplane.proto). It comes from a
// stranger. A survivor of an agent that died is believed as far as its greeting agrees with the contract, here, and
// with the kernel: its memories (StatsView::Adopt, FunctionHost::Adopt) and its sockets (LaneKernel::CheckHeld).
//
// One thread.
#ifndef SLUICE_CONTROL_DATAPLANE_GREETING_H_
#define SLUICE_CONTROL_DATAPLANE_GREETING_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/dataplane.pb.h"

namespace sluice {

// A lane that a dataplane which outlived the former agent gives back.
struct SurvivingLane {
  dataplane::LaneSpec spec;
  uint32_t worker = 0;
  std::vector<UniqueFd> fds;  // in the order of LaneSpec's comment
};

struct Greeting {
  dataplane::Hello hello;
  UniqueFd stats;  // when hello.configured()
  UniqueFd state;  // the function's state memory, if it has any
  std::vector<SurvivingLane> lanes;
};

// Puts a greeting together from its messages, and checks each of them. What it takes is bounded: kMaxLanes lanes of
// kMaxPorts sockets, each lane once, with as many sockets and descriptors as the configuration has ports, in order.
class GreetingParser {
 public:
  // Returns true when the greeting is complete. DataLoss for a message that no dataplane of ours sends; after an error,
  // or when it is complete, the parser takes no more. FailedPrecondition for another contract version.
  absl::StatusOr<bool> Take(const dataplane::Report& report, std::vector<UniqueFd> fds);
  Greeting Finish() { return std::move(greeting_); }

 private:
  absl::Status TakeHello(const dataplane::Hello& hello, std::vector<UniqueFd> fds);
  absl::Status TakeLane(const dataplane::HeldLane& held, std::vector<UniqueFd> fds);

  bool has_hello_ = false;
  Greeting greeting_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_GREETING_H_
