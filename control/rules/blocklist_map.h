// A list of source prefixes whose packets are dropped, as a trie in the kernel (bpf/classify.h: is_blocked). One
// trie serves all ports; a port's programs see it from SteeringMaps::SetBlocklist() on.
//
// A trie is changed in place, prefix by prefix; a list that is replaced is another trie, put in the first one's
// place in one step. One thread. Errors carry the kernel's.
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

// About 64 bytes of kernel memory each, and as much again for the inner nodes.
inline constexpr uint32_t kMaxBlockedPrefixes = 4U << 20;

class Blocklist {
 public:
  // `prefixes` may name one more than once. ResourceExhausted above kMaxBlockedPrefixes or when memory is out.
  static absl::StatusOr<Blocklist> Make(std::vector<sluice_prefix> prefixes);
  // One that a port's map holds: counts what is in it.
  static absl::StatusOr<Blocklist> Adopt(UniqueFd trie);

  int fd() const { return trie_.get(); }
  // Different prefixes.
  uint64_t size() const { return size_; }

  // How many were not there, or were. An error has changed nothing.
  absl::StatusOr<uint64_t> Add(absl::Span<const sluice_prefix> prefixes);
  absl::StatusOr<uint64_t> Remove(absl::Span<const sluice_prefix> prefixes);
  // The length in bits of the longest prefix that covers this one. NotFound when none does.
  absl::StatusOr<uint32_t> Covering(const sluice_prefix& prefix) const;

 private:
  Blocklist(UniqueFd trie, uint64_t size) : trie_(std::move(trie)), size_(size) {}
  bool Has(const sluice_prefix& prefix) const;

  UniqueFd trie_;
  uint64_t size_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_BLOCKLIST_MAP_H_
