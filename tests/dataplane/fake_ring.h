// A ring between the kernel and the user of an AF_XDP socket: its memory, and the kernel's half of the protocol.
//
// Threads: one thread at a time uses the kernel's half. The product has the other half (dataplane/io/rings.h).
#ifndef SLUICE_TESTS_DATAPLANE_FAKE_RING_H_
#define SLUICE_TESTS_DATAPLANE_FAKE_RING_H_

#include <linux/if_xdp.h>

#include <cstdint>
#include <vector>

#include "dataplane/io/rings.h"

namespace sluice {

// The first index of a ring, close to 2^32 so that it wraps soon.
inline constexpr uint32_t kNearWrap = 0xfffffff0;

// One ring's memory and the kernel's half of it.
template <typename Entry>
class FakeRing {
 public:
  FakeRing(uint32_t size, uint32_t start) : producer_(start), consumer_(start), entries_(size) {}

  RingMemory memory() {
    return {&producer_, &consumer_, &flags_, entries_.data(), static_cast<uint32_t>(entries_.size())};
  }
  uint32_t filled() const { return Load(producer_) - Load(consumer_); }
  bool full() const { return filled() == entries_.size(); }
  void Put(const Entry& entry) {
    entries_[producer_ % entries_.size()] = entry;
    __atomic_store_n(&producer_, producer_ + 1, __ATOMIC_RELEASE);
  }
  Entry Get() {
    (void)Load(producer_);
    const Entry entry = entries_[consumer_ % entries_.size()];
    __atomic_store_n(&consumer_, consumer_ + 1, __ATOMIC_RELEASE);
    return entry;
  }
  void set_needs_wakeup(bool needed) { __atomic_store_n(&flags_, needed ? XDP_RING_NEED_WAKEUP : 0, __ATOMIC_RELAXED); }

 private:
  static uint32_t Load(const uint32_t& index) { return __atomic_load_n(&index, __ATOMIC_ACQUIRE); }

  uint32_t producer_;
  uint32_t consumer_;
  uint32_t flags_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_FAKE_RING_H_
