#include "control/cli/render_doctor.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace sluice::cli {
namespace {

struct Word {
  const char* text;
  Colour colour;
};

Word WordOf(wire::Severity severity) {
  switch (severity) {
    case wire::SEVERITY_OK:
      return {"ok", Colour::kGreen};
    case wire::SEVERITY_NOTE:
      return {"note", Colour::kNone};
    case wire::SEVERITY_WARNING:
      return {"warning", Colour::kYellow};
    default:
      return {"ERROR", Colour::kRed};
  }
}

std::string Padded(const std::string& text, size_t width) {
  return absl::StrCat(text, std::string(width - std::min(width, text.size()), ' '));
}

// Renders "  ERROR    napi_tx          virtio_net runs with napi_tx=0", with cost and fix below. People copy the lines
// of a fix, so they are not wrapped.
std::string FindingText(const wire::Finding& finding, Style style) {
  constexpr size_t kSeverityWidth = 9;
  constexpr size_t kCheckWidth = 17;
  const Word word = WordOf(finding.severity());
  std::string text = Wrap(absl::StrCat("  ", Padded(word.text, kSeverityWidth), Padded(finding.check(), kCheckWidth)),
                          finding.what(), style.text_columns());
  text.replace(2, std::string(word.text).size(), Paint(word.text, word.colour, style));
  const std::string indent(2 + kSeverityWidth, ' ');
  if (!finding.cost().empty()) {
    text += Wrap(absl::StrCat(indent, "cost: "), finding.cost(), style.text_columns());
  }
  if (!finding.fix().empty()) {
    const std::vector<std::string> lines = absl::StrSplit(finding.fix(), '\n');
    absl::StrAppend(&text, indent, "fix:  ", absl::StrJoin(lines, absl::StrCat("\n", indent, "      ")), "\n");
  }
  return text;
}

std::string Counted(int count, const char* singular, const char* plural) {
  return absl::StrCat(count, " ", count == 1 ? singular : plural);
}

}  // namespace

bool HasErrors(const wire::DoctorResponse& doctor) {
  return std::any_of(doctor.findings().begin(), doctor.findings().end(),
                     [](const wire::Finding& finding) { return finding.severity() == wire::SEVERITY_ERROR; });
}

std::string RenderDoctor(const wire::DoctorResponse& doctor, Style style) {
  std::vector<std::string> places;  // in the order of their first finding
  std::map<std::string, std::string> text_of;
  std::map<int, int> count_of;
  for (const wire::Finding& finding : doctor.findings()) {
    if (text_of.count(finding.port()) == 0) {
      places.push_back(finding.port());
    }
    text_of[finding.port()] += FindingText(finding, style);
    ++count_of[finding.severity()];
  }
  std::string text;
  for (const std::string& place : places) {
    absl::StrAppend(&text, Paint(place.empty() ? "machine" : absl::StrCat("port ", place), Colour::kBold, style), "\n",
                    text_of[place], "\n");
  }
  return absl::StrCat(text, Counted(count_of[wire::SEVERITY_ERROR], "error", "errors"), ", ",
                      Counted(count_of[wire::SEVERITY_WARNING], "warning", "warnings"), ", ",
                      Counted(count_of[wire::SEVERITY_NOTE], "note", "notes"), ", ", count_of[wire::SEVERITY_OK],
                      " ok\n");
}

}  // namespace sluice::cli
