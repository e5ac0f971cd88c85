#include "control/serve/rule_requests.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/rules/active_rules.h"
#include "control/rules/blocklist_text.h"

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

absl::StatusOr<std::vector<sluice_prefix>> ParseAll(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<sluice_prefix> prefixes;
  std::vector<std::string> problems;
  for (const std::string& text : texts) {
    const absl::StatusOr<sluice_prefix> prefix = ParseBlockedPrefix(text);
    if (prefix.ok()) {
      prefixes.push_back(*prefix);
    } else {
      problems.emplace_back(prefix.status().message());
    }
  }
  if (!problems.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  }
  return prefixes;
}

uint64_t BlockedPackets(const Served& served) {
  uint64_t packets = 0;
  for (const Port& port : served.ports) {
    packets += port.Packets(SLUICE_VERDICT_BLOCKED, 0, SLUICE_MAX_QUEUES);
  }
  return packets;
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

absl::StatusOr<wire::BlocklistResponse> ShowBlocklist(const wire::BlocklistRequest& request, const Served& served) {
  wire::BlocklistResponse response;
  response.set_dropped_packets(BlockedPackets(served));
  const std::optional<Blocklist>& list = served.steering.blocklist();
  response.set_prefixes(list.has_value() ? list->size() : 0);
  if (!request.address().empty()) {
    const absl::StatusOr<sluice_prefix> prefix = ParseBlockedPrefix(request.address());
    if (!prefix.ok()) {
      return prefix.status();
    }
    const absl::StatusOr<uint32_t> bits =
        list.has_value() ? list->Covering(*prefix) : absl::NotFoundError("there is no list");
    if (!bits.ok() && !absl::IsNotFound(bits.status())) {
      return bits.status();
    }
    response.set_blocked(bits.ok());
    response.set_covering_bits(bits.ok() ? *bits : 0);
  }
  return response;
}

absl::StatusOr<wire::BlocklistResponse> ChangeBlocklist(const wire::ChangeBlocklistRequest& request,
                                                        const Served& served) {
  uint64_t changed = 0;
  if (request.has_replace()) {
    absl::StatusOr<std::vector<sluice_prefix>> prefixes =
        ParseBlocklist(request.replace().text(), request.replace().file());
    absl::Status s = prefixes.status();
    if (s.ok()) {
      s = served.steering.ReplaceBlocklist(*std::move(prefixes));
    }
    if (!s.ok()) {
      return s;
    }
    changed = served.steering.blocklist().has_value() ? served.steering.blocklist()->size() : 0;
  } else {
    const bool add = request.has_add();
    const absl::StatusOr<std::vector<sluice_prefix>> prefixes =
        ParseAll(add ? request.add().prefixes() : request.remove().prefixes());
    if (!prefixes.ok()) {
      return prefixes.status();
    }
    const absl::StatusOr<uint64_t> count = add ? served.steering.Block(*prefixes) : served.steering.Unblock(*prefixes);
    if (!count.ok()) {
      return count.status();
    }
    changed = *count;
  }
  absl::StatusOr<wire::BlocklistResponse> response = ShowBlocklist({}, served);
  if (response.ok()) {
    response->set_changed(changed);
  }
  return response;
}

}  // namespace sluice
