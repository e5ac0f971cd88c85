#include "control/rules/rule_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/kernel/bpf_programs.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

// Writes elements [first, first + values.size()) of an array in one call (kernel/bpf/syscall.c:
// generic_map_update_batch).
template <typename Value>
absl::Status WriteArray(int map, uint32_t first, const std::vector<Value>& values, const char* name) {
  if (values.empty()) {
    return absl::OkStatus();
  }
  std::vector<uint32_t> keys(values.size());
  std::iota(keys.begin(), keys.end(), first);
  auto count = static_cast<uint32_t>(values.size());
  const bpf_map_batch_opts options{.sz = sizeof(bpf_map_batch_opts), .elem_flags = BPF_ANY, .flags = 0};
  if (bpf_map_update_batch(map, keys.data(), values.data(), &count, &options) != 0) {
    return MapError("writing", name);
  }
  return absl::OkStatus();
}

uint32_t BankOf(const sluice_prefix& prefix) {
  return prefix.table >> 16;
}

}  // namespace

absl::StatusOr<RuleMaps> RuleMaps::Open(const std::string& pin_dir) {
  RuleMapFds maps;
  for (const auto& [name, fd] : {std::pair<const char*, UniqueFd*>{SLUICE_MAP_RULE_BANKS, &maps.banks},
                                 {SLUICE_MAP_RULES, &maps.rules},
                                 {SLUICE_MAP_RULE_SETS, &maps.sets},
                                 {SLUICE_MAP_RULE_VALUES, &maps.values},
                                 {SLUICE_MAP_RULE_PREFIXES, &maps.prefixes},
                                 {SLUICE_MAP_RULE_HITS, &maps.hits}}) {
    absl::StatusOr<UniqueFd> map = OpenPinnedMap(pin_dir, name);
    if (!map.ok()) {
      return map.status();
    }
    *fd = std::move(*map);
  }
  return RuleMaps(std::move(maps));
}

absl::Status RuleMaps::PinIn(const std::string& pin_dir) const {
  absl::Status s;
  for (const auto& [name, fd] : {std::pair<const char*, const UniqueFd*>{SLUICE_MAP_RULE_BANKS, &maps_.banks},
                                 {SLUICE_MAP_RULES, &maps_.rules},
                                 {SLUICE_MAP_RULE_SETS, &maps_.sets},
                                 {SLUICE_MAP_RULE_VALUES, &maps_.values},
                                 {SLUICE_MAP_RULE_PREFIXES, &maps_.prefixes},
                                 {SLUICE_MAP_RULE_HITS, &maps_.hits}}) {
    s = s.ok() ? PinMap(fd->get(), pin_dir, name) : s;
  }
  return s;
}

absl::Status RuleMaps::Fill(uint32_t bank, const RuleTables& tables) {
  if (absl::Status s = FillPrefixes(bank, tables); !s.ok()) {
    return s;
  }
  if (absl::Status s = WriteArray(maps_.sets.get(), bank * SLUICE_MAX_RULE_SETS, tables.sets, SLUICE_MAP_RULE_SETS);
      !s.ok()) {
    return s;
  }
  if (absl::Status s =
          WriteArray(maps_.values.get(), bank * SLUICE_FIELD_VALUES, tables.values, SLUICE_MAP_RULE_VALUES);
      !s.ok()) {
    return s;
  }
  const absl::StatusOr<size_t> cpus = PossibleCpus();
  if (!cpus.ok()) {
    return cpus.status();
  }
  const std::vector<sluice_rule_hits> none(*cpus);
  for (const uint32_t index : tables.fresh_hits) {
    if (bpf_map_update_elem(maps_.hits.get(), &index, none.data(), BPF_ANY) != 0) {
      return MapError(absl::StrCat("clearing counter ", index, " of"), SLUICE_MAP_RULE_HITS);
    }
  }
  if (absl::Status s = WriteArray(maps_.rules.get(), bank * SLUICE_MAX_RULES, tables.rules, SLUICE_MAP_RULES);
      !s.ok()) {
    return s;
  }
  if (bpf_map_update_elem(maps_.banks.get(), &bank, &tables.bank, BPF_ANY) != 0) {
    return MapError("writing", SLUICE_MAP_RULE_BANKS);
  }
  return absl::OkStatus();
}

absl::Status RuleMaps::FillPrefixes(uint32_t bank, const RuleTables& tables) {
  std::vector<sluice_prefix> stale;
  sluice_prefix key{};
  for (int more = bpf_map_get_next_key(maps_.prefixes.get(), nullptr, &key); more == 0;
       more = bpf_map_get_next_key(maps_.prefixes.get(), &key, &key)) {
    if (BankOf(key) == bank) {
      stale.push_back(key);
    }
  }
  if (errno != ENOENT) {
    return MapError("listing", SLUICE_MAP_RULE_PREFIXES);
  }
  for (const sluice_prefix& prefix : stale) {
    if (bpf_map_delete_elem(maps_.prefixes.get(), &prefix) != 0 && errno != ENOENT) {
      return MapError("clearing", SLUICE_MAP_RULE_PREFIXES);
    }
  }
  for (const auto& [prefix, set] : tables.prefixes) {
    const sluice_prefix mine = InBank(prefix, bank);
    if (bpf_map_update_elem(maps_.prefixes.get(), &mine, &set, BPF_ANY) != 0) {
      return MapError("writing", SLUICE_MAP_RULE_PREFIXES);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<sluice_rule_hits> RuleMaps::ReadHits(uint32_t index) const {
  const absl::StatusOr<size_t> cpus = PossibleCpus();
  if (!cpus.ok()) {
    return cpus.status();
  }
  std::vector<sluice_rule_hits> per_cpu(*cpus);
  if (bpf_map_lookup_elem(maps_.hits.get(), &index, per_cpu.data()) != 0) {
    return MapError(absl::StrCat("reading counter ", index, " of"), SLUICE_MAP_RULE_HITS);
  }
  sluice_rule_hits sum{};
  for (const sluice_rule_hits& one : per_cpu) {
    sum.packets += one.packets;
    sum.bytes += one.bytes;
  }
  return sum;
}

}  // namespace sluice
