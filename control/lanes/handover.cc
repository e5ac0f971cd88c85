#include "control/lanes/handover.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

dataplane::PollMode WirePoll(PollSetting poll) {
  switch (poll) {
    case PollSetting::kBusy:
      return dataplane::POLL_MODE_BUSY;
    case PollSetting::kInterrupt:
      return dataplane::POLL_MODE_INTERRUPT;
    case PollSetting::kAdaptive:
      break;
  }
  return dataplane::POLL_MODE_ADAPTIVE;
}

}  // namespace

absl::Status Handover::ToFresh(uint32_t pairs, uint32_t workers) {
  absl::StatusOr<StatsView> stats = StatsView::Make();
  if (!stats.ok()) {
    return stats.status();
  }
  dataplane_.SetStats(*std::move(stats));
  transmit_.Adopt(pairs);
  absl::Status s = Configure(workers);
  return s.ok() ? OpenAll(pairs) : s;
}

// Gives it function, ports and cores; it has workers then, and no lane.
absl::Status Handover::Configure(uint32_t workers) {
  dataplane::Configure configuration;
  configuration.set_poll(WirePoll(config_.dataplane.poll));
  for (const Port& port : ports_) {
    configuration.add_ports()->set_name(port.name());
  }
  absl::Status s = function_.Configure(configuration, rcu_, dataplane_);
  if (s.ok()) {
    s = placement_.StartWorkers(workers);
  }
  if (s.ok()) {
    s = lanes_.ShareCredit();
  }
  return s.ok() ? lanes_.QuarantineSentFrames() : s;
}

absl::Status Handover::OpenAll(uint32_t pairs) {
  absl::Status s = lanes_.Open(0, pairs, SteadyTime::Now() + DataplaneClient::kCallTimeout);
  if (s.ok()) {
    // Before the bridge lane, whose frames leave by pair lanes.
    s = transmit_.Set(transmit_.count());
  }
  if (s.ok()) {
    s = lanes_.OpenBridge();
  }
  return s.ok() ? Place() : s;
}

absl::Status Handover::ToSuccessor() {
  // A resize that lost its dataplane may have left another number.
  transmit_.Adopt(lanes_.pair_lanes());
  if (absl::Status s = Configure(placement_.workers()); !s.ok()) {
    return s;
  }
  absl::Status s = HandOverAll();
  if (absl::IsFailedPrecondition(s)) {
    // A kernel before 6.4 does not let a process map a bound socket's rings: the frames that wait in them are lost, and
    // counted by CountCrashDrops.
    spdlog::warn("{}; making other lanes in place of these", std::string(s.message()));
    lanes_.Clear();
    dataplane_.SetUp();
    s = OpenAll(ports_.queue_pairs());
  }
  return s.ok() ? dataplane_.CountCrashDrops() : s;
}

absl::Status Handover::HandOverAll() {
  absl::Status s = lanes_.HandOverPairs();
  if (s.ok() && lanes_.has_bridge_lane()) {
    // Before the bridge lane, whose frames leave by pair lanes.
    s = transmit_.Set(transmit_.count());
  }
  if (s.ok()) {
    s = lanes_.HandOverBridge();
  }
  return s.ok() ? Place() : s;
}

absl::Status Handover::Place() {
  return placement_.Place(placement_.workers(), lanes_.All());
}

absl::Status Handover::FromSurvivor(Greeting greeting) {
  if (absl::Status s = TakeOverFunction(greeting.hello.configuration(), std::move(greeting.state)); !s.ok()) {
    return s;
  }
  absl::StatusOr<StatsView> stats = StatsView::Adopt(std::move(greeting.stats));
  if (!stats.ok()) {
    return stats.status();
  }
  dataplane_.SetStats(*std::move(stats));
  for (SurvivingLane& held : greeting.lanes) {
    if (absl::Status s = lanes_.Adopt(std::move(held)); !s.ok()) {
      return s;
    }
  }
  lanes_.KeepModeOfAdopted();
  transmit_.Adopt(greeting.hello.transmit_lanes());
  placement_.Adopt({greeting.hello.cores().begin(), greeting.hello.cores().end()});
  absl::Status s = lanes_.SetBridgeSockets();
  if (s.ok()) {
    s = lanes_.ShareCredit();
  }
  return s.ok() ? lanes_.QuarantineSentFrames() : s;
}

absl::Status Handover::TakeOverFunction(const dataplane::Configure& running, UniqueFd state) {
  const bool same_ports =
      std::equal(config_.ports.begin(), config_.ports.end(), running.ports().begin(), running.ports().end(),
                 [](const PortConfig& wanted, const dataplane::PortSpec& runs) { return wanted.name == runs.name(); });
  absl::Status s = same_ports ? function_.Adopt(running, std::move(state))
                              : absl::FailedPreconditionError("it runs with other ports");
  if (!absl::IsFailedPrecondition(s)) {
    return s;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("a dataplane is running otherwise than the configuration asks for: ", s.message(),
                   "; it goes on as it is. End it (SIGTERM to pid ", dataplane_.pid(), ") and start again"));
}

}  // namespace sluice
