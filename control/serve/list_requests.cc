#include "control/serve/list_requests.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/kernel/vital_addresses.h"
#include "control/rules/source_list_text.h"
#include "control/steering/list_guard.h"

namespace sluice {
namespace {

constexpr uint64_t kMostConfirmMs = 24 * 3600 * 1000;

ListKind KindOf(bool allow) {
  return allow ? ListKind::kAllow : ListKind::kBlock;
}

uint64_t BlockedPackets(const Served& served) {
  uint64_t packets = 0;
  for (const Port& port : served.ports) {
    packets += port.Packets(SLUICE_VERDICT_BLOCKED, 0, SLUICE_MAX_QUEUES);
  }
  return packets;
}

// Returns the length of the longest prefix of the list that covers this one; NotFound when none does.
absl::StatusOr<uint32_t> Covering(const Served& served, ListKind kind, const Prefix& prefix) {
  const std::optional<SourceList>& list = served.steering.list(kind);
  return list.has_value() ? list->Covering(TrieKey(prefix, 0, 0)) : absl::NotFoundError("there is no list");
}

absl::StatusOr<SourcePrefixes> Parse(const wire::ChangeBlocklistRequest& request) {
  switch (request.change_case()) {
    case wire::ChangeBlocklistRequest::kAdd:
      return ParseSources({request.add().prefixes().begin(), request.add().prefixes().end()});
    case wire::ChangeBlocklistRequest::kRemove:
      return ParseSources({request.remove().prefixes().begin(), request.remove().prefixes().end()});
    case wire::ChangeBlocklistRequest::kConfirm:
    case wire::ChangeBlocklistRequest::kRollback:
      return SourcePrefixes();
    case wire::ChangeBlocklistRequest::kReplace:
    case wire::ChangeBlocklistRequest::CHANGE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("the agent does not know this change of a list; is sluicectl newer than it?");
}

// A download that failed half-way is shorter than it should be, or empty.
absl::Status CheckSize(const wire::ChangeBlocklistRequest& request, uint64_t entries) {
  const std::string& file = request.replace().file();
  if (entries == 0 && !request.allow_empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(file, ": has no entry; --allow-empty takes it all the same; nothing was changed"));
  }
  if (entries < request.min_entries()) {
    return absl::FailedPreconditionError(absl::StrCat(file, ": ", entries, entries == 1 ? " entry" : " entries",
                                                      ", and --min wants ", request.min_entries(),
                                                      "; nothing was changed"));
  }
  return absl::OkStatus();
}

std::vector<VitalAddress> VitalTo(const google::protobuf::RepeatedPtrField<std::string>& logins) {
  std::vector<VitalAddress> vital = VitalAddresses();
  for (const std::string& login : logins) {
    Prefix prefix;
    PrefixNotes notes;
    if (ParseLoosePrefix(login, prefix, notes).empty()) {
      VitalAddress one{{}, "from which you are logged in"};
      one.address.family = prefix.family;
      std::memcpy(one.address.addr_be, prefix.address.data(), prefix.family == 4 ? 4 : 16);
      vital.push_back(std::move(one));
    }
  }
  return vital;
}

// Refuses an allow-list without an address that the blocklist has and that is allowed now. `allowed`: the new list.
absl::Status CheckStillAllowed(absl::Span<const VitalAddress> vital, const Served& served,
                               const std::function<bool(const Prefix&)>& allowed) {
  for (const VitalAddress& one : vital) {
    const Prefix host = HostPrefix(one.address);
    if (Covering(served, ListKind::kBlock, host).ok() && Covering(served, ListKind::kAllow, host).ok() &&
        !allowed(host)) {
      return absl::FailedPreconditionError(
          absl::StrCat(AddressText(host), ", ", one.role, ", is on the blocklist and would be allowed no more"));
    }
  }
  return absl::OkStatus();
}

// Returns the place of a loaded prefix.
std::function<std::string(size_t)> PlaceIn(const std::string& file, const SourcePrefixes& parsed) {
  return [&file, &parsed](size_t i) {
    return i < parsed.lines.size() ? absl::StrCat(file, ":", parsed.lines[i], ": ") : "";
  };
}

absl::Status FindLockout(const wire::ChangeBlocklistRequest& request, const SourcePrefixes& parsed,
                         const Served& served) {
  const std::vector<Prefix>& prefixes = parsed.prefixes;
  const std::vector<VitalAddress> vital = VitalTo(request.logins());
  if (!request.allow()) {
    const auto allowed = [&](const Prefix& host) { return Covering(served, ListKind::kAllow, host).ok(); };
    return request.has_remove() ? absl::OkStatus()
                                : CheckBlocks(prefixes, vital, allowed, PlaceIn(request.replace().file(), parsed));
  }
  if (request.has_add()) {
    return absl::OkStatus();
  }
  // A prefix that goes may leave a longer one: the longest decides who goes with it.
  const auto stays = [&](const Prefix& host) {
    const absl::StatusOr<uint32_t> bits = Covering(served, ListKind::kAllow, host);
    return bits.ok() && !std::any_of(prefixes.begin(), prefixes.end(),
                                     [&](const Prefix& one) { return one.bits == *bits && Contains(one, host); });
  };
  return request.has_replace()
             ? CheckStillAllowed(vital, served, [&](const Prefix& host) { return AnyContains(prefixes, host); })
             : CheckStillAllowed(vital, served, stays);
}

absl::Status CheckChange(const wire::ChangeBlocklistRequest& request, const SourcePrefixes& parsed,
                         const Served& served) {
  if (request.force() || request.has_confirm() || request.has_rollback()) {
    return absl::OkStatus();
  }
  const absl::Status s = FindLockout(request, parsed, served);
  return s.ok()
             ? s
             : absl::Status(s.code(), absl::StrCat(s.message(), "; --force does it all the same; nothing was changed"));
}

absl::Duration ConfirmTime(const wire::ChangeBlocklistRequest& request) {
  return absl::Milliseconds(static_cast<int64_t>(std::min<uint64_t>(request.confirm_ms(), kMostConfirmMs)));
}

absl::StatusOr<wire::BlocklistResponse> AnswerChange(const wire::ChangeBlocklistRequest& request, uint64_t changed,
                                                     const std::vector<std::string>& warnings, const Served& served) {
  wire::BlocklistRequest look;
  look.set_allow(request.allow());
  absl::StatusOr<wire::BlocklistResponse> response = ShowList(look, served);
  if (response.ok()) {
    response->set_changed(changed);
    response->mutable_warnings()->Assign(warnings.begin(), warnings.end());
  }
  return response;
}

}  // namespace

absl::StatusOr<wire::BlocklistResponse> ShowList(const wire::BlocklistRequest& request, const Served& served) {
  const ListKind kind = KindOf(request.allow());
  wire::BlocklistResponse response;
  response.set_dropped_packets(BlockedPackets(served));
  const std::optional<SourceList>& list = served.steering.list(kind);
  response.set_prefixes(list.has_value() ? list->size() : 0);
  response.set_seconds_to_confirm(served.steering.unconfirmed().SecondsLeft(kind));
  response.set_file(served.steering.source(kind).config.file.value_or(""));
  if (request.address().empty()) {
    return response;
  }
  Prefix prefix;
  PrefixNotes notes;
  if (const std::string problem = ParseLoosePrefix(request.address(), prefix, notes); !problem.empty()) {
    return absl::InvalidArgumentError(problem);
  }
  const absl::StatusOr<uint32_t> bits = Covering(served, kind, prefix);
  if (!bits.ok() && !absl::IsNotFound(bits.status())) {
    return bits.status();
  }
  response.set_listed(bits.ok());
  response.set_covering_bits(bits.value_or(0));
  response.set_blocked(Covering(served, ListKind::kBlock, prefix).ok() &&
                       !Covering(served, ListKind::kAllow, prefix).ok());
  return response;
}

absl::Status CheckMayLoad(const Served& served) {
  return served.steering.unconfirmed().RefuseWhileWaiting();
}

ListLoad::Job JobOf(std::shared_ptr<const wire::ChangeBlocklistRequest> request) {
  return [request = std::move(request)](absl::FunctionRef<bool()> go_on) -> absl::StatusOr<LoadedLists> {
    absl::StatusOr<LoadedList> list =
        ParseList(request->replace().text(), request->replace().file(), Quotes::kShown, go_on);
    if (!list.ok()) {
      return list.status();
    }
    LoadedLists lists;
    lists[static_cast<size_t>(KindOf(request->allow()))] = *std::move(list);
    return lists;
  };
}

absl::StatusOr<wire::BlocklistResponse> PutLoadedList(const wire::ChangeBlocklistRequest& request, LoadedLists loaded,
                                                      const Served& served) {
  const ListKind kind = KindOf(request.allow());
  LoadedList& list = *loaded[static_cast<size_t>(kind)];
  absl::Status s = CheckSize(request, list.parsed.entries);
  if (s.ok()) {
    s = CheckChange(request, list.parsed, served);
  }
  if (s.ok()) {
    s = served.steering.ReplaceList(kind, std::move(list.trie), ConfirmTime(request));
  }
  const std::optional<SourceList>& now = served.steering.list(kind);
  return s.ok() ? AnswerChange(request, now.has_value() ? now->size() : 0, list.parsed.warnings, served) : s;
}

absl::Status CheckLists(const LoadedLists& loaded, const google::protobuf::RepeatedPtrField<std::string>& logins,
                        const Served& served) {
  const std::optional<LoadedList>& block = loaded[static_cast<size_t>(ListKind::kBlock)];
  const std::optional<LoadedList>& allow = loaded[static_cast<size_t>(ListKind::kAllow)];
  const auto allowed = [&](const Prefix& host) {
    return allow.has_value() && !allow->stays ? AnyContains(allow->parsed.prefixes, host)
                                              : Covering(served, ListKind::kAllow, host).ok();
  };
  const std::vector<VitalAddress> vital = VitalTo(logins);
  if (block.has_value() && !block->stays) {
    return CheckBlocks(block->parsed.prefixes, vital, allowed,
                       PlaceIn(block->source.config.file.value_or(""), block->parsed));
  }
  return CheckStillAllowed(vital, served, allowed);
}

absl::StatusOr<wire::BlocklistResponse> ChangeList(const wire::ChangeBlocklistRequest& request, const Served& served) {
  absl::StatusOr<SourcePrefixes> parsed = Parse(request);
  absl::Status s = parsed.status();
  if (s.ok()) {
    s = CheckChange(request, *parsed, served);
  }
  if (!s.ok()) {
    return s;
  }
  const ListKind kind = KindOf(request.allow());
  Steering& steering = served.steering;
  absl::StatusOr<uint64_t> changed = uint64_t{0};
  const absl::Duration confirm = ConfirmTime(request);
  if (request.has_add()) {
    changed = steering.AddToList(kind, KeysOf(parsed->prefixes), confirm);
  } else if (request.has_remove()) {
    changed = steering.RemoveFromList(kind, KeysOf(parsed->prefixes), confirm);
  } else if (request.has_confirm()) {
    s = steering.unconfirmed().Confirm(kind);
  } else {
    s = steering.unconfirmed().RollBack(kind);
  }
  if (!s.ok() || !changed.ok()) {
    return s.ok() ? changed.status() : s;
  }
  return AnswerChange(request, *changed, parsed->warnings, served);
}

}  // namespace sluice
