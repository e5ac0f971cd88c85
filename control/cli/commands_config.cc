#include "control/cli/commands_config.h"

#include <cstdio>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "control/cli/ask.h"
#include "control/cli/login.h"
#include "control/cli/output.h"
#include "control/cli/render_config.h"
#include "control/config/config.h"
#include "dataplane/base/whole_file.h"

namespace sluice::cli {
namespace {

// An apply may resize, which the agent bounds itself, and may have to be undone.
constexpr absl::Duration kApplyTimeout = absl::Minutes(2);

// Makes a path that means the same to the agent, and in `status`, whatever the working folder is.
std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

// Fills a request that carries a file: diff or apply. Prints the error when the file cannot be read.
template <typename ConfigRequest>
bool Fill(ConfigRequest& request, const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFileOrPipe(path, kMaxConfigBytes);
  if (!text.ok()) {
    PrintError(std::string(text.status().message()));
    return false;
  }
  request.set_file(Absolute(path));
  request.set_text(*text);
  return true;
}

template <typename Render>
ExitCode AskConfig(const Context& context, const wire::Request& request, absl::Duration timeout, Render render) {
  ExitCode code = kDone;
  const auto response = Ask(context, request, timeout, wire::Response::kConfig, code);
  if (!response.has_value()) {
    return code;
  }
  for (const std::string& problem : response->config().problems()) {
    fprintf(stderr, "%s\n", problem.c_str());
  }
  if (code == kDone || context.json) {
    PrintMessage(context, response->config(), [&] { return render(response->config()); });
  }
  return code;
}

}  // namespace

ExitCode RunConfigDiff(const Context& context, const std::string& config_path) {
  wire::Request request;
  if (!Fill(*request.mutable_config_diff(), config_path)) {
    return kRefused;
  }
  return AskConfig(context, request, kLookTimeout,
                   [&](const wire::ConfigResponse& response) { return RenderChanges(response, context.style); });
}

ExitCode RunConfigApply(const Context& context, const std::string& config_path, std::optional<absl::Duration> confirm) {
  wire::Request request;
  if (!Fill(*request.mutable_config_apply(), config_path)) {
    return kRefused;
  }
  if (confirm.has_value()) {
    request.mutable_config_apply()->set_confirm_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(*confirm)));
  }
  for (std::string& login : LoginAddresses()) {
    request.mutable_config_apply()->add_logins(std::move(login));
  }
  return AskConfig(context, request, kApplyTimeout, [&](const wire::ConfigResponse& response) {
    std::string text = RenderChanges(response, context.style);
    for (const wire::LoadedList& list : response.lists()) {
      absl::StrAppend(&text, list.list(), ": ", list.prefixes(), " prefixes from ", list.file(), "\n");
    }
    for (const std::string& warning : response.warnings()) {
      text += Paint(Wrap("warning: ", warning), Colour::kYellow, context.style);
    }
    return absl::StrCat(text, "applied\n", RenderConfigStatus(response.config(), context.style));
  });
}

ExitCode RunConfigConfirm(const Context& context) {
  wire::Request request;
  request.mutable_config_confirm();
  return AskConfig(context, request, kLookTimeout, [&](const wire::ConfigResponse& response) {
    return absl::StrCat("confirmed\n", RenderConfigStatus(response.config(), context.style));
  });
}

ExitCode RunConfigRollback(const Context& context) {
  wire::Request request;
  request.mutable_config_rollback();
  return AskConfig(context, request, kApplyTimeout, [&](const wire::ConfigResponse& response) {
    return absl::StrCat("rolled back\n", RenderConfigStatus(response.config(), context.style));
  });
}

}  // namespace sluice::cli
