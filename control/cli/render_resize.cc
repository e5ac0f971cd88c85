#include "control/cli/render_resize.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice::cli {
namespace {

// Returns " (12 tx_ring_full, 3 no_frame)", or nothing.
std::string Reasons(const wire::LastResize& resize) {
  const std::map<std::string, uint64_t> sorted(resize.lost_by().begin(), resize.lost_by().end());
  const auto one = [](std::string* out, const auto& loss) { absl::StrAppend(out, loss.second, " ", loss.first); };
  return sorted.empty() ? "" : absl::StrCat(" (", absl::StrJoin(sorted, ", ", one), ")");
}

}  // namespace

std::string RenderOutcome(const wire::LastResize& resize, Style style, const std::string& first) {
  const bool done = resize.result() == "done";
  const std::string line = absl::StrCat(
      resize.method(), " from ", resize.from(), " to ", resize.to(), ", ",
      Paint(resize.result(), done ? Colour::kGreen : Colour::kRed, style), ": ",
      resize.blocked_ns() == 0 ? "XDP stayed on" : absl::StrCat("XDP was off for ", DurationText(resize.blocked_ns())),
      "; ", resize.bridged(), " by the bridge, ", resize.held(), " held, ", resize.lost(), " lost", Reasons(resize),
      ", ", resize.reordered() == 0 ? "" : "at most ", resize.reordered(), " reordered");
  std::string text = Wrap(first, line, style.line_columns());
  if (!resize.error().empty()) {
    text += Wrap("  ", resize.error(), style.text_columns());
  }
  return text;
}

std::string RenderResize(const wire::ResizeResponse& resize, Style style) {
  std::string text;
  for (const std::string& warning : resize.warnings()) {
    text += Paint(Wrap("warning: ", warning, style.text_columns()), Colour::kYellow, style);
  }
  const std::string note = resize.note().empty() ? "" : Wrap("note: ", resize.note(), style.text_columns());
  if (resize.method() == "none") {
    return absl::StrCat(text, "nothing to do: this is the current state\n", note);
  }
  if (!resize.has_outcome()) {
    absl::StrAppend(&text, "plan by ", resize.method(), ":\n");
    for (int i = 0; i < resize.steps_size(); ++i) {
      text += Wrap(absl::StrCat("  ", i < 9 ? " " : "", i + 1, ". "), resize.steps(i), style.text_columns());
    }
    return text;
  }
  text += RenderOutcome(resize.outcome(), style);
  for (const wire::StepTime& step : resize.outcome().steps()) {
    const std::string took = DurationText(step.took_ns());
    text += Wrap(absl::StrCat(std::string(10 - std::min<size_t>(10, took.size()), ' '), took, "  "), step.step(),
                 style.text_columns());
  }
  return text + note;
}

}  // namespace sluice::cli
