// A dataplane in memory, at the other end of a connection. It keeps the lanes that it is given, refuses requests by the
// rules of the contract, logs every request, and dies at the request that a test names.
#ifndef SLUICE_TESTS_CONTROL_DATAPLANE_FAKE_DATAPLANE_H_
#define SLUICE_TESTS_CONTROL_DATAPLANE_FAKE_DATAPLANE_H_

#include <unistd.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "control/dataplane/dataplane_connection.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class FakeDataplane final : public DataplaneConnection {
 public:
  explicit FakeDataplane(std::vector<std::string>& log) : log_(log) {}

  static constexpr pid_t kPid = 4711;
  bool connected() const override { return alive; }
  pid_t pid() const override { return alive ? process : 0; }
  void Drop(absl::Duration grace) override {
    log_.push_back(grace > absl::ZeroDuration() ? "dataplane: dropped in peace" : "dataplane: dropped");
    alive = false;
  }
  absl::Status Call(dataplane::Request request, absl::Span<const int> fds, SteadyTime /*deadline*/,
                    StillWorks still_works, dataplane::Reply& reply) override {
    if (!alive) {
      return absl::UnavailableError("no dataplane is connected");
    }
    const std::string words = Words(request, fds.size());
    log_.push_back(absl::StrCat("dataplane: ", words));
    if (dies_at == words) {
      alive = false;
      return absl::UnavailableError("the connection broke");
    }
    for (int look = 0; hangs && look < 100; ++look) {
      if (absl::Status s = still_works(); !s.ok()) {
        return absl::DeadlineExceededError(s.message());
      }
      absl::SleepFor(absl::Milliseconds(50));
    }
    if (request.has_configure() && fds.size() > kStateFd) {
      state = UniqueFd(dup(fds[kStateFd]));
    }
    if (refuses_state && request.configure().state_used()) {
      reply.set_state_refused(true);
      return absl::FailedPreconditionError("another table");
    }
    if (const auto it = refused.find(words); it != refused.end()) {
      return it->second;
    }
    *reply.mutable_page() = page;
    return Execute(request);
  }

  struct Lane {
    bool steered = false;
    uint32_t worker = 0;
  };
  bool alive = true;
  bool hangs = false;  // answers no call, for five seconds
  pid_t process = kPid;
  std::map<uint32_t, Lane> lanes;
  uint32_t transmit_lanes = 0;
  dataplane::FunctionPage page;                 // the answer to every query
  std::map<std::string, std::string> settings;  // the function's settings, as configured or applied
  std::optional<UniqueFd> state;                // the function's memory that came last
  std::optional<std::string> fails_with_idle;   // takes settings with this value of "idle", and fails all the same
  bool refuses_state = false;                   // refuses state memory that a dataplane has used
  std::map<std::string, absl::Status> refused;  // requests in the words of the log, without the prefix
  std::optional<std::string> dies_at;

 private:
  static constexpr size_t kStateFd = 3;  // its place in Configure: behind the counters and the two maps of RCU

  // Describes a request for the log; empty lists are left out.
  static std::string Words(const dataplane::Request& request, size_t fds) {
    using dataplane::Request;
    const auto with_fds = [fds](const std::string& text) { return absl::StrCat(text, " with ", fds, " fds"); };
    switch (request.body_case()) {
      case Request::kConfigure:
        return with_fds(absl::StrCat("configure ", request.configure().function(),
                                     request.configure().state_used() ? " on used state" : ""));
      case Request::kAddLane:
        return with_fds(absl::StrCat("add lane ", request.add_lane().lane().index(),
                                     request.add_lane().unsteered() ? " unsteered" : ""));
      case Request::kRemoveLane:
        return absl::StrCat("remove lane ", request.remove_lane().index());
      case Request::kSetLaneSteering:
        return absl::StrCat("steer lane ", request.set_lane_steering().index());
      case Request::kSetTransmitLanes:
        return absl::StrCat("transmit by ", request.set_transmit_lanes().lane_count(),
                            request.set_transmit_lanes().every_lane() ? " of every lane" : "",
                            request.set_transmit_lanes().probe_flows() ? ", probing" : "");
      case Request::kPlaceLanes: {
        std::vector<std::string> lanes;
        for (const auto& placement : request.place_lanes().placements()) {
          lanes.push_back(absl::StrCat(placement.lane(), ":", placement.worker()));
        }
        return absl::StrCat("cores ", absl::StrJoin(request.place_lanes().cores(), ","), " lanes ",
                            absl::StrJoin(lanes, " "));
      }
      case Request::kRaiseFence:
        return absl::StrCat("hold ", absl::StrJoin(request.raise_fence().lanes(), ","));
      case Request::kLowerFence:
        return absl::StrCat("release after ", absl::StrJoin(request.lower_fence().old_lanes(), ","),
                            request.lower_fence().unproven() ? ", unproven" : "");
      case Request::kQuarantineSentFrames:
        return absl::StrCat("quarantine ", request.quarantine_sent_frames().frames(), " on port ",
                            request.quarantine_sent_frames().port());
      case Request::kShareCredit:
        return with_fds("share credit");
      case Request::kOffloadFlows:
        return with_fds(absl::StrCat("epoch ", request.offload_flows().epoch()));
      case Request::kExpectSelfTest:
        return absl::StrCat(request.expect_self_test().token().empty() ? "end of" : "expect", " self-test on lane ",
                            request.expect_self_test().lane());
      case Request::kCountCrashDrops:
        return "settle";
      case Request::kApplySettings:
        return "apply settings";
      case Request::kQueryFunction:
        return absl::StrCat("query ", request.query_function().command());
      case Request::kShutdown:
        return "shut down";
      case Request::BODY_NOT_SET:
        break;
    }
    return "nothing";
  }

  absl::Status Execute(const dataplane::Request& request) {
    using dataplane::Request;
    switch (request.body_case()) {
      case Request::kAddLane: {
        const auto& add = request.add_lane();
        return lanes.insert({add.lane().index(), {!add.unsteered(), add.worker()}}).second
                   ? absl::OkStatus()
                   : absl::AlreadyExistsError(absl::StrCat("lane ", add.lane().index(), " is held already"));
      }
      case Request::kConfigure:
        settings = {request.configure().settings().begin(), request.configure().settings().end()};
        return absl::OkStatus();
      case Request::kApplySettings:
        settings = {request.apply_settings().settings().begin(), request.apply_settings().settings().end()};
        return fails_with_idle == settings["idle"] ? absl::InvalidArgumentError("too short for this table")
                                                   : absl::OkStatus();
      case Request::kRemoveLane:
        return lanes.erase(request.remove_lane().index()) == 1 ? absl::OkStatus() : absl::NotFoundError("no such lane");
      case Request::kSetLaneSteering: {
        const auto lane = lanes.find(request.set_lane_steering().index());
        if (lane == lanes.end()) {
          return absl::NotFoundError("no such lane");
        }
        lane->second.steered = true;
        return absl::OkStatus();
      }
      case Request::kSetTransmitLanes:
        for (uint32_t lane = 0; lane < request.set_transmit_lanes().lane_count(); ++lane) {
          if (!lanes.contains(lane)) {
            return absl::FailedPreconditionError(absl::StrCat("lane ", lane, " is not held"));
          }
        }
        transmit_lanes = request.set_transmit_lanes().lane_count();
        return absl::OkStatus();
      case Request::kPlaceLanes:
        for (const auto& placement : request.place_lanes().placements()) {
          if (!lanes.contains(placement.lane())) {
            return absl::NotFoundError(absl::StrCat("lane ", placement.lane(), " is not held"));
          }
          lanes[placement.lane()].worker = placement.worker();
        }
        return absl::OkStatus();
      default:
        return absl::OkStatus();
    }
  }

  std::vector<std::string>& log_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_CONTROL_DATAPLANE_FAKE_DATAPLANE_H_
