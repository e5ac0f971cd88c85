#include "control/kernel/steering_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "control/kernel/bpf_programs.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

constexpr uint32_t kConfigKey = 0;

// A rule that no packet matches: VLAN ids end at 4095.
sluice_rule InertRule() {
  sluice_rule rule{};
  rule.match = SLUICE_MATCH_VLAN;
  rule.vlan = 0xffff;
  rule.action = SLUICE_ACTION_PASS;
  return rule;
}

absl::Status MapError(absl::string_view verb, const char* map) {
  return KernelError(errno, absl::StrCat(verb, " map ", map));
}

// sluice_address as a set element: its bytes, which have no padding.
using AddressBytes = std::array<char, sizeof(sluice_address)>;
static_assert(sizeof(sluice_address) == 20, "no padding that would make equal addresses differ");

AddressBytes BytesOf(const sluice_address& address) {
  AddressBytes bytes;
  std::memcpy(bytes.data(), &address, sizeof(address));
  return bytes;
}

// One CPU's element in the answer of a per-CPU map is rounded up to this.
static_assert(sizeof(sluice_counters) % 8 == 0 && sizeof(sluice_rule_hits) % 8 == 0);

absl::StatusOr<size_t> PossibleCpus() {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 1) {
    return KernelError(-cpus, "counting possible CPUs");
  }
  return static_cast<size_t>(cpus);
}

}  // namespace

absl::StatusOr<SteeringMaps> SteeringMaps::Open(const std::string& pin_dir) {
  SteeringMaps maps;
  for (const auto& [name, fd] : {std::pair<const char*, UniqueFd*>{SLUICE_MAP_XSKS, &maps.xsks_},
                                 {SLUICE_MAP_CONFIG, &maps.config_},
                                 {SLUICE_MAP_RULES, &maps.rules_},
                                 {SLUICE_MAP_RULE_HITS, &maps.rule_hits_},
                                 {SLUICE_MAP_LOCALS, &maps.locals_},
                                 {SLUICE_MAP_COUNTERS, &maps.counters_}}) {
    absl::StatusOr<UniqueFd> map = OpenPinnedMap(pin_dir, name);
    if (!map.ok()) {
      return map.status();
    }
    *fd = std::move(*map);
  }
  return maps;
}

absl::Status SteeringMaps::RemoveSocket(uint32_t queue) {
  if (bpf_map_delete_elem(xsks_.get(), &queue) != 0 && errno != ENOENT) {
    return MapError(absl::StrCat("removing queue ", queue, " from"), SLUICE_MAP_XSKS);
  }
  return absl::OkStatus();
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

// An array element is replaced by memcpy under the program's eyes (kernel/bpf/arraymap.c:
// array_map_update_elem), so a packet may see a config that is half old, half new. Bank and count must
// therefore never change together: both banks are inert beyond their rules, the count first grows to what
// covers both sets, then the bank flips, then the count shrinks to the new set's.
absl::Status SteeringMaps::SetRules(absl::Span<const sluice_rule> rules) {
  if (rules.size() > SLUICE_MAX_RULES) {
    return absl::InvalidArgumentError(absl::StrCat(rules.size(), " rules; a port can have ", SLUICE_MAX_RULES));
  }
  absl::StatusOr<sluice_config> config = GetConfig();
  if (!config.ok()) {
    return config.status();
  }
  const absl::StatusOr<size_t> cpus = PossibleCpus();
  if (!cpus.ok()) {
    return cpus.status();
  }
  const sluice_rule inert = InertRule();
  const std::vector<sluice_rule_hits> no_hits(*cpus);
  const uint32_t idle = (config->rule_bank + 1) % SLUICE_RULE_BANKS;
  for (uint32_t i = 0; i < SLUICE_MAX_RULES; ++i) {
    const uint32_t slot = idle * SLUICE_MAX_RULES + i;
    if (bpf_map_update_elem(rules_.get(), &slot, i < rules.size() ? &rules[i] : &inert, BPF_ANY) != 0) {
      return MapError(absl::StrCat("writing rule ", i, " to"), SLUICE_MAP_RULES);
    }
    if (bpf_map_update_elem(rule_hits_.get(), &slot, no_hits.data(), BPF_ANY) != 0) {
      return MapError(absl::StrCat("clearing rule ", i, " in"), SLUICE_MAP_RULE_HITS);
    }
    const uint32_t active_slot = config->rule_bank * SLUICE_MAX_RULES + i;
    if (i >= config->rule_count && bpf_map_update_elem(rules_.get(), &active_slot, &inert, BPF_ANY) != 0) {
      return MapError(absl::StrCat("clearing rule ", i, " in"), SLUICE_MAP_RULES);
    }
  }
  const auto new_count = static_cast<uint32_t>(rules.size());
  config->rule_count = std::max(config->rule_count, new_count);
  absl::Status status = SetConfig(*config);
  if (status.ok()) {
    config->rule_bank = idle;
    status = SetConfig(*config);
  }
  if (status.ok()) {
    config->rule_count = new_count;
    status = SetConfig(*config);
  }
  return status;
}

absl::Status SteeringMaps::SetLocals(absl::Span<const sluice_address> addresses) {
  std::set<AddressBytes> wanted;
  for (const sluice_address& address : addresses) {
    wanted.insert(BytesOf(address));
  }
  if (wanted.size() > SLUICE_MAX_LOCAL_ADDRESSES) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the guest has ", wanted.size(), " addresses; the steering program can know ", SLUICE_MAX_LOCAL_ADDRESSES));
  }
  std::set<AddressBytes> present;
  AddressBytes key;
  for (int more = bpf_map_get_next_key(locals_.get(), nullptr, key.data()); more == 0;
       more = bpf_map_get_next_key(locals_.get(), key.data(), key.data())) {
    present.insert(key);
  }
  std::vector<AddressBytes> stale, missing;
  std::set_difference(present.begin(), present.end(), wanted.begin(), wanted.end(), std::back_inserter(stale));
  std::set_difference(wanted.begin(), wanted.end(), present.begin(), present.end(), std::back_inserter(missing));

  const auto add = [&]() {
    const uint8_t yes = 1;
    for (const AddressBytes& address : missing) {
      if (bpf_map_update_elem(locals_.get(), address.data(), &yes, BPF_ANY) != 0) {
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
  // Adds come first, so that an address which only moved between interfaces is never missing. A full map
  // leaves no choice.
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
