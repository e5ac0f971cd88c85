#include "control/rules/source_list.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/kernel_error.h"
#include "control/kernel/progress.h"

namespace sluice {
namespace {

uint32_t BitsOf(const sluice_prefix& prefix) {
  return prefix.prefixlen - SLUICE_PREFIX_TABLE_BITS;
}

absl::Status TrieError(const char* verb) {
  if (errno == ENOSPC) {
    return absl::ResourceExhaustedError(absl::StrCat("the list is full: ", kMaxListedPrefixes, " prefixes"));
  }
  if (errno == ENOMEM) {
    return absl::ResourceExhaustedError(absl::StrCat(verb, " the list: the kernel has no memory for it"));
  }
  return KernelError(errno, absl::StrCat(verb, " the list of sources"));
}

// The kernel allocates nodes with GFP_NOWAIT (kernel/bpf/lpm_trie.c: lpm_trie_node_alloc), so it may fail for lack of
// memory that it reclaims a moment later. Therefore failures are retried.
absl::Status AddAll(
    int trie, absl::Span<const sluice_prefix> prefixes, absl::FunctionRef<bool()> go_on = [] { return true; }) {
  constexpr uint32_t kAtOnce = 4096;
  constexpr int kTries = 10;
  constexpr absl::Duration kPause = absl::Milliseconds(20);
  const bpf_map_batch_opts options{.sz = sizeof(bpf_map_batch_opts), .elem_flags = BPF_ANY, .flags = 0};
  std::vector<uint32_t> lengths;
  int failures = 0;
  for (size_t done = 0; done < prefixes.size();) {
    const absl::Span<const sluice_prefix> some = prefixes.subspan(done, kAtOnce);
    lengths.clear();
    for (const sluice_prefix& prefix : some) {
      lengths.push_back(BitsOf(prefix));
    }
    auto count = static_cast<uint32_t>(some.size());
    const bool failed = bpf_map_update_batch(trie, some.data(), lengths.data(), &count, &options) != 0;
    failures = count > 0 ? 0 : failures + 1;
    if (failed && (errno != ENOMEM || failures >= kTries)) {
      return TrieError("filling");
    }
    if (failed) {
      absl::SleepFor(kPause);
    }
    done += count;
    if (!go_on()) {
      return absl::CancelledError("loading the list of sources was given up");
    }
  }
  return absl::OkStatus();
}

// Removes all of them; absent ones are not an error.
absl::Status RemoveAll(int trie, absl::Span<const sluice_prefix> prefixes) {
  for (const sluice_prefix& prefix : prefixes) {
    NoteProgress();
    if (bpf_map_delete_elem(trie, &prefix) != 0 && errno != ENOENT) {
      return TrieError("removing from");
    }
  }
  return absl::OkStatus();
}

// Returns the end of an error message: "" when the list was put back, or the reason why it was not.
std::string Undone(const absl::Status& s) {
  return s.ok() ? "" : absl::StrCat("; and putting the list back: ", s.message());
}

}  // namespace

const char* ListName(ListKind kind) {
  return kind == ListKind::kBlock ? "blocklist" : "allowlist";
}

std::vector<sluice_prefix> KeysOf(const std::vector<Prefix>& prefixes) {
  std::vector<sluice_prefix> keys;
  keys.reserve(prefixes.size());
  for (const Prefix& prefix : prefixes) {
    keys.push_back(TrieKey(prefix, 0, 0));
  }
  return keys;
}

absl::StatusOr<SourceList> SourceList::Make(std::vector<sluice_prefix> prefixes, absl::FunctionRef<bool()> go_on) {
  const auto as_bytes = [](const sluice_prefix& a, const sluice_prefix& b) { return memcmp(&a, &b, sizeof(a)); };
  std::sort(prefixes.begin(), prefixes.end(), [&](const auto& a, const auto& b) { return as_bytes(a, b) < 0; });
  prefixes.erase(
      std::unique(prefixes.begin(), prefixes.end(), [&](const auto& a, const auto& b) { return as_bytes(a, b) == 0; }),
      prefixes.end());
  const bpf_map_create_opts options{.sz = sizeof(bpf_map_create_opts), .map_flags = BPF_F_NO_PREALLOC};
  SourceList list(UniqueFd(bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "sluice_sources", sizeof(sluice_prefix),
                                          sizeof(uint32_t), kMaxListedPrefixes, &options)),
                  prefixes.size());
  if (!list.trie_) {
    return TrieError("making");
  }
  if (absl::Status s = AddAll(list.fd(), prefixes, go_on); !s.ok()) {
    return s;
  }
  return list;
}

bool SourceList::Has(const sluice_prefix& prefix) const {
  const absl::StatusOr<uint32_t> covering = Covering(prefix);
  return covering.ok() && *covering == BitsOf(prefix);
}

absl::StatusOr<SourceList> SourceList::Adopt(UniqueFd trie) {
  constexpr uint32_t kAtOnce = 4096;
  const bpf_map_batch_opts options{.sz = sizeof(bpf_map_batch_opts), .elem_flags = 0, .flags = 0};
  std::vector<sluice_prefix> prefixes(kAtOnce);
  std::vector<uint32_t> lengths(kAtOnce);
  uint64_t size = 0;
  sluice_prefix last{};
  for (bool first = true, more = true; more; first = false) {
    uint32_t count = kAtOnce;
    more = bpf_map_lookup_batch(trie.get(), first ? nullptr : &last, &last, prefixes.data(), lengths.data(), &count,
                                &options) == 0;
    if (!more && errno != ENOENT) {
      return TrieError("counting");
    }
    size += count;
    NoteProgress();
  }
  return SourceList(std::move(trie), size);
}

absl::StatusOr<uint64_t> SourceList::Add(absl::Span<const sluice_prefix> prefixes) {
  std::vector<sluice_prefix> added;
  for (const sluice_prefix& prefix : prefixes) {
    if (Has(prefix)) {
      continue;
    }
    added.push_back(prefix);
    if (absl::Status s = AddAll(fd(), {&prefix, 1}); !s.ok()) {
      return absl::Status(s.code(), absl::StrCat(s.message(), Undone(RemoveAll(fd(), added))));
    }
  }
  size_ += added.size();
  return added.size();
}

absl::StatusOr<uint64_t> SourceList::Remove(absl::Span<const sluice_prefix> prefixes) {
  std::vector<sluice_prefix> removed;
  for (const sluice_prefix& prefix : prefixes) {
    if (!Has(prefix)) {
      continue;
    }
    removed.push_back(prefix);
    if (absl::Status s = RemoveAll(fd(), {&prefix, 1}); !s.ok()) {
      return absl::Status(s.code(), absl::StrCat(s.message(), Undone(AddAll(fd(), removed))));
    }
  }
  size_ -= removed.size();
  return removed.size();
}

absl::StatusOr<uint32_t> SourceList::Covering(const sluice_prefix& prefix) const {
  uint32_t length = 0;
  if (bpf_map_lookup_elem(fd(), &prefix, &length) != 0) {
    return errno == ENOENT ? absl::NotFoundError("no prefix on the list covers it") : TrieError("reading");
  }
  return length;
}

}  // namespace sluice
