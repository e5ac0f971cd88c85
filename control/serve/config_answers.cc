#include "control/serve/config_answers.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "control/serve/list_requests.h"

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

// Returns `answer(config)` for the file that came with the request, unless it has problems.
template <typename FileRequest, typename MakeResponse>
absl::StatusOr<wire::Response> AnswerFile(const FileRequest& request, const ConfigKeeper& configs,
                                          MakeResponse answer) {
  const absl::StatusOr<Config> wanted = ParseConfig(request.text(), request.file());
  if (!wanted.ok()) {
    return AnswerProblems(request.file(), wanted.status(), configs);
  }
  return answer(*wanted);
}

absl::StatusOr<wire::Response> Answer(const absl::Status& s, const ConfigKeeper& configs) {
  if (!s.ok()) {
    return s;
  }
  return MakeAnswer({}, configs);
}

void AddLists(const LoadedLists& lists, wire::ConfigResponse& response) {
  for (const ListKind kind : {ListKind::kBlock, ListKind::kAllow}) {
    const std::optional<LoadedList>& list = lists[static_cast<size_t>(kind)];
    if (list.has_value() && list->source.config.file.has_value()) {
      wire::LoadedList& one = *response.add_lists();
      one.set_list(ListName(kind));
      one.set_file(*list->source.config.file);
      one.set_prefixes(list->trie.has_value() ? list->trie->size() : 0);
      for (const std::string& warning : list->parsed.warnings) {
        response.add_warnings(absl::StrCat(*list->source.config.file, ": ", warning));
      }
    }
  }
}

}  // namespace

wire::Response AnswerProblems(const std::string& file, const absl::Status& problems, const ConfigKeeper& configs) {
  wire::Response response = MakeAnswer({}, configs);
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(std::string(problems.message()), '\n'))) {
    response.mutable_config()->add_problems(line);
  }
  response.set_result(wire::RESULT_REFUSED);
  response.set_error(absl::StrCat(file, " has problems; nothing was changed"));
  return response;
}

absl::StatusOr<wire::Response> AnswerApply(const wire::ConfigApplyRequest& request, const Config& wanted,
                                           absl::StatusOr<LoadedLists> lists, const Served& served,
                                           ConfigKeeper& configs) {
  if (request.confirm_ms() > static_cast<uint64_t>(absl::ToInt64Milliseconds(kLongestConfirm))) {
    return absl::InvalidArgumentError(
        absl::StrCat("at most ", absl::FormatDuration(kLongestConfirm), " to confirm; nothing was changed"));
  }
  if (absl::Status s = lists.ok() ? CheckLists(*lists, request.logins(), served) : lists.status(); !s.ok()) {
    return AnswerProblems(request.file(), s, configs);
  }
  wire::ConfigResponse loaded;
  AddLists(*lists, loaded);
  served.steering.Prepare(*std::move(lists));
  const absl::StatusOr<AppliedConfig> applied = configs.Apply(
      wanted, request.text(), request.file(), absl::Milliseconds(static_cast<int64_t>(request.confirm_ms())));
  served.steering.DropPrepared();
  if (!applied.ok()) {
    return applied.status();
  }
  wire::Response response = MakeAnswer(applied->diff, configs);
  response.mutable_config()->MergeFrom(loaded);
  for (const std::string& warning : applied->warnings) {
    response.mutable_config()->add_warnings(warning);
  }
  return response;
}

absl::StatusOr<wire::Response> AnswerConfig(const wire::Request& request, ConfigKeeper& configs) {
  switch (request.body_case()) {
    case wire::Request::kConfigDiff:
      return AnswerFile(request.config_diff(), configs,
                        [&](const Config& wanted) { return MakeAnswer(configs.Diff(wanted), configs); });
    case wire::Request::kConfigConfirm:
      return Answer(configs.Confirm(), configs);
    case wire::Request::kConfigRollback:
      return Answer(configs.Rollback(), configs);
    default:
      return absl::InternalError("not a request about configurations");
  }
}

}  // namespace sluice
