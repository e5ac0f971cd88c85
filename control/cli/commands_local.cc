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

namespace sluice::cli {
namespace {

// Prints one problem a line; each begins with file and line.
void PrintProblems(const absl::Status& status) {
  fprintf(stderr, "%s\n", std::string(status.message()).c_str());
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
      ports.push_back({candidate.name, candidate.netdev, config->dataplane.queue_pairs});
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
  if (!config.ok()) {
    PrintProblems(config.status());
  }
  if (context.json) {
    wire::ConfigCheck check;
    check.set_valid(config.ok());
    if (!config.ok()) {
      const std::vector<std::string> problems = absl::StrSplit(std::string(config.status().message()), '\n');
      check.mutable_problems()->Assign(problems.begin(), problems.end());
    }
    Print(ToJson(check, JsonLayout::kPretty));
  } else if (config.ok()) {
    printf("%s: good. Ports %zu, queue pairs %u, function %s, rules %zu\n", config_path.c_str(), config->ports.size(),
           config->dataplane.queue_pairs, config->function.type.c_str(), config->rules.size());
  }
  return config.ok() ? kDone : kRefused;
}

}  // namespace sluice::cli
