// A blocklist in the kernel: a trie of source prefixes whose packets are dropped (bpf/classify.h: is_blocked). All
// ports share one trie; SteeringMaps::SetBlocklist() puts it in force on a port.
//
// Add() and Remove() change the trie in place, prefix by prefix. To replace a list, make another trie and put that in
// force, which is one step. One thread. Errors carry the kernel's error.
#ifndef SLUICE_CONTROL_RULES_BLOCKLIST_MAP_H_
#define SLUICE_CONTROL_RULES_BLOCKLIST_MAP_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bpf/sluice_abi.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

// Each takes about 64 bytes of kernel memory, and as much again for the inner nodes.
inline constexpr uint32_t kMaxBlockedPrefixes = 4U << 20;

class Blocklist {
 public:
  // Duplicates in `prefixes` are allowed. ResourceExhausted above kMaxBlockedPrefixes, or when memory runs out.
  static absl::StatusOr<Blocklist> Make(std::vector<sluice_prefix> prefixes);
  // Takes a trie that a port's map holds, and counts its prefixes.
  static absl::StatusOr<Blocklist> Adopt(UniqueFd trie);

  int fd() const { return trie_.get(); }
  // The number of different prefixes.
  uint64_t size() const { return size_; }

  // Return how many prefixes were added or removed; the others were there already, or were not there. An error has
  // changed nothing.
  absl::StatusOr<uint64_t> Add(absl::Span<const sluice_prefix> prefixes);
  absl::StatusOr<uint64_t> Remove(absl::Span<const sluice_prefix> prefixes);
  // Returns the length in bits of the longest prefix that covers this one. NotFound when none does.
  absl::StatusOr<uint32_t> Covering(const sluice_prefix& prefix) const;

 private:
  Blocklist(UniqueFd trie, uint64_t size) : trie_(std::move(trie)), size_(size) {}
  bool Has(const sluice_prefix& prefix) const;

  UniqueFd trie_;
  uint64_t size_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_BLOCKLIST_MAP_H_
