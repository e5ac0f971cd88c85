#include "control/dataplane/dataplane_client.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "control/kernel/progress.h"
#include "control/kernel/thread_state.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/cpu_list.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Bound of the time that a closing lane waits for the kernel to give its last frames back.
constexpr uint32_t kDrainMs = 1000;
// Bound of holding lanes back once the change is made. Sending the last frames of the old lanes takes microseconds, on
// an emulated guest milliseconds, and more where the host gives it no time.
constexpr uint32_t kFenceMs = 300;

}  // namespace

void DataplaneClient::SetDown() {
  down_ = true;
  gone_ = false;
}

void DataplaneClient::SetUp() {
  down_ = gone_ = false;
  why_ended_.clear();
}

// Returns an error that says what hangs.
absl::Status DataplaneClient::StillWorks() {
  NoteProgress();
  if (!connection_.connected() || !stats_.has_value()) {
    return absl::OkStatus();
  }
  const pid_t process = connection_.pid();
  std::vector<Watchdog::Thread> threads = {{"its control thread", process, stats_->control_beats(), true}};
  for (uint32_t w = 0; w < kMaxWorkers; ++w) {
    const WorkerStats& worker = stats_->worker(w);
    if (const auto thread = static_cast<pid_t>(worker.thread.Get()); thread != 0) {
      threads.push_back({absl::StrCat("worker ", w), thread, worker.beats.Get()});
    }
  }
  const auto read = [process](pid_t thread) { return ReadThreadState(process, thread); };
  Watchdog::AddNew(ThreadsOf(process), read, threads);
  const Watchdog::Verdict verdict = watchdog_.Look(MonotonicNs(), threads, read);
  if (verdict.hangs) {
    starved_.clear();
    return absl::DeadlineExceededError(verdict.why);
  }
  if (verdict.why != starved_) {
    spdlog::warn("the dataplane is starved: {}", verdict.why.empty() ? "no longer" : verdict.why);
    starved_ = verdict.why;
  }
  return absl::OkStatus();
}

// Kills it. Returns the error of the call that found out.
absl::Status DataplaneClient::End(const absl::Status& why) {
  spdlog::error("the dataplane (pid {}) is killed: {}", connection_.pid(), std::string(why.message()));
  connection_.Drop(absl::ZeroDuration());
  why_ended_ = std::string(why.message());
  down_ = gone_ = true;
  return absl::UnavailableError(absl::StrCat("the dataplane was killed: ", why_ended_));
}

void DataplaneClient::Watch() {
  if (const absl::Status s = StillWorks(); !s.ok()) {
    (void)End(s);
  }
}

absl::StatusOr<std::vector<uint32_t>> DataplaneClient::CpusOfWorker(uint32_t worker) const {
  const auto thread = stats_.has_value() ? static_cast<pid_t>(stats_->worker(worker).thread.Get()) : 0;
  // Its word alone might name somebody else's thread.
  if (thread <= 0 || !ReadThreadState(connection_.pid(), thread).has_value()) {
    return absl::NotFoundError(absl::StrCat("the dataplane has no thread for worker ", worker));
  }
  return AllowedCpus(thread);
}

absl::Status DataplaneClient::CheckUp() const {
  return down_ ? absl::FailedPreconditionError("the dataplane is down; it is being restarted, try again in a moment")
               : absl::OkStatus();
}

absl::Status DataplaneClient::Call(const dataplane::Request& request, absl::Span<const int> fds,
                                   dataplane::Reply* reply) {
  dataplane::Reply unwanted;
  absl::Status s = connection_.Call(
      request, fds, SteadyTime::Now() + kCallTimeout, [this] { return StillWorks(); },
      reply == nullptr ? unwanted : *reply);
  if (absl::IsDeadlineExceeded(s) || absl::IsDataLoss(s)) {
    return End(s);
  }
  if (absl::IsUnavailable(s)) {
    down_ = gone_ = true;
    if (!why_ended_.empty()) {
      return absl::UnavailableError(absl::StrCat("the dataplane was killed: ", why_ended_));
    }
  }
  return s;
}

absl::Status DataplaneClient::Configure(const dataplane::Configure& configuration, const RcuWaiter& rcu, int state_fd) {
  dataplane::Request request;
  *request.mutable_configure() = configuration;
  std::vector<int> fds = {stats_->fd(), rcu.outer_fd(), rcu.inner_fd()};
  if (state_fd >= 0) {
    fds.push_back(state_fd);
  }
  dataplane::Reply reply;
  absl::Status s = Call(request, fds, &reply);
  return !s.ok() && reply.state_refused() ? absl::DataLossError(s.message()) : s;
}

absl::Status DataplaneClient::ApplySettings(const std::map<std::string, std::string>& settings) {
  dataplane::Request request;
  request.mutable_apply_settings()->mutable_settings()->insert(settings.begin(), settings.end());
  return Call(request);
}

absl::StatusOr<dataplane::FunctionPage> DataplaneClient::QueryFunction(const dataplane::QueryFunction& query) {
  dataplane::Request request;
  *request.mutable_query_function() = query;
  dataplane::Reply reply;
  if (absl::Status s = Call(request, {}, &reply); !s.ok()) {
    return s;
  }
  return std::move(*reply.mutable_page());
}

absl::Status DataplaneClient::ShareCredit(absl::Span<const int> fds) {
  dataplane::Request request;
  request.mutable_share_credit();
  return Call(request, fds);
}

absl::Status DataplaneClient::QuarantineSentFrames(uint32_t port, uint32_t frames) {
  dataplane::Request request;
  request.mutable_quarantine_sent_frames()->set_port(port);
  request.mutable_quarantine_sent_frames()->set_frames(frames);
  return Call(request);
}

absl::Status DataplaneClient::AddLane(const dataplane::LaneSpec& lane, uint32_t worker, bool steered,
                                      absl::Span<const int> fds) {
  dataplane::Request request;
  *request.mutable_add_lane()->mutable_lane() = lane;
  request.mutable_add_lane()->set_worker(worker);
  request.mutable_add_lane()->set_unsteered(!steered);
  return Call(request, fds);
}

absl::Status DataplaneClient::SteerLane(uint32_t lane) {
  dataplane::Request request;
  request.mutable_set_lane_steering()->set_index(lane);
  request.mutable_set_lane_steering()->set_attached(true);
  return Call(request);
}

absl::Status DataplaneClient::RemoveLane(uint32_t lane) {
  dataplane::Request request;
  request.mutable_remove_lane()->set_index(lane);
  request.mutable_remove_lane()->set_drain_ms(kDrainMs);
  absl::Status s = Call(request);
  return absl::IsNotFound(s) || absl::IsUnavailable(s) ? absl::OkStatus() : s;
}

absl::Status DataplaneClient::PlaceLanes(absl::Span<const uint32_t> cores,
                                         absl::Span<const std::pair<uint32_t, uint32_t>> placements) {
  dataplane::Request request;
  dataplane::PlaceLanes& place = *request.mutable_place_lanes();
  place.mutable_cores()->Assign(cores.begin(), cores.end());
  for (const auto& [lane, worker] : placements) {
    dataplane::PlaceLanes::Placement& placement = *place.add_placements();
    placement.set_lane(lane);
    placement.set_worker(worker);
  }
  return Call(request);
}

absl::Status DataplaneClient::SetTransmitLanes(uint32_t count, bool every_lane, bool probe_flows) {
  dataplane::Request request;
  request.mutable_set_transmit_lanes()->set_lane_count(count);
  request.mutable_set_transmit_lanes()->set_every_lane(every_lane);
  request.mutable_set_transmit_lanes()->set_probe_flows(probe_flows);
  return Call(request);
}

absl::Status DataplaneClient::CountCrashDrops() {
  dataplane::Request request;
  request.mutable_count_crash_drops();
  return Call(request);
}

absl::Status DataplaneClient::ExpectSelfTest(uint32_t lane, const std::optional<SelfTestToken>& token) {
  dataplane::Request request;
  request.mutable_expect_self_test()->set_lane(lane);
  if (token.has_value()) {
    request.mutable_expect_self_test()->set_token(token->data(), sizeof(*token));
  }
  return Call(request);
}

absl::Status DataplaneClient::OffloadFlows(uint32_t epoch, absl::Span<const uint32_t> buckets,
                                           absl::Span<const int> fds) {
  dataplane::Request request;
  request.mutable_offload_flows()->set_epoch(epoch);
  request.mutable_offload_flows()->mutable_buckets()->Assign(buckets.begin(), buckets.end());
  return Call(request, fds);
}

absl::Status DataplaneClient::SetFlowEpoch(uint32_t epoch) {
  return OffloadFlows(epoch, {}, {});
}

absl::Status DataplaneClient::Fenced(absl::Span<const uint32_t> fresh, absl::FunctionRef<absl::Status()> change,
                                     absl::Span<const uint32_t> old) {
  dataplane::Request raise;
  raise.mutable_raise_fence()->mutable_lanes()->Assign(fresh.begin(), fresh.end());
  if (absl::Status s = calls_.Time("hold lanes back", [&] { return Call(raise); });
      !s.ok() && !absl::IsUnavailable(s)) {
    return s;
  }
  absl::Status changed = change();
  dataplane::Request lower;
  lower.mutable_lower_fence()->set_bound_ms(kFenceMs);
  lower.mutable_lower_fence()->set_unproven(!changed.ok());
  lower.mutable_lower_fence()->mutable_old_lanes()->Assign(old.begin(), old.end());
  if (absl::Status s = calls_.Time("wait until the old way is empty", [&] { return Call(lower); }); !s.ok()) {
    spdlog::warn("lowering the fence: {}", std::string(s.message()));
  }
  return changed;
}

absl::Status DataplaneClient::ShutDown() {
  dataplane::Request request;
  request.mutable_shutdown()->set_drain_ms(kDrainMs);
  absl::Status s = Call(request);
  constexpr absl::Duration kEnding = absl::Seconds(1);  // of a process with nothing left to do
  connection_.Drop(s.ok() ? kEnding : absl::ZeroDuration());
  return s;
}

}  // namespace sluice
