#include "control/agent/rule_requests.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/rules/active_rules.h"
#include "control/rules/blocklist_text.h"

namespace sluice {
namespace {

absl::StatusOr<std::vector<RuleConfig>> Wanted(const wire::ChangeRulesRequest& request, const Instance& instance) {
  const std::vector<ActiveRule>& now = instance.active_rules();
  switch (request.change_case()) {
    case wire::ChangeRulesRequest::kAdd: {
      const auto& fields = request.add().fields();
      absl::StatusOr<RuleConfig> rule = MakeRule({fields.begin(), fields.end()}, PortNames(instance.config().ports));
      return rule.ok() ? WithRule(now, *std::move(rule), request.add().before())
                       : absl::StatusOr<std::vector<RuleConfig>>(rule.status());
    }
    case wire::ChangeRulesRequest::kRemove:
      return WithoutRules(now, request.remove().ids());
    case wire::ChangeRulesRequest::kReplace:
      return ParseRules(request.replace().text(), request.replace().file(), instance.config().ports);
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

uint64_t BlockedPackets(const Instance& instance) {
  uint64_t packets = 0;
  for (const AgentPort& port : instance.ports()) {
    for (uint32_t queue = 0; queue < SLUICE_MAX_QUEUES; ++queue) {
      const absl::StatusOr<sluice_counters> counters = port.maps().ReadCounters(queue);
      packets += counters.ok() ? counters->packets[SLUICE_VERDICT_BLOCKED] : 0;
    }
  }
  return packets;
}

}  // namespace

absl::StatusOr<wire::RulesResponse> ListRules(const Instance& instance) {
  wire::RulesResponse response;
  for (const ActiveRule& active : instance.active_rules()) {
    wire::Rule& rule = *response.add_rules();
    rule.set_id(active.id);
    rule.mutable_fields()->insert(active.config.fields.begin(), active.config.fields.end());
    for (const AgentPort& port : instance.ports()) {
      if (!active.config.in_port.empty() && active.config.in_port != port.config().name) {
        continue;  // its counter there is another rule's, from before
      }
      const absl::StatusOr<sluice_rule_hits> hits = port.maps().ReadHits(active.hits);
      if (!hits.ok()) {
        return OnPort(port.netdev(), hits.status());
      }
      rule.set_packets(rule.packets() + hits->packets);
      rule.set_bytes(rule.bytes() + hits->bytes);
    }
  }
  return response;
}

absl::StatusOr<wire::RulesResponse> ChangeRules(const wire::ChangeRulesRequest& request, Instance& instance) {
  absl::StatusOr<std::vector<RuleConfig>> wanted = Wanted(request, instance);
  if (!wanted.ok()) {
    return wanted.status();
  }
  if (absl::Status s = instance.ChangeRules(*std::move(wanted)); !s.ok()) {
    return s;
  }
  return ListRules(instance);
}

absl::StatusOr<wire::BlocklistResponse> ShowBlocklist(const wire::BlocklistRequest& request, const Instance& instance) {
  wire::BlocklistResponse response;
  response.set_dropped_packets(BlockedPackets(instance));
  const std::optional<Blocklist>& list = instance.blocklist();
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
                                                        Instance& instance) {
  uint64_t changed = 0;
  if (request.has_replace()) {
    absl::StatusOr<std::vector<sluice_prefix>> prefixes =
        ParseBlocklist(request.replace().text(), request.replace().file());
    absl::Status s = prefixes.status();
    if (s.ok()) {
      s = instance.ReplaceBlocklist(*std::move(prefixes));
    }
    if (!s.ok()) {
      return s;
    }
    changed = instance.blocklist().has_value() ? instance.blocklist()->size() : 0;
  } else {
    const bool add = request.has_add();
    const absl::StatusOr<std::vector<sluice_prefix>> prefixes =
        ParseAll(add ? request.add().prefixes() : request.remove().prefixes());
    if (!prefixes.ok()) {
      return prefixes.status();
    }
    const absl::StatusOr<uint64_t> count = add ? instance.Block(*prefixes) : instance.Unblock(*prefixes);
    if (!count.ok()) {
      return count.status();
    }
    changed = *count;
  }
  absl::StatusOr<wire::BlocklistResponse> response = ShowBlocklist({}, instance);
  if (response.ok()) {
    response->set_changed(changed);
  }
  return response;
}

}  // namespace sluice
