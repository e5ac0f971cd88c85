#include "control/cli/commands_local.h"

#include <cstdio>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "control/cli/output.h"
#include "control/cli/render_doctor.h"
#include "control/config/config.h"
#include "control/doctor/doctor.h"
#include "control/rules/source_list_text.h"
#include "control/wire/framing.h"
#include "dataplane/base/whole_file.h"

namespace sluice::cli {
namespace {

// Prints one problem a line; each begins with file and line.
void PrintProblems(const absl::Status& status) {
  fprintf(stderr, "%s\n", std::string(status.message()).c_str());
}

// Unlike the agent's, these errors show the file's lines: the user may read it.
absl::Status CheckList(const ListConfig& list) {
  if (!list.file.has_value()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<std::string> text = ReadWholeFile(*list.file, kMaxChangeBytes);
  const absl::StatusOr<SourcePrefixes> parsed = text.ok() ? ParseSourceList(*text, *list.file) : text.status();
  if (parsed.ok() && parsed->entries < list.min_entries) {
    return absl::FailedPreconditionError(
        absl::StrCat(*list.file, ": has ", parsed->entries, " entries, and min_entries is ", list.min_entries));
  }
  return parsed.status();
}

}  // namespace

ExitCode RunLocalDoctor(const Context& context, const std::string& config_path, const std::string& port) {
  const absl::StatusOr<Config> config = LoadConfig(config_path);
  if (!config.ok()) {
    PrintProblems(config.status());
    return kRefused;
  }
  std::vector<PortToExamine> ports;
  for (const PortConfig& candidate : config->ports) {
    if (port.empty() || port == candidate.name || port == candidate.netdev) {
      ports.push_back({candidate.name, candidate.netdev, config->dataplane.FirstPairs()});
    }
  }
  if (ports.empty()) {
    PrintError(absl::StrCat(config_path, ": ", NoSuchPort(port, PortNames(config->ports))));
    return kRefused;
  }
  const absl::StatusOr<std::vector<wire::Finding>> findings = Examine(ports);
  if (!findings.ok()) {
    PrintError(std::string(findings.status().message()));
    return kRefused;
  }
  wire::DoctorResponse doctor;
  doctor.mutable_findings()->Assign(findings->begin(), findings->end());
  PrintMessage(context, doctor, [&] { return RenderDoctor(doctor, context.style); });
  return HasErrors(doctor) ? kRefused : kDone;
}

ExitCode RunConfigCheck(const Context& context, const std::string& config_path) {
  const absl::StatusOr<Config> config = LoadConfig(config_path);
  absl::Status s = config.status();
  if (s.ok()) {
    s = CheckList(config->blocklist);
  }
  if (s.ok()) {
    s = CheckList(config->allowlist);
  }
  if (!s.ok()) {
    PrintProblems(s);
  }
  if (context.json) {
    wire::ConfigCheck check;
    check.set_valid(s.ok());
    if (!s.ok()) {
      const std::vector<std::string> problems = absl::StrSplit(std::string(s.message()), '\n');
      check.mutable_problems()->Assign(problems.begin(), problems.end());
    }
    Print(ToJson(check, JsonLayout::kPretty));
  } else if (s.ok()) {
    const std::optional<uint32_t>& pairs = config->dataplane.queue_pairs.count;
    printf("%s: good. Ports %zu, queue pairs %s, function %s, rules %zu\n", config_path.c_str(), config->ports.size(),
           pairs.has_value() ? absl::StrCat(*pairs).c_str() : "auto", config->function.type.c_str(),
           config->rules.size());
  }
  return s.ok() ? kDone : kRefused;
}

}  // namespace sluice::cli
