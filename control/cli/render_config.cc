#include "control/cli/render_config.h"

#include "absl/strings/str_cat.h"

namespace sluice::cli {
namespace {

std::string RuleLine(const wire::RuleChange& change, Style style) {
  if (change.change() == "added") {
    return absl::StrCat(Paint("+", Colour::kGreen, style), " rule ", change.to(), ": ", change.rule(), "\n");
  }
  if (change.change() == "removed") {
    return absl::StrCat(Paint("-", Colour::kRed, style), " rule ", change.from(), ": ", change.rule(), "\n");
  }
  return absl::StrCat("  rule ", change.from(), " becomes rule ", change.to(), ": ", change.rule(), "\n");
}

}  // namespace

std::string RenderChanges(const wire::ConfigResponse& response, Style style) {
  std::string text;
  if (!response.changes().empty()) {
    Table table({{"KEY"}, {"RUNNING"}, {"FILE"}, {"CHANGES"}});
    for (const wire::ConfigChange& change : response.changes()) {
      table.Add({change.key(), change.before(), change.after(), change.needs_restart() ? "by a restart" : "live"});
    }
    text += table.Text(style);
  }
  for (const wire::RuleChange& change : response.rules()) {
    text += RuleLine(change, style);
  }
  return text.empty() ? "no differences\n" : text;
}

std::string RenderConfigStatus(const wire::ConfigStatus& config, Style style) {
  if (config.file().empty()) {
    return "";
  }
  std::string text = absl::StrCat("configuration ", config.file(), "\n");
  for (const std::string& problem : config.problems()) {
    text += Paint(Wrap("  ", problem), Colour::kYellow, style);
  }
  if (!config.has_pending()) {
    return text;
  }
  const wire::PendingConfig& pending = config.pending();
  const std::string line =
      pending.seconds_left() > 0
          ? absl::StrCat("not confirmed: rolled back in ", pending.seconds_left(),
                         " s without `sluicectl config confirm`")
          : absl::StrCat(pending.file(), " is being rolled back",
                         pending.error().empty() ? "" : absl::StrCat(", which did not work yet: ", pending.error()));
  return text + Paint(Wrap("  ", line), Colour::kYellow, style);
}

}  // namespace sluice::cli
