#include "control/rules/steering_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "control/kernel/bpf_programs.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

constexpr uint32_t kConfigKey = 0;

// sluice_address as a set element: its bytes, which have no padding.
using AddressBytes = std::array<char, sizeof(sluice_address)>;
static_assert(sizeof(sluice_address) == 20, "no padding that would make equal addresses differ");

AddressBytes BytesOf(const sluice_address& address) {
  AddressBytes bytes;
  std::memcpy(bytes.data(), &address, sizeof(address));
  return bytes;
}

uint32_t IdleBank(const sluice_config& config) {
  return (config.rule_bank + 1) % SLUICE_RULE_BANKS;
}

}  // namespace

absl::StatusOr<SteeringMaps> SteeringMaps::Open(const std::string& pin_dir) {
  absl::StatusOr<RuleMaps> rules = RuleMaps::Open(pin_dir);
  if (!rules.ok()) {
    return rules.status();
  }
  SteeringMaps maps(*std::move(rules));
  for (const auto& [name, fd] : {std::pair<const char*, UniqueFd*>{SLUICE_MAP_XSKS, &maps.xsks_},
                                 {SLUICE_MAP_CONFIG, &maps.config_},
                                 {SLUICE_MAP_BLOCKLIST, &maps.blocked_},
                                 {SLUICE_MAP_LOCALS, &maps.locals_},
                                 {SLUICE_MAP_COUNTERS, &maps.counters_},
                                 {SLUICE_MAP_FLOWS, &maps.flows_},
                                 {SLUICE_MAP_DETAILS, &maps.details_},
                                 {SLUICE_MAP_CREDIT, &maps.credit_},
                                 {SLUICE_MAP_SELF_TEST, &maps.self_test_}}) {
    absl::StatusOr<UniqueFd> map = OpenPinnedMap(pin_dir, name);
    if (!map.ok()) {
      return map.status();
    }
    *fd = std::move(*map);
  }
  bpf_map_info info{};
  uint32_t info_bytes = sizeof(info);
  if (bpf_obj_get_info_by_fd(maps.flows_.get(), &info, &info_bytes) != 0) {
    return MapError("asking the size of", SLUICE_MAP_FLOWS);
  }
  maps.flow_buckets_ = std::has_single_bit(info.max_entries) ? info.max_entries : 0;
  return maps;
}

absl::Status SteeringMaps::SetCreditBase(uint32_t queue) {
  sluice_queue_credit credit{};
  if (bpf_map_lookup_elem(credit_.get(), &queue, &credit) != 0) {
    return MapError(absl::StrCat("reading queue ", queue, " of"), SLUICE_MAP_CREDIT);
  }
  credit.base = credit.completed = credit.delivered;
  credit.limited = 0;
  if (bpf_map_update_elem(credit_.get(), &queue, &credit, BPF_ANY) != 0) {
    return MapError(absl::StrCat("writing queue ", queue, " of"), SLUICE_MAP_CREDIT);
  }
  return absl::OkStatus();
}

absl::Status SteeringMaps::SetSelfTest(uint32_t queue, const sluice_self_test& test) {
  return bpf_map_update_elem(self_test_.get(), &queue, &test, BPF_ANY) == 0
             ? absl::OkStatus()
             : MapError(absl::StrCat("writing queue ", queue, " of"), SLUICE_MAP_SELF_TEST);
}

absl::StatusOr<sluice_self_test> SteeringMaps::GetSelfTest(uint32_t queue) const {
  sluice_self_test test{};
  if (bpf_map_lookup_elem(self_test_.get(), &queue, &test) != 0) {
    return MapError(absl::StrCat("reading queue ", queue, " of"), SLUICE_MAP_SELF_TEST);
  }
  return test;
}

absl::Status SteeringMaps::RemoveSocket(uint32_t queue) {
  if (bpf_map_delete_elem(xsks_.get(), &queue) != 0 && errno != ENOENT) {
    return MapError(absl::StrCat("removing queue ", queue, " from"), SLUICE_MAP_XSKS);
  }
  return absl::OkStatus();
}

bool SteeringMaps::ArePinnedIn(const std::string& pin_dir) const {
  return IsPinnedMap(config_.get(), pin_dir, SLUICE_MAP_CONFIG) && IsPinnedMap(xsks_.get(), pin_dir, SLUICE_MAP_XSKS);
}

absl::Status SteeringMaps::PinIn(const std::string& pin_dir) const {
  absl::Status s = rules_.PinIn(pin_dir);
  for (const auto& [name, fd] : {std::pair<const char*, const UniqueFd*>{SLUICE_MAP_XSKS, &xsks_},
                                 {SLUICE_MAP_CONFIG, &config_},
                                 {SLUICE_MAP_BLOCKLIST, &blocked_},
                                 {SLUICE_MAP_LOCALS, &locals_},
                                 {SLUICE_MAP_COUNTERS, &counters_},
                                 {SLUICE_MAP_FLOWS, &flows_},
                                 {SLUICE_MAP_DETAILS, &details_},
                                 {SLUICE_MAP_CREDIT, &credit_},
                                 {SLUICE_MAP_SELF_TEST, &self_test_}}) {
    s = s.ok() ? PinMap(fd->get(), pin_dir, name) : s;
  }
  return s;
}

absl::StatusOr<sluice_config> SteeringMaps::GetConfig() const {
  sluice_config config{};
  if (bpf_map_lookup_elem(config_.get(), &kConfigKey, &config) != 0) {
    return MapError("reading", SLUICE_MAP_CONFIG);
  }
  return config;
}

absl::Status SteeringMaps::SetConfig(const sluice_config& config) {
  if (bpf_map_update_elem(config_.get(), &kConfigKey, &config, BPF_ANY) != 0) {
    return MapError("writing", SLUICE_MAP_CONFIG);
  }
  return absl::OkStatus();
}

// The kernel replaces an array element by memcpy while programs read it (kernel/bpf/arraymap.c:
// array_map_update_elem), so a program may see a config that is half old, half new. Therefore a flip changes a single
// word of the config, the bank's number, and programs find everything else of the bank by that number.
absl::Status SteeringMaps::FlipRules() {
  absl::StatusOr<sluice_config> config = GetConfig();
  if (!config.ok()) {
    return config.status();
  }
  config->rule_bank = IdleBank(*config);
  return SetConfig(*config);
}

absl::Status SteeringMaps::FillIdleRules(absl::Span<const ActiveRule> rules) {
  const absl::StatusOr<RuleTables> tables = MakeRuleTables(rules);
  if (!tables.ok()) {
    return tables.status();
  }
  const absl::StatusOr<sluice_config> config = GetConfig();
  return config.ok() ? rules_.Fill(IdleBank(*config), *tables) : config.status();
}

absl::Status SteeringMaps::SetTrie(uint32_t place, int trie) {
  const int failed = trie >= 0 ? bpf_map_update_elem(blocked_.get(), &place, &trie, BPF_ANY)
                               : bpf_map_delete_elem(blocked_.get(), &place);
  return failed != 0 && errno != ENOENT ? MapError("writing", SLUICE_MAP_BLOCKLIST) : absl::OkStatus();
}

absl::StatusOr<UniqueFd> SteeringMaps::OpenTrie(uint32_t place) const {
  uint32_t id = 0;
  if (bpf_map_lookup_elem(blocked_.get(), &place, &id) != 0) {
    return errno == ENOENT ? absl::StatusOr<UniqueFd>(UniqueFd()) : MapError("reading", SLUICE_MAP_BLOCKLIST);
  }
  UniqueFd trie(bpf_map_get_fd_by_id(id));
  return trie ? absl::StatusOr<UniqueFd>(std::move(trie)) : MapError("opening the trie of", SLUICE_MAP_BLOCKLIST);
}

absl::Status SteeringMaps::SetList(ListKind kind, int trie) {
  return SetTrie(static_cast<uint32_t>(kind), trie);
}

absl::StatusOr<UniqueFd> SteeringMaps::OpenList(ListKind kind) const {
  return OpenTrie(static_cast<uint32_t>(kind));
}

absl::Status SteeringMaps::SetFormerList(ListKind kind, int trie) {
  return SetTrie(SLUICE_LISTS + static_cast<uint32_t>(kind), trie);
}

absl::StatusOr<UniqueFd> SteeringMaps::OpenFormerList(ListKind kind) const {
  return OpenTrie(SLUICE_LISTS + static_cast<uint32_t>(kind));
}

absl::Status SteeringMaps::SetLocals(const Locals& locals) {
  std::set<AddressBytes> wanted, groups;
  for (const sluice_address& address : locals.addresses) {
    wanted.insert(BytesOf(address));
  }
  for (const sluice_address& group : locals.groups) {
    wanted.insert(BytesOf(group));
    groups.insert(BytesOf(group));
  }
  if (wanted.size() > SLUICE_MAX_LOCAL_ADDRESSES) {
    return absl::ResourceExhaustedError(absl::StrCat("the guest has ", wanted.size(),
                                                     " addresses and multicast groups; the steering program can know ",
                                                     SLUICE_MAX_LOCAL_ADDRESSES));
  }
  std::set<AddressBytes> present;
  AddressBytes key;
  for (int more = bpf_map_get_next_key(locals_.get(), nullptr, key.data()); more == 0;
       more = bpf_map_get_next_key(locals_.get(), key.data(), key.data())) {
    present.insert(key);
  }
  if (errno != ENOENT) {
    return MapError("listing", SLUICE_MAP_LOCALS);
  }
  std::vector<AddressBytes> stale, missing;
  std::set_difference(present.begin(), present.end(), wanted.begin(), wanted.end(), std::back_inserter(stale));
  std::set_difference(wanted.begin(), wanted.end(), present.begin(), present.end(), std::back_inserter(missing));

  const auto add = [&]() {
    for (const AddressBytes& address : missing) {
      const uint8_t kind = groups.count(address) != 0 ? SLUICE_LOCAL_GROUP : SLUICE_LOCAL_ADDRESS;
      if (bpf_map_update_elem(locals_.get(), address.data(), &kind, BPF_ANY) != 0) {
        return MapError("adding an address to", SLUICE_MAP_LOCALS);
      }
    }
    return absl::OkStatus();
  };
  const auto remove = [&]() {
    for (const AddressBytes& address : stale) {
      if (bpf_map_delete_elem(locals_.get(), address.data()) != 0 && errno != ENOENT) {
        return MapError("removing an address from", SLUICE_MAP_LOCALS);
      }
    }
    return absl::OkStatus();
  };
  // Adds come first, so that an address that only moved between interfaces is never missing. A full map needs the
  // deletes first.
  const bool adds_fit = present.size() + missing.size() <= SLUICE_MAX_LOCAL_ADDRESSES;
  absl::Status first = adds_fit ? add() : remove();
  if (!first.ok()) {
    return first;
  }
  return adds_fit ? remove() : add();
}

absl::StatusOr<sluice_counters> SteeringMaps::ReadCounters(uint32_t queue) const {
  const absl::StatusOr<size_t> cpus = PossibleCpus();
  if (!cpus.ok()) {
    return cpus.status();
  }
  std::vector<sluice_counters> per_cpu(*cpus);
  if (bpf_map_lookup_elem(counters_.get(), &queue, per_cpu.data()) != 0) {
    return MapError(absl::StrCat("reading queue ", queue, " of"), SLUICE_MAP_COUNTERS);
  }
  sluice_counters sum{};
  for (const sluice_counters& one : per_cpu) {
    for (int v = 0; v < SLUICE_VERDICT_COUNT; ++v) {
      sum.packets[v] += one.packets[v];
      sum.bytes[v] += one.bytes[v];
    }
  }
  return sum;
}

}  // namespace sluice
