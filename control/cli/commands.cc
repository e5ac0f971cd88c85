#include "control/cli/commands.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/cli/ask.h"
#include "control/cli/output.h"
#include "control/cli/rates.h"
#include "control/cli/render_doctor.h"
#include "control/cli/render_resize.h"
#include "control/cli/render_stats.h"
#include "control/cli/render_status.h"
#include "control/config/config.h"

namespace sluice::cli {
namespace {

// A resize, which the agent bounds itself; and the time that rolling back may take beyond the user's bound.
constexpr absl::Duration kResizeTimeout = absl::Minutes(2);
constexpr absl::Duration kRollbackTime = absl::Seconds(30);
// The time between the two samples from which `status` makes rates: long enough for a figure, too short to annoy.
constexpr absl::Duration kRateInterval = absl::Milliseconds(200);

std::optional<wire::StatusResponse> AskStatus(const Context& context, ExitCode& code) {
  wire::Request request;
  request.mutable_status();
  std::optional<wire::Response> response = Ask(context, request, kLookTimeout, wire::Response::kStatus, code);
  return response.has_value() && code == kDone ? std::optional(response->status()) : std::nullopt;
}

std::optional<wire::StatsResponse> AskStats(const Context& context, ExitCode& code) {
  wire::Request request;
  request.mutable_stats();
  std::optional<wire::Response> response = Ask(context, request, kLookTimeout, wire::Response::kStats, code);
  return response.has_value() && code == kDone ? std::optional(response->stats()) : std::nullopt;
}

ExitCode Resize(const Context& context, const wire::Request& request, absl::Duration timeout) {
  ExitCode code = kDone;
  // A plan that failed is shown, too, with the steps that it had done.
  if (const auto response = Ask(context, request, timeout, wire::Response::kResize, code); response.has_value()) {
    PrintMessage(context, response->resize(), [&] { return RenderResize(response->resize(), context.style); });
  }
  return code;
}

}  // namespace

ExitCode RunStatus(const Context& context) {
  ExitCode code = kDone;
  Rates rates;
  if (!context.json) {
    const std::optional<wire::StatsResponse> before = AskStats(context, code);
    if (!before.has_value()) {
      return code;
    }
    absl::SleepFor(kRateInterval);
    const std::optional<wire::StatsResponse> after = AskStats(context, code);
    if (!after.has_value()) {
      return code;
    }
    rates = Rates(*before, *after);
  }
  if (const auto status = AskStatus(context, code); status.has_value()) {
    PrintMessage(context, *status, [&] { return RenderStatus(*status, rates, context.style); });
  }
  return code;
}

ExitCode RunQueues(const Context& context, const std::string& port) {
  ExitCode code = kDone;
  std::optional<wire::StatusResponse> status = AskStatus(context, code);
  if (!status.has_value()) {
    return code;
  }
  if (!port.empty()) {
    wire::StatusResponse one = *status;
    one.clear_ports();
    for (const wire::Port& candidate : status->ports()) {
      if (candidate.name() == port || candidate.netdev() == port) {
        *one.add_ports() = candidate;
      }
    }
    if (one.ports().empty()) {
      std::vector<std::string> names;
      for (const wire::Port& known : status->ports()) {
        names.push_back(known.name());
      }
      PrintError(NoSuchPort(port, names));
      return kRefused;
    }
    status = std::move(one);
  }
  PrintMessage(context, *status, [&] { return RenderQueues(*status, context.style); });
  return kDone;
}

ExitCode RunSetQueues(const Context& context, const SetQueues& wanted) {
  wire::Request request;
  wire::SetQueuesRequest& set = *request.mutable_set_queues();
  set.set_count(wanted.count);
  set.set_method(wanted.method);
  set.set_dry_run(wanted.dry_run);
  set.set_force(wanted.force);
  absl::Duration wait = kResizeTimeout;
  if (wanted.timeout.has_value()) {
    set.set_timeout_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(*wanted.timeout)));
    wait = *wanted.timeout + kRollbackTime;
  }
  return Resize(context, request, wait);
}

ExitCode RunAutoscale(const Context& context, bool hold) {
  wire::Request request;
  request.mutable_autoscale()->set_hold(hold);
  ExitCode code = kDone;
  const auto response = Ask(context, request, kLookTimeout, wire::Response::kAutoscale, code);
  if (response.has_value() && code == kDone) {
    PrintMessage(context, response->autoscale(), [&] { return RenderAutoscale(response->autoscale(), context.style); });
  }
  return code;
}

ExitCode RunWorkers(const Context& context) {
  ExitCode code = kDone;
  if (const auto status = AskStatus(context, code); status.has_value()) {
    PrintMessage(context, *status, [&] { return RenderWorkers(*status, context.style); });
  }
  return code;
}

ExitCode RunSetWorkers(const Context& context, uint32_t count) {
  wire::Request request;
  request.mutable_set_workers()->set_count(count);
  return Resize(context, request, kResizeTimeout);
}

ExitCode RunStats(const Context& context, std::optional<absl::Duration> interval) {
  ExitCode code = kDone;
  std::optional<wire::StatsResponse> before;
  for (;;) {
    const std::optional<wire::StatsResponse> now = AskStats(context, code);
    if (!now.has_value()) {
      return code;
    }
    if (context.json) {
      Print(ToJson(*now, interval.has_value() ? JsonLayout::kOneLine : JsonLayout::kPretty));
    } else {
      const Rates rates = before.has_value() ? Rates(*before, *now) : Rates();
      // On a terminal each sample takes the place of the one before.
      const char* clear = interval.has_value() && context.style.redraws ? "\033[H\033[2J" : "";
      Print(absl::StrCat(clear, RenderStats(*now, rates, context.style)));
    }
    if (!interval.has_value()) {
      return kDone;
    }
    before = now;
    absl::SleepFor(*interval);
  }
}

ExitCode RunDoctor(const Context& context, const std::string& port) {
  wire::Request request;
  request.mutable_doctor()->set_port(port);
  ExitCode code = kDone;
  const auto response = Ask(context, request, kLookTimeout, wire::Response::kDoctor, code);
  if (code == kUnreachable) {
    PrintError("`sluicectl doctor --config FILE` asks the kernel itself, without an agent");
  }
  if (!response.has_value()) {
    return code;
  }
  PrintMessage(context, response->doctor(), [&] { return RenderDoctor(response->doctor(), context.style); });
  return code == kDone && HasErrors(response->doctor()) ? kRefused : code;
}

}  // namespace sluice::cli
