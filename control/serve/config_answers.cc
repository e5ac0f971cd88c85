#include "control/serve/config_answers.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sluice {
namespace {

constexpr absl::Duration kLongestConfirm = absl::Hours(24);

const char* KindName(RuleChange::Kind kind) {
  switch (kind) {
    case RuleChange::Kind::kAdded:
      return "added";
    case RuleChange::Kind::kRemoved:
      return "removed";
    case RuleChange::Kind::kMoved:
      return "moved";
  }
  return "";
}

wire::Response MakeAnswer(const ConfigDiff& diff, const ConfigKeeper& configs) {
  wire::Response response;
  wire::ConfigResponse& out = *response.mutable_config();
  for (const ConfigChange& change : diff.changes) {
    wire::ConfigChange& one = *out.add_changes();
    one.set_key(change.key);
    one.set_before(change.before);
    one.set_after(change.after);
    one.set_needs_restart(!change.by.live());
  }
  for (const RuleChange& change : diff.rules) {
    wire::RuleChange& one = *out.add_rules();
    one.set_change(KindName(change.kind));
    one.set_from(static_cast<uint32_t>(change.from));
    one.set_to(static_cast<uint32_t>(change.to));
    one.set_rule(change.rule);
  }
  *out.mutable_config() = configs.Status();
  return response;
}

wire::Response MakeProblems(const std::string& file, const absl::Status& problems, const ConfigKeeper& configs) {
  wire::Response response = MakeAnswer({}, configs);
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(std::string(problems.message()), '\n'))) {
    response.mutable_config()->add_problems(line);
  }
  response.set_result(wire::RESULT_REFUSED);
  response.set_error(absl::StrCat(file, " has problems; nothing was changed"));
  return response;
}

absl::StatusOr<wire::Response> Apply(const wire::ConfigApplyRequest& request, const Config& wanted,
                                     ConfigKeeper& configs) {
  if (request.confirm_ms() > static_cast<uint64_t>(absl::ToInt64Milliseconds(kLongestConfirm))) {
    return absl::InvalidArgumentError(
        absl::StrCat("at most ", absl::FormatDuration(kLongestConfirm), " to confirm; nothing was changed"));
  }
  const absl::StatusOr<AppliedConfig> applied = configs.Apply(
      wanted, request.text(), request.file(), absl::Milliseconds(static_cast<int64_t>(request.confirm_ms())));
  if (!applied.ok()) {
    return applied.status();
  }
  wire::Response response = MakeAnswer(applied->diff, configs);
  response.mutable_config()->mutable_warnings()->Assign(applied->warnings.begin(), applied->warnings.end());
  return response;
}

// Returns `answer(config)` for the file that came with the request, unless it has problems.
template <typename FileRequest, typename MakeResponse>
absl::StatusOr<wire::Response> AnswerFile(const FileRequest& request, const ConfigKeeper& configs,
                                          MakeResponse answer) {
  const absl::StatusOr<Config> wanted = ParseConfig(request.text(), request.file());
  if (!wanted.ok()) {
    return MakeProblems(request.file(), wanted.status(), configs);
  }
  return answer(*wanted);
}

absl::StatusOr<wire::Response> Answer(const absl::Status& s, const ConfigKeeper& configs) {
  if (!s.ok()) {
    return s;
  }
  return MakeAnswer({}, configs);
}

}  // namespace

absl::StatusOr<wire::Response> AnswerConfig(const wire::Request& request, ConfigKeeper& configs) {
  switch (request.body_case()) {
    case wire::Request::kConfigDiff:
      return AnswerFile(request.config_diff(), configs,
                        [&](const Config& wanted) { return MakeAnswer(configs.Diff(wanted), configs); });
    case wire::Request::kConfigApply:
      return AnswerFile(request.config_apply(), configs,
                        [&](const Config& wanted) { return Apply(request.config_apply(), wanted, configs); });
    case wire::Request::kConfigConfirm:
      return Answer(configs.Confirm(), configs);
    case wire::Request::kConfigRollback:
      return Answer(configs.Rollback(), configs);
    default:
      return absl::InternalError("not a request about configurations");
  }
}

}  // namespace sluice
