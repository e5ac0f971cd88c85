// A ring between the kernel and an AF_XDP socket's user, in memory: the kernel's half of it.
//
// Threads: the kernel's half is one thread's at a time; the other half is the product's (dataplane/io/rings.h).
#ifndef SLUICE_TESTS_DATAPLANE_FAKE_RING_H_
#define SLUICE_TESTS_DATAPLANE_FAKE_RING_H_

#include <linux/if_xdp.h>

#include <cstdint>
#include <vector>

#include "dataplane/io/rings.h"

namespace sluice {

// Where indices start, so that they wrap at once.
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
