// A list of sources in the kernel: a trie of prefixes. All ports share one trie of each kind; SteeringMaps::SetList()
// puts it in force on a port. Packets from the blocklist are dropped, unless the allow-list has their source too
// (bpf/classify.h: is_blocked).
//
// Add() and Remove() change the trie in place, prefix by prefix. To replace a list, make another trie and put that in
// force, which is one step. One thread at a time. Errors carry the kernel's error.
#ifndef SLUICE_CONTROL_RULES_SOURCE_LIST_H_
#define SLUICE_CONTROL_RULES_SOURCE_LIST_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bpf/sluice_abi.h"
#include "control/rules/prefix.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

// Each takes about 64 bytes of kernel memory, and as much again for the inner nodes.
inline constexpr uint32_t kMaxListedPrefixes = 4U << 20;

enum class ListKind : uint32_t { kBlock = SLUICE_LIST_BLOCK, kAllow = SLUICE_LIST_ALLOW };

// Returns "blocklist" or "allowlist".
const char* ListName(ListKind kind);

// Returns the keys under which a list has the prefixes.
std::vector<sluice_prefix> KeysOf(const std::vector<Prefix>& prefixes);

class SourceList {
 public:
  // Duplicates in `prefixes` are allowed. Seconds for a million. ResourceExhausted above kMaxListedPrefixes, or when
  // memory runs out; Cancelled when `go_on`, which is asked again and again, returned false.
  static absl::StatusOr<SourceList> Make(
      std::vector<sluice_prefix> prefixes, absl::FunctionRef<bool()> go_on = [] { return true; });
  // Takes a trie that a port's map holds, and counts its prefixes.
  static absl::StatusOr<SourceList> Adopt(UniqueFd trie);

  int fd() const { return trie_.get(); }
  // The number of different prefixes.
  uint64_t size() const { return size_; }

  // Return how many prefixes were added or removed; the others were there already, or were not there. An error has
  // changed nothing.
  absl::StatusOr<uint64_t> Add(absl::Span<const sluice_prefix> prefixes);
  absl::StatusOr<uint64_t> Remove(absl::Span<const sluice_prefix> prefixes);
  // Returns the length in bits of the longest prefix that covers this one. NotFound when none does.
  absl::StatusOr<uint32_t> Covering(const sluice_prefix& prefix) const;

  // True if this very prefix is on the list.
  bool Has(const sluice_prefix& prefix) const;

 private:
  SourceList(UniqueFd trie, uint64_t size) : trie_(std::move(trie)), size_(size) {}

  UniqueFd trie_;
  uint64_t size_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_SOURCE_LIST_H_
