#include "control/serve/cli_server.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control/doctor/doctor.h"
#include "control/serve/config_answers.h"
#include "control/serve/function_requests.h"
#include "control/serve/list_load.h"
#include "control/serve/list_requests.h"
#include "control/serve/rights.h"
#include "control/serve/rule_requests.h"
#include "control/wire/framing.h"
#include "control/wire/stream_server.h"
#include "control/wire/unix_socket.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unique_fd.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// The requests that wait are at most so many, too.
constexpr StreamServer::Limits kLimits = {.connections = 64,
                                          .of_one_peer = 16,
                                          .request_bytes = size_t{kMaxChangeBytes} + 64 * size_t{kMaxFrameBytes},
                                          .to_ask = absl::Seconds(10),
                                          .to_take = absl::Seconds(10)};

// The request of SIGHUP, which has no client.
constexpr uint64_t kNobody = 0;

bool Changes(const wire::Request& request, const Served& served) {
  return (request.has_set_queues() && !request.set_queues().dry_run()) || request.has_set_workers() ||
         request.has_autoscale() || request.has_change_rules() || request.has_change_blocklist() ||
         request.has_config_apply() || request.has_config_confirm() || request.has_config_rollback() ||
         (request.has_function() && Changes(request.function(), served));
}

wire::Response Refuse(const absl::Status& s) {
  wire::Response response;
  response.set_result(absl::IsDeadlineExceeded(s) ? wire::RESULT_TIMED_OUT : wire::RESULT_REFUSED);
  response.set_error(std::string(s.message()));
  return response;
}

// A client that gets no answer knows nothing; one that gets a refusal can ask for less.
std::string ToFrame(const wire::Response& response) {
  absl::StatusOr<std::string> frame = FrameOf(response);
  if (!frame.ok()) {
    frame = FrameOf(Refuse(absl::ResourceExhaustedError(
        absl::StrCat("the answer is too large: ", frame.status().message(), "; ask for less"))));
  }
  return frame.value_or("");
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
      response.set_error(absl::StrCat(
          finished.outcome.error.message(), "; ",
          finished.outcome.state != ResizeOutcome::State::kRolledBack ? "see sluicectl status and the agent's log"
          : served.dataplane.down() ? "rolled back; another dataplane takes the same sockets over"
                                    : "rolled back, everything is as before"));
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
  wire::Response response = AnswerResize(served.resizer.Resize(wish, request.dry_run(), SteadyTime::Now() + bound),
                                         !request.dry_run(), served);
  if (response.result() == wire::RESULT_OK && !request.dry_run() && served.autoscaler.UserSetPairs()) {
    response.mutable_resize()->set_note(
        absl::StrCat("queue_pairs is \"auto\": it is held at ", request.count(), " until `sluicectl queues auto`"));
  }
  return response;
}

wire::Response SetAutoscale(const wire::AutoscaleRequest& request, const Served& served) {
  if (absl::Status s = request.hold() ? served.autoscaler.Hold() : served.autoscaler.Resume(); !s.ok()) {
    return Refuse(s);
  }
  wire::Response response;
  *response.mutable_autoscale() = MakeAutoscale(served);
  return response;
}

wire::Response Examine(const wire::DoctorRequest& request, const Served& served) {
  std::vector<PortToExamine> ports;
  for (uint32_t index = 0; index < served.ports.size(); ++index) {
    const Port& port = served.ports[index];
    if (request.port().empty() || request.port() == port.name() || request.port() == port.netdev()) {
      PortToExamine examined = {port.name(), port.netdev(), served.resizer.wanted_pairs(),
                                served.lanes.frame_size_bytes(), DroppedInXdp(served, index)};
      if (const std::optional<SelfTestNote>& note = port.self_test(); note.has_value()) {
        examined.self_test = {note->complete, note->words};
      }
      ports.push_back(std::move(examined));
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

// The requests that are complete, in order. The server's thread puts them here, the loop takes them.
class CliServer::Desk final : public StreamServer::Protocol {
 public:
  struct Asked {
    uint64_t id = 0;
    Rights rights = Rights::kNone;
    std::string frame;
  };

  absl::Status Open(UniqueFd listener) {
    StreamServer::Limits limits = kLimits;
    limits.connections = StreamServer::ShareOfDescriptors(limits.connections);
    ready_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    absl::StatusOr<std::unique_ptr<StreamServer>> server =
        ready_ ? StreamServer::Start(std::move(listener), limits, *this) : absl::ErrnoToStatus(errno, "eventfd");
    if (!server.ok()) {
      return server.status();
    }
    server_ = *std::move(server);
    return absl::OkStatus();
  }

  int fd() const { return ready_.get(); }
  StreamServer& server() { return *server_; }
  // Any thread.
  void Wake() { (void)eventfd_write(ready_.get(), 1); }

  std::optional<Asked> Next() {
    const std::lock_guard lock(mutex_);
    if (asked_.size() <= 1) {
      eventfd_t count = 0;
      (void)eventfd_read(ready_.get(), &count);
    }
    if (asked_.empty()) {
      return std::nullopt;
    }
    Asked first = std::move(asked_.front());
    asked_.pop_front();
    return first;
  }

  StreamServer::Guest Admit(int connection) override {
    const absl::StatusOr<ucred> peer = PeerOf(connection);
    const Rights rights = peer.ok() ? RightsOf(*peer) : Rights::kNone;
    StreamServer::Guest guest{peer.ok() ? peer->uid : 0, static_cast<int>(rights), std::nullopt};
    if (rights == Rights::kNone) {
      guest.refusal = ToFrame(Refuse(peer.ok() ? CheckRights(rights, /*changes=*/false) : peer.status()));
    }
    return guest;
  }

  StreamServer::Progress Look(const StreamServer::Guest& guest, absl::string_view bytes) override {
    using State = StreamServer::Progress::State;
    if (bytes.size() < kFrameLengthBytes) {
      return {State::kMore, kFrameLengthBytes, ""};
    }
    const uint32_t length = AnnouncedLength(bytes.data());
    const bool changes = guest.rights == static_cast<int>(Rights::kChange);
    if (const uint32_t most = changes ? kMaxChangeBytes : kMaxFrameBytes; length > most) {
      return {State::kRefused, 0,
              ToFrame(Refuse(absl::InvalidArgumentError(
                  absl::StrCat("a request of ", length, " bytes; at most ", most, " are taken",
                               changes ? "" : ", and more only from root and members of group sluice-admin"))))};
    }
    const size_t total = kFrameLengthBytes + length;
    return {bytes.size() < total ? State::kMore : State::kComplete, total, ""};
  }

  void Take(uint64_t id, const StreamServer::Guest& guest, std::string bytes) override {
    const std::lock_guard lock(mutex_);
    asked_.push_back({id, static_cast<Rights>(guest.rights), std::move(bytes)});
    Wake();
  }

  // Nobody waits for its answer.
  void Gone(uint64_t id) override {
    const std::lock_guard lock(mutex_);
    asked_.erase(std::remove_if(asked_.begin(), asked_.end(), [id](const Asked& asked) { return asked.id == id; }),
                 asked_.end());
  }

  std::string Farewell(StreamServer::Reason reason) override {
    switch (reason) {
      case StreamServer::Reason::kSlow:
        return ToFrame(Refuse(absl::ResourceExhaustedError("the request did not come in time")));
      case StreamServer::Reason::kFull:
        return ToFrame(Refuse(absl::ResourceExhaustedError("too many connections to the agent; try again")));
      case StreamServer::Reason::kNoMemory:
        return ToFrame(Refuse(absl::ResourceExhaustedError("the agent reads another large request; try again")));
    }
    return "";
  }

 private:
  UniqueFd ready_;  // counts up to 1 and more while asked_ is not empty, and after Wake()
  std::mutex mutex_;
  std::deque<Asked> asked_;               // guarded by mutex_
  std::unique_ptr<StreamServer> server_;  // ends before the members that its thread uses
};

struct CliServer::Loading {
  uint64_t id;        // of the request
  std::string words;  // "drop.txt is being loaded into the blocklist"
  AfterLoad after;
  ListLoad load;
};

absl::StatusOr<CliServer> CliServer::Listen(const std::string& path) {
  absl::StatusOr<UniqueFd> listener = ListenUnix(path, SOCK_STREAM);
  if (!listener.ok()) {
    return listener.status();
  }
  // Anyone may connect; the rights decide which requests a client may make.
  constexpr mode_t kEveryone = 0666;
  if (chmod(path.c_str(), kEveryone) != 0) {
    return absl::InternalError(absl::StrCat(path, ": ", strerror(errno)));
  }
  auto desk = std::make_unique<Desk>();
  if (absl::Status s = desk->Open(*std::move(listener)); !s.ok()) {
    return s;
  }
  return CliServer(std::move(desk));
}

CliServer::CliServer(std::unique_ptr<Desk> desk) : desk_(std::move(desk)) {}
CliServer::CliServer(CliServer&&) noexcept = default;
CliServer::~CliServer() = default;

int CliServer::fd() const {
  return desk_->fd();
}

void CliServer::Reply(uint64_t id, const wire::Response& response) {
  if (id != kNobody) {
    desk_->server().Answer(id, ToFrame(response));
    return;
  }
  for (const std::string& problem : response.config().problems()) {
    spdlog::error("{}", problem);
  }
  if (response.result() != wire::RESULT_OK) {
    spdlog::error("SIGHUP: the configuration was not applied: {}", response.error());
  }
  for (const std::string& warning : response.config().warnings()) {
    spdlog::warn("{}", warning);
  }
}

// Returns false if there is nothing to finish.
bool CliServer::FinishLoading() {
  if (loading_ == nullptr || !loading_->load.done()) {
    return false;
  }
  Reply(loading_->id, loading_->after(loading_->load.Finish()));
  loading_.reset();
  return true;
}

void CliServer::Load(uint64_t id, std::string words, ListLoad::Job job, AfterLoad after) {
  loading_.reset(
      new Loading{id, std::move(words), std::move(after), ListLoad(std::move(job), [this] { desk_->Wake(); })});
}

absl::Status CliServer::StartReplace(uint64_t id, wire::ChangeBlocklistRequest request, const Served& served) {
  if (absl::Status s = CheckMayLoad(served); !s.ok()) {
    return s;
  }
  const auto shared = std::make_shared<const wire::ChangeBlocklistRequest>(std::move(request));
  const auto after = [shared, &served](absl::StatusOr<LoadedLists> loaded) {
    wire::Response response;
    return loaded.ok()
               ? Respond(PutLoadedList(*shared, *std::move(loaded), served), *response.mutable_blocklist(), response)
               : Refuse(loaded.status());
  };
  Load(id,
       absl::StrCat(shared->replace().file(), " is being loaded into the ",
                    ListName(shared->allow() ? ListKind::kAllow : ListKind::kBlock)),
       JobOf(shared), after);
  return absl::OkStatus();
}

absl::Status CliServer::StartApply(uint64_t id, wire::ConfigApplyRequest request, const Served& served,
                                   ConfigKeeper& configs) {
  if (absl::Status s = configs.RefuseWhilePending(); !s.ok()) {
    return s;
  }
  absl::StatusOr<Config> wanted = ParseConfig(request.text(), request.file());
  if (!wanted.ok()) {
    Reply(id, AnswerProblems(request.file(), wanted.status(), configs));
    return absl::OkStatus();
  }
  const ListsToLoad lists = configs.ListsFor(*wanted);
  std::string words = absl::StrCat("the lists of ", request.file(), " are being loaded");
  auto after = [request = std::move(request), wanted = *std::move(wanted), &served,
                &configs](absl::StatusOr<LoadedLists> loaded) {
    absl::StatusOr<wire::Response> answer = AnswerApply(request, wanted, std::move(loaded), served, configs);
    return answer.ok() ? *std::move(answer) : Refuse(answer.status());
  };
  const auto job = [lists, copies = configs.list_copies()](absl::FunctionRef<bool()> go_on) {
    return LoadLists(lists, copies, go_on);
  };
  if (HasFiles(lists)) {
    Load(id, std::move(words), job, std::move(after));
  } else {
    Reply(id, after(job([] { return true; })));
  }
  return absl::OkStatus();
}

void CliServer::Reload(const Served& served, ConfigKeeper& configs) {
  reload_ = loading_ != nullptr;
  if (reload_) {
    return;
  }
  spdlog::info("SIGHUP: applying {}", configs.config_path());
  const absl::StatusOr<std::string> text = ReadConfigFile(configs.config_path());
  absl::Status s = text.status();
  if (s.ok()) {
    wire::ConfigApplyRequest request;
    request.set_file(configs.config_path());
    request.set_text(*text);
    s = StartApply(kNobody, std::move(request), served, configs);
  }
  if (!s.ok()) {
    spdlog::error("{} was not applied: {}", configs.config_path(), std::string(s.message()));
  }
}

void CliServer::ServeOne(const Served& served, ConfigKeeper& configs) {
  if (FinishLoading()) {
    return;
  }
  if (reload_) {
    Reload(served, configs);
  }
  std::optional<Desk::Asked> asked = desk_->Next();
  if (loading_ != nullptr && loading_->load.done()) {
    desk_->Wake();  // Next() may have taken the wake-up of the load
  }
  if (!asked.has_value()) {
    return;
  }
  wire::Request request;
  absl::string_view body = asked->frame;
  body.remove_prefix(kFrameLengthBytes);
  absl::Status s = request.ParseFromArray(body.data(), static_cast<int>(body.size()))
                       ? absl::OkStatus()
                       : absl::InvalidArgumentError(
                             "the request does not parse; are sluicectl and sluice-agent of one "
                             "version?");
  asked->frame = {};
  if (s.ok()) {
    s = CheckRights(asked->rights, Changes(request, served));
  }
  if (s.ok() && (request.has_change_blocklist() || request.has_config_apply()) && loading_ != nullptr) {
    s = absl::FailedPreconditionError(
        absl::StrCat(loading_->words, "; nothing was changed; try again when that is done"));
  } else if (s.ok() && request.change_blocklist().has_replace()) {
    s = StartReplace(asked->id, std::move(*request.mutable_change_blocklist()), served);
    if (s.ok()) {
      return;
    }
  } else if (s.ok() && request.has_config_apply()) {
    s = StartApply(asked->id, std::move(*request.mutable_config_apply()), served, configs);
    if (s.ok()) {
      return;
    }
  }
  Reply(asked->id, s.ok() ? Answer(request, served, configs) : Refuse(s));
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
      return AnswerResize(served.resizer.SetWorkers(request.set_workers().count(), SteadyTime::Now() + Resizer::kBound),
                          true, served);
    case wire::Request::kAutoscale:
      return SetAutoscale(request.autoscale(), served);
    case wire::Request::kDoctor:
      return Examine(request.doctor(), served);
    case wire::Request::kRules:
      return Respond(ListRules(served), *response.mutable_rules(), response);
    case wire::Request::kChangeRules:
      return Respond(ChangeRules(request.change_rules(), served), *response.mutable_rules(), response);
    case wire::Request::kBlocklist:
      return Respond(ShowList(request.blocklist(), served), *response.mutable_blocklist(), response);
    case wire::Request::kChangeBlocklist:
      return Respond(ChangeList(request.change_blocklist(), served), *response.mutable_blocklist(), response);
    case wire::Request::kConfigDiff:
    case wire::Request::kConfigConfirm:
    case wire::Request::kConfigRollback: {
      absl::StatusOr<wire::Response> answer = AnswerConfig(request, configs);
      return answer.ok() ? *std::move(answer) : Refuse(answer.status());
    }
    case wire::Request::kFunction:
      return Respond(AnswerFunction(request.function(), served), *response.mutable_function(), response);
    case wire::Request::kConfigApply:  // StartApply()
    case wire::Request::BODY_NOT_SET:
      break;
  }
  return Refuse(absl::InvalidArgumentError("the agent does not know this request; is sluicectl newer than it?"));
}

}  // namespace sluice
