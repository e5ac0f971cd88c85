#include "control/kernel/blocklist.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

uint32_t BitsOf(const sluice_prefix& prefix) {
  return prefix.prefixlen - SLUICE_PREFIX_TABLE_BITS;
}

absl::Status TrieError(const char* verb) {
  if (errno == ENOSPC) {
    return absl::ResourceExhaustedError(absl::StrCat("the blocklist is full: ", kMaxBlockedPrefixes, " prefixes"));
  }
  return KernelError(errno, absl::StrCat(verb, " the blocklist"));
}

// Nodes come from memory that is free at that instant (kernel/bpf/lpm_trie.c: lpm_trie_node_alloc, GFP_NOWAIT); the
// kernel frees some when it is asked again a little later.
absl::Status AddAll(int trie, const std::vector<sluice_prefix>& prefixes, const std::vector<uint32_t>& lengths) {
  constexpr uint32_t kAtOnce = 4096;
  constexpr int kTries = 10;
  constexpr absl::Duration kPause = absl::Milliseconds(20);
  const bpf_map_batch_opts options{.sz = sizeof(bpf_map_batch_opts), .elem_flags = BPF_ANY, .flags = 0};
  int failures = 0;
  for (size_t done = 0; done < prefixes.size();) {
    uint32_t count = std::min<uint32_t>(kAtOnce, static_cast<uint32_t>(prefixes.size() - done));
    if (bpf_map_update_batch(trie, &prefixes[done], &lengths[done], &count, &options) == 0) {
      failures = 0;
    } else if (errno == ENOMEM && ++failures < kTries) {
      absl::SleepFor(kPause);
    } else {
      return TrieError("filling");
    }
    done += count;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Blocklist> Blocklist::Make(std::vector<sluice_prefix> prefixes) {
  const auto as_bytes = [](const sluice_prefix& a, const sluice_prefix& b) { return memcmp(&a, &b, sizeof(a)); };
  std::sort(prefixes.begin(), prefixes.end(), [&](const auto& a, const auto& b) { return as_bytes(a, b) < 0; });
  prefixes.erase(
      std::unique(prefixes.begin(), prefixes.end(), [&](const auto& a, const auto& b) { return as_bytes(a, b) == 0; }),
      prefixes.end());
  const bpf_map_create_opts options{.sz = sizeof(bpf_map_create_opts), .map_flags = BPF_F_NO_PREALLOC};
  Blocklist list(UniqueFd(bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "sluice_blocklist", sizeof(sluice_prefix),
                                         sizeof(uint32_t), kMaxBlockedPrefixes, &options)),
                 prefixes.size());
  if (!list.trie_) {
    return TrieError("making");
  }
  std::vector<uint32_t> lengths;
  lengths.reserve(prefixes.size());
  for (const sluice_prefix& prefix : prefixes) {
    lengths.push_back(BitsOf(prefix));
  }
  if (absl::Status s = AddAll(list.fd(), prefixes, lengths); !s.ok()) {
    return s;
  }
  return list;
}

bool Blocklist::Has(const sluice_prefix& prefix) const {
  const absl::StatusOr<uint32_t> covering = Covering(prefix);
  return covering.ok() && *covering == BitsOf(prefix);
}

absl::StatusOr<uint64_t> Blocklist::Add(absl::Span<const sluice_prefix> prefixes) {
  uint64_t added = 0;
  for (const sluice_prefix& prefix : prefixes) {
    if (Has(prefix)) {
      continue;
    }
    const uint32_t length = BitsOf(prefix);
    if (bpf_map_update_elem(fd(), &prefix, &length, BPF_ANY) != 0) {
      return TrieError("adding to");
    }
    ++added;
    ++size_;
  }
  return added;
}

absl::StatusOr<uint64_t> Blocklist::Remove(absl::Span<const sluice_prefix> prefixes) {
  uint64_t removed = 0;
  for (const sluice_prefix& prefix : prefixes) {
    if (bpf_map_delete_elem(fd(), &prefix) == 0) {
      ++removed;
      --size_;
    } else if (errno != ENOENT) {
      return TrieError("removing from");
    }
  }
  return removed;
}

absl::StatusOr<uint32_t> Blocklist::Covering(const sluice_prefix& prefix) const {
  uint32_t length = 0;
  if (bpf_map_lookup_elem(fd(), &prefix, &length) != 0) {
    return errno == ENOENT ? absl::NotFoundError("no prefix on the blocklist covers it") : TrieError("reading");
  }
  return length;
}

}  // namespace sluice
