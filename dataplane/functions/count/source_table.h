// Packets and bytes by source address, in memory that outlives the process.
//
//   header │ entry │ entry │ …                     a power of two of entries, 64 bytes each
//
// An address may be in any of kWays entries from its hash on. The hash is keyed by a secret that is made with the
// table, so that a sender cannot aim at one place. An entry's life, each step by compare-and-swap:
//
//   FREE ──Find──► CLAIMED ──► LIVE ◄──Find── LEAVING ──ExpireAt, a grace later──► FREE
//                               └───ExpireAt, idle──►┘
//
// Expiry takes two visits, so that a lane that has just found an entry has added to it before the entry can become
// another address's: kGraceNs is far longer than a burst. A lane that the machine stops for longer than that at this
// very place may add one burst to another address.
//
// Threads: workers add, and expire different entries; the control thread reads. A dead process may leave an entry
// CLAIMED at any store: Adopt frees it. Counts are relaxed atomics: exact, though a reader may see the packet of an
// entry and not yet its bytes.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_COUNT_SOURCE_TABLE_H_
#define SLUICE_DATAPLANE_FUNCTIONS_COUNT_SOURCE_TABLE_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include "absl/status/status.h"

namespace sluice::functions::count {

struct SourceAddress {
  uint64_t words[2];  // in network order; of IPv4 the first half of words[0]
  bool operator==(const SourceAddress&) const = default;
};

// The lane that has it CLAIMED writes family and address. A reader that found it LIVE checks the state again
// afterwards.
struct alignas(64) SourceEntry {
  std::atomic<uint32_t> state;
  std::atomic<uint32_t> family;  // 4 or 6
  std::atomic<uint64_t> address[2];
  std::atomic<uint64_t> packets;
  std::atomic<uint64_t> bytes;
  std::atomic<int64_t> last_ns;     // CLOCK_MONOTONIC, of the last packet
  std::atomic<int64_t> leaving_ns;  // when it became LEAVING
};
// An entry as it is read at one moment. Packets and bytes may be a packet apart.
struct Source {
  uint32_t family;
  SourceAddress address;
  uint64_t packets;
  uint64_t bytes;
  int64_t last_ns;
};
static_assert(sizeof(SourceEntry) == 64 && std::is_standard_layout_v<SourceEntry>, "shared between processes");
static_assert(std::atomic<uint64_t>::is_always_lock_free, "shared between processes");

class SourceTable {
 public:
  static constexpr int64_t kGraceNs = 1'000'000'000;

  static uint64_t BytesFor(uint64_t sources) { return kHeaderBytes + std::bit_ceil(sources) * sizeof(SourceEntry); }

  // Makes an empty table in memory of zeros.
  absl::Status Make(std::span<std::byte> memory);
  // Goes on with a table that a dead process left. FailedPrecondition when it is none, of another layout or of another
  // size.
  absl::Status Adopt(std::span<std::byte> memory);

  // The address's entry; `created` says whether it is new. nullptr: there is no room. Lanes that meet an address's
  // first packets at the same moment make one entry, unless another is freed between their searches: then two, whose
  // counts add up.
  SourceEntry* Find(uint32_t family, const SourceAddress& address, int64_t now_ns, bool& created);
  // Ages one entry: one idle for `idle_ns` starts to leave, one that has been leaving for the grace is freed. Returns
  // true when it was freed.
  bool ExpireAt(uint64_t index, int64_t now_ns, int64_t idle_ns);

  uint64_t entries() const { return mask_ + 1; }
  // Returns the source at `index`; nullopt when no address has the entry.
  std::optional<Source> At(uint64_t index) const;

 private:
  static constexpr uint32_t kWays = 8;
  static constexpr uint32_t kAttempts = 4;
  static constexpr uint32_t kLooks = 1000;
  static constexpr size_t kHeaderBytes = 64;
  static constexpr uint64_t kMagic = 0x3143525543534c53;  // "SLSCURC1": the layout's version is in it

  enum State : uint32_t { kFree = 0, kClaimed = 1, kLive = 2, kLeaving = 3 };

  struct Header {
    uint64_t magic;
    uint64_t entries;
    uint64_t secret;
  };
  static_assert(sizeof(Header) <= kHeaderBytes);

  SourceEntry& EntryAt(uint64_t index) const { return entries_[index & mask_]; }
  uint64_t HashOf(uint32_t family, const SourceAddress& address) const;
  static void Fill(SourceEntry& entry, uint32_t family, const SourceAddress& address, int64_t now_ns);
  // Waits until another lane has filled the entry, for a microsecond or so: that lane may have been stopped.
  static void AwaitFilled(const SourceEntry& entry);
  static bool IsOf(const SourceEntry& entry, uint32_t family, const SourceAddress& address);
  // True if the entry is the address's, LIVE from now on.
  static bool Holds(SourceEntry& entry, uint32_t family, const SourceAddress& address);

  SourceEntry* entries_ = nullptr;
  uint64_t mask_ = 0;
  uint64_t secret_ = 0;
};

}  // namespace sluice::functions::count

#endif  // SLUICE_DATAPLANE_FUNCTIONS_COUNT_SOURCE_TABLE_H_
