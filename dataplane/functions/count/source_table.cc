#include "dataplane/functions/count/source_table.h"

#include <sys/random.h>

#include "absl/strings/str_cat.h"

namespace sluice::functions::count {
namespace {

bool Change(SourceEntry& entry, uint32_t from, uint32_t to) {
  return entry.state.compare_exchange_strong(from, to, std::memory_order_acq_rel, std::memory_order_relaxed);
}

// The finalizer of MurmurHash3 (public domain).
uint64_t Mix(uint64_t hash) {
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53ULL;
  return hash ^ hash >> 33;
}

}  // namespace

absl::Status SourceTable::Make(std::span<std::byte> memory) {
  auto* header = reinterpret_cast<Header*>(memory.data());
  header->entries = (memory.size() - kHeaderBytes) / sizeof(SourceEntry);
  if (getrandom(&header->secret, sizeof(header->secret), 0) != sizeof(header->secret)) {
    return absl::InternalError("getrandom gave no secret for the table of sources");
  }
  header->magic = kMagic;  // last: a table without it is none
  return Adopt(memory);
}

absl::Status SourceTable::Adopt(std::span<std::byte> memory) {
  const auto* header = reinterpret_cast<const Header*>(memory.data());
  const uint64_t entries = (memory.size() - kHeaderBytes) / sizeof(SourceEntry);
  if (header->magic != kMagic || header->entries != entries || !std::has_single_bit(entries)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the state memory holds no table of ", entries, " sources of this version"));
  }
  entries_ = reinterpret_cast<SourceEntry*>(memory.data() + kHeaderBytes);
  mask_ = entries - 1;
  secret_ = header->secret;
  for (uint64_t index = 0; index < entries; ++index) {
    if (EntryAt(index).state.load(std::memory_order_relaxed) == kClaimed) {
      EntryAt(index).state.store(kFree, std::memory_order_relaxed);
    }
  }
  return absl::OkStatus();
}

uint64_t SourceTable::HashOf(uint32_t family, const SourceAddress& address) const {
  return Mix(Mix(Mix(secret_ ^ family) ^ address.words[0]) ^ address.words[1] ^ secret_);
}

bool SourceTable::IsOf(const SourceEntry& entry, uint32_t family, const SourceAddress& address) {
  return entry.family.load(std::memory_order_relaxed) == family &&
         entry.address[0].load(std::memory_order_relaxed) == address.words[0] &&
         entry.address[1].load(std::memory_order_relaxed) == address.words[1];
}

bool SourceTable::Holds(SourceEntry& entry, uint32_t family, const SourceAddress& address) {
  // Acquire: pairs with the release in Fill that published family and address.
  const uint32_t state = entry.state.load(std::memory_order_acquire);
  if (state < kLive || !IsOf(entry, family, address)) {
    return false;
  }
  if (state == kLive || Change(entry, kLeaving, kLive)) {
    return true;
  }
  // Another lane was faster: it has found the entry, too, or freed it, and then it may be another address's by now.
  return entry.state.load(std::memory_order_acquire) == kLive && IsOf(entry, family, address);
}

SourceEntry* SourceTable::Find(uint32_t family, const SourceAddress& address, int64_t now_ns, bool& created) {
  created = false;
  const uint64_t hash = HashOf(family, address);
  for (uint32_t attempt = 0; attempt < kAttempts; ++attempt) {
    SourceEntry* free = nullptr;
    for (uint32_t way = 0; way < kWays; ++way) {
      SourceEntry& entry = EntryAt(hash + way);
      if (Holds(entry, family, address)) {
        return &entry;
      }
      if (free == nullptr && entry.state.load(std::memory_order_relaxed) == kFree) {
        free = &entry;
      }
    }
    if (free == nullptr) {
      return nullptr;
    }
    if (Change(*free, kFree, kClaimed)) {
      Fill(*free, family, address, now_ns);
      created = true;
      return free;
    }
    // Another lane took it a moment ago, perhaps for the same address.
    AwaitFilled(*free);
  }
  return nullptr;
}

void SourceTable::Fill(SourceEntry& entry, uint32_t family, const SourceAddress& address, int64_t now_ns) {
  entry.family.store(family, std::memory_order_relaxed);
  entry.address[0].store(address.words[0], std::memory_order_relaxed);
  entry.address[1].store(address.words[1], std::memory_order_relaxed);
  entry.packets.store(0, std::memory_order_relaxed);
  entry.bytes.store(0, std::memory_order_relaxed);
  entry.last_ns.store(now_ns, std::memory_order_relaxed);
  entry.state.store(kLive, std::memory_order_release);  // see Holds
}

void SourceTable::AwaitFilled(const SourceEntry& entry) {
  for (uint32_t look = 0; look < kLooks && entry.state.load(std::memory_order_acquire) == kClaimed; ++look) {
  }
}

bool SourceTable::ExpireAt(uint64_t index, int64_t now_ns, int64_t idle_ns) {
  SourceEntry& entry = EntryAt(index);
  const uint32_t state = entry.state.load(std::memory_order_acquire);
  if (state == kLive && now_ns - entry.last_ns.load(std::memory_order_relaxed) >= idle_ns) {
    entry.leaving_ns.store(now_ns, std::memory_order_relaxed);
    Change(entry, kLive, kLeaving);
    return false;
  }
  return state == kLeaving && now_ns - entry.leaving_ns.load(std::memory_order_relaxed) >= kGraceNs &&
         Change(entry, kLeaving, kFree);
}

std::optional<Source> SourceTable::At(uint64_t index) const {
  const SourceEntry& entry = EntryAt(index);
  if (entry.state.load(std::memory_order_acquire) < kLive) {
    return std::nullopt;
  }
  // Acquire for each: the state below is read after them. An entry that was freed meanwhile may have parts of two
  // addresses. It cannot have been freed and filled since the first look, which takes the grace.
  const Source source = {
      .family = entry.family.load(std::memory_order_acquire),
      .address = {entry.address[0].load(std::memory_order_acquire), entry.address[1].load(std::memory_order_acquire)},
      .packets = entry.packets.load(std::memory_order_acquire),
      .bytes = entry.bytes.load(std::memory_order_acquire),
      .last_ns = entry.last_ns.load(std::memory_order_acquire)};
  return entry.state.load(std::memory_order_relaxed) >= kLive ? std::optional(source) : std::nullopt;
}

}  // namespace sluice::functions::count
