#include "control/serve/rule_requests.h"

#include <string>
#include <utility>
#include <vector>

#include "control/rules/active_rules.h"

namespace sluice {
namespace {

absl::StatusOr<std::vector<RuleConfig>> Wanted(const wire::ChangeRulesRequest& request, const Served& served) {
  const std::vector<ActiveRule>& now = served.steering.active_rules();
  switch (request.change_case()) {
    case wire::ChangeRulesRequest::kAdd: {
      const auto& fields = request.add().fields();
      absl::StatusOr<RuleConfig> rule = MakeRule({fields.begin(), fields.end()}, PortNames(served.config.ports));
      return rule.ok() ? WithRule(now, *std::move(rule), request.add().before())
                       : absl::StatusOr<std::vector<RuleConfig>>(rule.status());
    }
    case wire::ChangeRulesRequest::kRemove:
      return WithoutRules(now, request.remove().ids());
    case wire::ChangeRulesRequest::kReplace:
      return ParseRules(request.replace().text(), request.replace().file(), served.config.ports);
    case wire::ChangeRulesRequest::CHANGE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("the agent does not know this change of rules; is sluicectl newer than it?");
}

}  // namespace

absl::StatusOr<wire::RulesResponse> ListRules(const Served& served) {
  wire::RulesResponse response;
  for (const ActiveRule& active : served.steering.active_rules()) {
    wire::Rule& rule = *response.add_rules();
    rule.set_id(active.id);
    rule.mutable_fields()->insert(active.config.fields.begin(), active.config.fields.end());
    for (const Port& port : served.ports) {
      if (!active.config.in_port.empty() && active.config.in_port != port.name()) {
        continue;  // its counter there is another rule's, from before
      }
      const absl::StatusOr<sluice_rule_hits> hits = port.ReadHits(active.hits);
      if (!hits.ok()) {
        return OnPort(port.netdev(), hits.status());
      }
      rule.set_packets(rule.packets() + hits->packets);
      rule.set_bytes(rule.bytes() + hits->bytes);
    }
  }
  return response;
}

absl::StatusOr<wire::RulesResponse> ChangeRules(const wire::ChangeRulesRequest& request, const Served& served) {
  absl::StatusOr<std::vector<RuleConfig>> wanted = Wanted(request, served);
  if (!wanted.ok()) {
    return wanted.status();
  }
  if (absl::Status s = served.steering.ChangeRules(*std::move(wanted)); !s.ok()) {
    return s;
  }
  return ListRules(served);
}

}  // namespace sluice
