#include "control/cli/commands_rules.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "control/cli/ask.h"
#include "control/cli/login.h"
#include "control/cli/output.h"
#include "control/cli/render_rules.h"
#include "control/wire/framing.h"
#include "dataplane/base/whole_file.h"

namespace sluice::cli {
namespace {

// Far longer than a blocklist of a million prefixes takes, which is some seconds.
constexpr absl::Duration kLoadTimeout = absl::Minutes(2);

std::string NameOf(const std::string& file) {
  return file == "-" ? "standard input" : file;
}

// Errors are printed.
std::optional<std::string> ReadInput(const std::string& file) {
  absl::StatusOr<std::string> text =
      file == "-" ? ReadToEnd(STDIN_FILENO, NameOf(file), kMaxChangeBytes) : ReadFileOrPipe(file, kMaxChangeBytes);
  if (!text.ok()) {
    PrintError(std::string(text.status().message()));
    return std::nullopt;
  }
  return *std::move(text);
}

ExitCode Rules(const Context& context, const wire::Request& request) {
  ExitCode code = kDone;
  if (const auto response = Ask(context, request, kLookTimeout, wire::Response::kRules, code); response.has_value()) {
    PrintMessage(context, response->rules(), [&] { return RenderRules(response->rules(), context.style); });
  }
  return code;
}

ExitCode ShowList(const Context& context, const wire::Request& request) {
  ExitCode code = kDone;
  const auto response = Ask(context, request, kLoadTimeout, wire::Response::kBlocklist, code);
  if (response.has_value()) {
    for (const std::string& warning : response->blocklist().warnings()) {
      PrintError("warning: " + warning);
    }
    PrintMessage(context, response->blocklist(), [&] { return RenderList(response->blocklist(), request); });
  }
  return code;
}

wire::ChangeBlocklistRequest& Fill(wire::Request& request, const ListChange& change) {
  wire::ChangeBlocklistRequest& out = *request.mutable_change_blocklist();
  out.set_allow(change.allow);
  out.set_force(change.force);
  out.set_allow_empty(change.allow_empty);
  out.set_min_entries(change.min_entries);
  if (change.confirm.has_value()) {
    out.set_confirm_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(*change.confirm)));
  }
  for (std::string& login : LoginAddresses()) {
    out.add_logins(std::move(login));
  }
  return out;
}

}  // namespace

ExitCode RunRules(const Context& context) {
  wire::Request request;
  request.mutable_rules();
  return Rules(context, request);
}

ExitCode RunAddRule(const Context& context, const std::map<std::string, std::string>& fields, uint32_t before) {
  wire::Request request;
  auto& add = *request.mutable_change_rules()->mutable_add();
  add.mutable_fields()->insert(fields.begin(), fields.end());
  add.set_before(before);
  return Rules(context, request);
}

ExitCode RunDeleteRules(const Context& context, const std::vector<uint32_t>& ids) {
  wire::Request request;
  request.mutable_change_rules()->mutable_remove()->mutable_ids()->Assign(ids.begin(), ids.end());
  return Rules(context, request);
}

ExitCode RunReplaceRules(const Context& context, const std::string& file) {
  const std::optional<std::string> text = ReadInput(file);
  if (!text.has_value()) {
    return kRefused;
  }
  wire::Request request;
  auto& replace = *request.mutable_change_rules()->mutable_replace();
  replace.set_text(*text);
  replace.set_file(NameOf(file));
  return Rules(context, request);
}

ExitCode RunList(const Context& context, bool allow, const std::string& address) {
  wire::Request request;
  request.mutable_blocklist()->set_allow(allow);
  request.mutable_blocklist()->set_address(address);
  return ShowList(context, request);
}

ExitCode RunAddToList(const Context& context, const ListChange& change, const std::vector<std::string>& prefixes) {
  wire::Request request;
  Fill(request, change).mutable_add()->mutable_prefixes()->Assign(prefixes.begin(), prefixes.end());
  return ShowList(context, request);
}

ExitCode RunRemoveFromList(const Context& context, const ListChange& change, const std::vector<std::string>& prefixes) {
  wire::Request request;
  Fill(request, change).mutable_remove()->mutable_prefixes()->Assign(prefixes.begin(), prefixes.end());
  return ShowList(context, request);
}

ExitCode RunReplaceList(const Context& context, const ListChange& change, const std::string& file) {
  std::optional<std::string> text = ReadInput(file);
  if (!text.has_value()) {
    return kRefused;
  }
  wire::Request request;
  auto& replace = *Fill(request, change).mutable_replace();
  replace.set_text(*std::move(text));
  replace.set_file(NameOf(file));
  return ShowList(context, request);
}

ExitCode RunConfirmList(const Context& context, bool allow) {
  wire::Request request;
  request.mutable_change_blocklist()->set_allow(allow);
  request.mutable_change_blocklist()->mutable_confirm();
  return ShowList(context, request);
}

ExitCode RunRollBackList(const Context& context, bool allow) {
  wire::Request request;
  request.mutable_change_blocklist()->set_allow(allow);
  request.mutable_change_blocklist()->mutable_rollback();
  return ShowList(context, request);
}

}  // namespace sluice::cli
