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
      "Other packets: to the kernel when they are for the guest's own addresses, to both when they are for multicast "
      "groups "
      "that it joined, else to the network function.\n";
  return table.empty() ? absl::StrCat("no rules. ", rest) : absl::StrCat(table.Text(style), rest);
}

std::string RenderList(const wire::BlocklistResponse& list, const wire::Request& request) {
  const auto& change = request.change_blocklist();
  const bool allow = request.has_change_blocklist() ? change.allow() : request.blocklist().allow();
  const std::string& address = request.blocklist().address();
  std::string text;
  if (request.has_change_blocklist()) {
    switch (change.change_case()) {
      case wire::ChangeBlocklistRequest::kAdd:
        text = absl::StrCat(list.changed(), " added: ");
        break;
      case wire::ChangeBlocklistRequest::kRemove:
        text = absl::StrCat(list.changed(), " removed: ");
        break;
      case wire::ChangeBlocklistRequest::kReplace:
        text = "replaced: ";
        break;
      case wire::ChangeBlocklistRequest::kConfirm:
        text = "confirmed: ";
        break;
      case wire::ChangeBlocklistRequest::kRollback:
        text = "rolled back: ";
        break;
      case wire::ChangeBlocklistRequest::CHANGE_NOT_SET:
        break;
    }
  } else if (!address.empty() && allow) {
    text = absl::StrCat(address, " is ",
                        list.listed() ? absl::StrCat("allowed by a prefix of ", list.covering_bits(), " bits")
                                      : "not on the allow-list",
                        "\n");
  } else if (!address.empty()) {
    text = absl::StrCat(address, " is ",
                        list.listed() ? absl::StrCat("blocked by a prefix of ", list.covering_bits(), " bits",
                                                     list.blocked() ? "" : ", but the allow-list lets it pass")
                                      : "not blocked",
                        "\n");
  }
  absl::StrAppend(&text, list.prefixes(), " prefixes");
  if (!allow) {
    absl::StrAppend(&text, ", ", list.dropped_packets(), " packets dropped");
  }
  if (!list.file().empty()) {
    absl::StrAppend(&text, request.has_change_blocklist() ? "; until the next apply or start, which loads " : "; from ",
                    list.file());
  }
  if (list.seconds_to_confirm() > 0) {
    absl::StrAppend(&text, "; rolled back in ", list.seconds_to_confirm(), " s unless `sluicectl ",
                    allow ? "allowlist" : "blocklist", " confirm` comes");
  }
  return text + "\n";
}

}  // namespace sluice::cli
