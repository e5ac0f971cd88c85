// A machine in memory on which resize plans run: ports with channels and XDP, lanes with sockets, and the rules by
// which the kernel and the dataplane refuse a step. A test can also have the N-th step refused.
#ifndef SLUICE_TESTS_RESIZE_DEVICE_MODEL_H_
#define SLUICE_TESTS_RESIZE_DEVICE_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/resize/resize_repair.h"
#include "control/resize/resize_run.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

struct Machine {
  Machine(uint32_t ports, uint32_t pairs) : channels(ports, pairs), xdp(ports, true), transmit(pairs), workers(pairs) {
    for (uint32_t lane = 0; lane < pairs; ++lane) {
      lanes[lane] = true;
    }
  }

  std::string Describe() const {
    std::string text = absl::StrCat("transmit ", transmit, ", workers ", workers, "; channels");
    for (size_t port = 0; port < channels.size(); ++port) {
      absl::StrAppend(&text, " ", channels[port], xdp[port] ? "" : " without XDP");
    }
    absl::StrAppend(&text, "; lanes");
    for (const auto& [lane, bound] : lanes) {
      absl::StrAppend(&text, " ", lane, bound ? "" : " unbound");
    }
    return text;
  }

  // virtnet_set_channels refuses while XDP is on; net/ethtool/channels.c refuses to take a queue that has a socket.
  absl::Status SetChannels(uint32_t port, uint32_t count) {
    if (xdp[port] || kernel_keeps_queues > count) {
      return absl::FailedPreconditionError("the kernel refuses ethtool -L");
    }
    for (const auto& [lane, bound] : lanes) {
      if (bound && lane >= count) {
        return absl::FailedPreconditionError(absl::StrCat("queue ", lane, " has a socket"));
      }
    }
    channels[port] = count;
    return absl::OkStatus();
  }

  absl::Status MakeLane(uint32_t lane) {
    return lanes.emplace(lane, false).second
               ? absl::OkStatus()
               : absl::AlreadyExistsError(absl::StrCat("lane ", lane, " is held already"));
  }

  absl::Status BindLane(uint32_t lane) {
    if (lane >= *std::min_element(channels.begin(), channels.end()) || lanes.count(lane) == 0 || lanes[lane]) {
      return absl::FailedPreconditionError(absl::StrCat("lane ", lane, " cannot be bound"));
    }
    lanes[lane] = true;
    return absl::OkStatus();
  }

  absl::Status OpenLane(uint32_t lane) {
    absl::Status s = MakeLane(lane);
    return s.ok() ? BindLane(lane) : s;
  }

  absl::Status CloseLane(uint32_t lane) {
    if (lane < transmit) {
      return absl::FailedPreconditionError(absl::StrCat("frames still leave by lane ", lane));
    }
    lanes.erase(lane);
    return absl::OkStatus();
  }

  absl::Status SetTransmit(uint32_t count) {
    for (uint32_t lane = 0; lane < count; ++lane) {
      if (lanes.count(lane) == 0) {
        return absl::FailedPreconditionError(absl::StrCat("lane ", lane, " is not held"));
      }
    }
    transmit = count;
    return absl::OkStatus();
  }

  std::vector<uint32_t> channels;  // by port
  std::vector<bool> xdp;
  std::map<uint32_t, bool> lanes;  // lane -> bound
  uint32_t transmit, workers;
  uint32_t kernel_keeps_queues = 0;  // no fewer than this, because of another program's socket
};

class MachineActions : public ResizeActions {
 public:
  explicit MachineActions(Machine& machine) : machine_(machine) {}

  absl::Status Do(const Step& step, SteadyTime /*deadline*/) override {
    const bool refused = refuse == done_;
    ++done_;
    return refused ? absl::FailedPreconditionError("the kernel said no") : Run(step, /*forward=*/true);
  }
  absl::Status Undo(const Step& step) override { return Run(step, /*forward=*/false); }

  std::optional<size_t> refuse;  // the number of the step that is refused

 private:
  absl::Status Run(const Step& step, bool forward) {
    const uint32_t to = forward ? step.to : step.from;
    absl::Status s;
    switch (step.kind) {
      case StepKind::kSetTransmitLanes:
        return machine_.SetTransmit(to);
      case StepKind::kSuspendXdp:
      case StepKind::kResumeXdp:
        machine_.xdp.assign(machine_.xdp.size(), (step.kind == StepKind::kResumeXdp) == forward);
        break;
      case StepKind::kMakeLanes:
      case StepKind::kBindLanes:
      case StepKind::kCloseLanes:
        for (uint32_t lane = std::min(step.from, step.to); lane < std::max(step.from, step.to); ++lane) {
          s.Update(RunForLane(step.kind, lane, forward));
        }
        return s;
      case StepKind::kSetChannels:
        return machine_.SetChannels(step.port, to);
      case StepKind::kPlaceLanes:
        machine_.workers = to;
        break;
      default:
        break;  // changes nothing in this model
    }
    return absl::OkStatus();
  }

  absl::Status RunForLane(StepKind kind, uint32_t lane, bool forward) {
    if ((kind == StepKind::kCloseLanes) == forward) {
      return machine_.CloseLane(lane);
    }
    return kind == StepKind::kMakeLanes   ? machine_.MakeLane(lane)
           : kind == StepKind::kBindLanes ? machine_.BindLane(lane)
                                          : machine_.OpenLane(lane);
  }

  Machine& machine_;
  size_t done_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_RESIZE_DEVICE_MODEL_H_
