#include "control/cli/render_rules.h"

#include "absl/strings/str_cat.h"
#include "control/rules/rule.h"

namespace sluice::cli {
namespace {

Colour ColourOf(const std::string& action) {
  return action == "drop" ? Colour::kRed : action == "pass" ? Colour::kYellow : Colour::kGreen;
}

}  // namespace

std::string RenderRules(const wire::RulesResponse& rules, Style style) {
  Table table({{"ID", true}, {"ACTION"}, {"PACKETS", true}, {"BYTES", true}, {"MATCHES"}});
  for (const wire::Rule& rule : rules.rules()) {
    const auto action = rule.fields().find("action");
    const std::string text = action == rule.fields().end() ? "" : action->second;
    table.Add({absl::StrCat(rule.id()), Paint(text, ColourOf(text), style), absl::StrCat(rule.packets()),
               absl::StrCat(rule.bytes()), MatchText({rule.fields().begin(), rule.fields().end()})});
  }
  const char* rest =
      "Other packets: to the kernel when they are for the guest's own addresses, else to the network function.\n";
  return table.empty() ? absl::StrCat("no rules. ", rest) : absl::StrCat(table.Text(style), rest);
}

std::string RenderBlocklist(const wire::BlocklistResponse& list, const wire::Request& request) {
  std::string text;
  if (request.has_change_blocklist()) {
    const auto& change = request.change_blocklist();
    text = change.has_replace() ? "replaced: "
                                : absl::StrCat(list.changed(), change.has_add() ? " added: " : " removed: ");
  } else if (!request.blocklist().address().empty()) {
    text = absl::StrCat(
        request.blocklist().address(), " is ",
        list.blocked() ? absl::StrCat("blocked by a prefix of ", list.covering_bits(), " bits") : "not blocked", "\n");
  }
  return absl::StrCat(text, list.prefixes(), " prefixes, ", list.dropped_packets(), " packets dropped\n");
}

}  // namespace sluice::cli
