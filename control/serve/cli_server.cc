#include "control/serve/cli_server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/doctor/doctor.h"
#include "control/serve/config_answers.h"
#include "control/serve/function_requests.h"
#include "control/serve/rule_requests.h"
#include "control/wire/framing.h"
#include "control/wire/unix_socket.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr timeval kClientPatience{2, 0};

bool IsMember(const ucred& peer, const char* group_name) {
  const group* wanted = getgrnam(group_name);
  if (wanted == nullptr) {
    return false;
  }
  const gid_t gid = wanted->gr_gid;
  if (peer.gid == gid) {
    return true;
  }
  const passwd* user = getpwuid(peer.uid);
  if (user == nullptr) {
    return false;
  }
  int count = 64;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  if (getgrouplist(user->pw_name, user->pw_gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<size_t>(count));
    if (getgrouplist(user->pw_name, user->pw_gid, groups.data(), &count) < 0) {
      return false;
    }
  }
  return std::find(groups.begin(), groups.begin() + count, gid) != groups.begin() + count;
}

bool Changes(const wire::Request& request, const Served& served) {
  return (request.has_set_queues() && !request.set_queues().dry_run()) || request.has_set_workers() ||
         request.has_change_rules() || request.has_change_blocklist() || request.has_config_apply() ||
         request.has_config_confirm() || request.has_config_rollback() ||
         (request.has_function() && Changes(request.function(), served));
}

bool MayChange(const ucred& peer) {
  return peer.uid == 0 || IsMember(peer, "sluice-admin");
}

absl::Status CheckRights(const ucred& peer, const wire::Request& request, const Served& served) {
  const bool changes = Changes(request, served);
  if (MayChange(peer) || (!changes && IsMember(peer, "sluice"))) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      changes ? "changing needs root or membership of group sluice-admin: use sudo, or `usermod -aG sluice-admin USER`"
              : "reading needs root or membership of group sluice: use sudo, or `usermod -aG sluice USER`");
}

wire::Response Refuse(const absl::Status& s) {
  wire::Response response;
  response.set_result(absl::IsDeadlineExceeded(s) ? wire::RESULT_TIMED_OUT : wire::RESULT_REFUSED);
  response.set_error(std::string(s.message()));
  return response;
}

// A client that gets no answer knows nothing; one that gets a refusal can ask for less.
absl::Status Send(int client, const wire::Response& response) {
  absl::Status sent = WriteFrame(client, response);
  if (!absl::IsInvalidArgument(sent)) {
    return sent;
  }
  return WriteFrame(client, Refuse(absl::ResourceExhaustedError(
                                absl::StrCat("the answer is too large: ", sent.message(), "; ask for less"))));
}

// Puts `answer` into its place in the response, or makes the response a refusal.
template <typename Message>
wire::Response Respond(absl::StatusOr<Message> answer, Message& place, wire::Response& response) {
  if (!answer.ok()) {
    return Refuse(answer.status());
  }
  place = *std::move(answer);
  return std::move(response);
}

// Answers with the plan and, where it `ran` and was not empty, with its outcome.
wire::Response AnswerResize(const absl::StatusOr<ResizePlan>& plan, bool ran, const Served& served) {
  if (!plan.ok()) {
    return Refuse(plan.status());
  }
  wire::Response response;
  wire::ResizeResponse& resize = *response.mutable_resize();
  resize.set_method(LeverName(plan->lever));
  for (const Step& step : plan->steps) {
    resize.add_steps(step.text);
  }
  for (const std::string& warning : plan->warnings) {
    resize.add_warnings(warning);
  }
  if (ran && plan->lever != Lever::kNone) {
    const FinishedResize& finished = *served.resizer.last_resize();
    *resize.mutable_outcome() = MakeLastResize(finished);
    if (!finished.outcome.error.ok()) {
      response.set_result(absl::IsDeadlineExceeded(finished.outcome.error) ? wire::RESULT_TIMED_OUT
                                                                           : wire::RESULT_REFUSED);
      response.set_error(absl::StrCat(finished.outcome.error.message(), "; ",
                                      finished.outcome.state == ResizeOutcome::State::kRolledBack
                                          ? "rolled back, everything is as before"
                                          : "see sluicectl status and the agent's log"));
    }
  }
  return response;
}

wire::Response SetQueues(const wire::SetQueuesRequest& request, const Served& served) {
  absl::StatusOr<std::optional<Lever>> lever = ParseLever(request.method());
  if (!lever.ok()) {
    return Refuse(lever.status());
  }
  const absl::Duration bound =
      request.timeout_ms() == 0 ? Resizer::kBound : absl::Milliseconds(static_cast<int64_t>(request.timeout_ms()));
  const ResizeWish wish{request.count(), *lever, request.force()};
  return AnswerResize(served.resizer.Resize(wish, request.dry_run(), absl::Now() + bound), !request.dry_run(), served);
}

// Returns the size of the frames that the lanes have; the smallest, since a packet may come in by any lane. A lane that
// was taken over keeps the size it was made with.
std::optional<uint32_t> FrameSizeBytes(const LaneSet& lanes) {
  std::optional<uint32_t> bytes;
  for (const auto& [index, lane] : lanes.lanes()) {
    const uint32_t its = lane.sockets.layout.frame_size_bytes;
    bytes = std::min(bytes.value_or(its), its);
  }
  return bytes;
}

wire::Response Examine(const wire::DoctorRequest& request, const Served& served) {
  std::vector<PortToExamine> ports;
  for (uint32_t index = 0; index < served.ports.size(); ++index) {
    const Port& port = served.ports[index];
    if (request.port().empty() || request.port() == port.name() || request.port() == port.netdev()) {
      ports.push_back({port.name(), port.netdev(), served.resizer.wanted_pairs(), FrameSizeBytes(served.lanes),
                       DroppedInXdp(served, index)});
    }
  }
  if (ports.empty()) {
    return Refuse(absl::NotFoundError(NoSuchPort(request.port(), PortNames(served.config.ports))));
  }
  absl::StatusOr<std::vector<wire::Finding>> findings = Examine(ports);
  if (!findings.ok()) {
    return Refuse(findings.status());
  }
  wire::Response response;
  response.mutable_doctor()->mutable_findings()->Assign(findings->begin(), findings->end());
  return response;
}

}  // namespace

absl::StatusOr<CliServer> CliServer::Listen(const std::string& path) {
  absl::StatusOr<UniqueFd> listener = ListenUnix(path, SOCK_STREAM);
  if (!listener.ok()) {
    return listener.status();
  }
  // Anyone may connect; CheckRights() decides which requests a client may make.
  constexpr mode_t kEveryone = 0666;
  if (chmod(path.c_str(), kEveryone) != 0 || fcntl(listener->get(), F_SETFL, O_NONBLOCK) != 0) {
    return absl::InternalError(absl::StrCat(path, ": ", strerror(errno)));
  }
  return CliServer(*std::move(listener));
}

void CliServer::ServeOne(const Served& served, ConfigKeeper& configs) {
  const UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) {
    return;
  }
  (void)setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &kClientPatience, sizeof(kClientPatience));
  (void)setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &kClientPatience, sizeof(kClientPatience));
  const absl::StatusOr<ucred> peer = PeerOf(client.get());
  wire::Request request;
  absl::Status s = ReadFrame(client.get(), request, peer.ok() && MayChange(*peer) ? kMaxChangeBytes : kMaxFrameBytes);
  if (!s.ok()) {
    spdlog::debug("a client did not ask anything: {}", std::string(s.message()));
    return;
  }
  s = peer.ok() ? CheckRights(*peer, request, served) : peer.status();
  const wire::Response response = s.ok() ? Answer(request, served, configs) : Refuse(s);
  if (absl::Status sent = Send(client.get(), response); !sent.ok()) {
    spdlog::debug("a client did not wait for its answer: {}", std::string(sent.message()));
  }
}

wire::Response CliServer::Answer(const wire::Request& request, const Served& served, ConfigKeeper& configs) {
  wire::Response response;
  switch (request.body_case()) {
    case wire::Request::kStatus:
      *response.mutable_status() = MakeStatus(served, worker_times_);
      *response.mutable_status()->mutable_config() = configs.Status();
      return response;
    case wire::Request::kStats:
      *response.mutable_stats() = MakeStats(served);
      return response;
    case wire::Request::kSetQueues:
      return SetQueues(request.set_queues(), served);
    case wire::Request::kSetWorkers:
      return AnswerResize(served.resizer.SetWorkers(request.set_workers().count(), absl::Now() + Resizer::kBound), true,
                          served);
    case wire::Request::kDoctor:
      return Examine(request.doctor(), served);
    case wire::Request::kRules:
      return Respond(ListRules(served), *response.mutable_rules(), response);
    case wire::Request::kChangeRules:
      return Respond(ChangeRules(request.change_rules(), served), *response.mutable_rules(), response);
    case wire::Request::kBlocklist:
      return Respond(ShowBlocklist(request.blocklist(), served), *response.mutable_blocklist(), response);
    case wire::Request::kChangeBlocklist:
      return Respond(ChangeBlocklist(request.change_blocklist(), served), *response.mutable_blocklist(), response);
    case wire::Request::kConfigDiff:
    case wire::Request::kConfigApply:
    case wire::Request::kConfigConfirm:
    case wire::Request::kConfigRollback: {
      absl::StatusOr<wire::Response> answer = AnswerConfig(request, configs);
      return answer.ok() ? *std::move(answer) : Refuse(answer.status());
    }
    case wire::Request::kFunction:
      return Respond(AnswerFunction(request.function(), served), *response.mutable_function(), response);
    case wire::Request::BODY_NOT_SET:
      break;
  }
  return Refuse(absl::InvalidArgumentError("the agent does not know this request; is sluicectl newer than it?"));
}

}  // namespace sluice
