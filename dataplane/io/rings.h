// The four rings of an AF_XDP socket, as typed views over memory shared with the kernel.
//
//                    producer index     consumer index    entries
//   FillRing         us                 kernel            addresses of frames to receive into
//   RxRing           kernel             us                descriptors of received frames
//   TxRing           us                 kernel            descriptors of frames to send
//   CompletionRing   kernel             us                addresses of frames that were sent
//
//      ┌── FillRing ──► kernel ──► RxRing ──┐
//   dataplane                            dataplane
//      └──── TxRing ──► kernel ──► CompletionRing ──┘
//
// Each column has one writer: the kernel or this process. Indices run freely over 32 bits and wrap; an entry is
// index & mask. The inlines of libxdp's xsk.h do the work: their release stores publish entries before the index, their
// acquire loads read the index before the entries (net/xdp/xsk_queue.h has the other half of each pair).
//
// Adoption: a ring may have been used before. A view starts from the shared indices, so it continues where a
// predecessor in another process stopped.
//
// Ownership: views; the memory is the socket's (xsk_socket.h).
//
// Threads: one at a time, the one that polls the lane.
#ifndef SLUICE_DATAPLANE_IO_RINGS_H_
#define SLUICE_DATAPLANE_IO_RINGS_H_

#include <linux/if_xdp.h>
#include <xdp/xsk.h>

#include <cstdint>

namespace sluice {

// The addresses of a ring's parts. `size` is in entries, a power of two.
struct RingMemory {
  uint32_t* producer = nullptr;
  uint32_t* consumer = nullptr;
  uint32_t* flags = nullptr;
  void* entries = nullptr;
  uint32_t size = 0;
};

// Fills in the fields that libxdp's two kinds of ring (xdp/xsk.h: DEFINE_XSK_RING) have in common.
template <typename XskRing>
void PlaceRing(const RingMemory& memory, XskRing& ring) {
  ring.producer = memory.producer;
  ring.consumer = memory.consumer;
  ring.flags = memory.flags;
  ring.ring = memory.entries;
  ring.size = memory.size;
  ring.mask = memory.size - 1;
}

// Common to the rings we write: fill and transmit.
class ProducerRing {
 public:
  ProducerRing() = default;
  explicit ProducerRing(const RingMemory& memory) {
    PlaceRing(memory, ring_);
    ring_.cached_prod = __atomic_load_n(memory.producer, __ATOMIC_RELAXED);
    // libxdp keeps cached_cons one ring ahead of the shared consumer index.
    ring_.cached_cons = __atomic_load_n(memory.consumer, __ATOMIC_ACQUIRE) + memory.size;
  }

  bool exists() const { return ring_.ring != nullptr; }
  uint32_t size() const { return ring_.size; }
  // Free entries. Reads the kernel's index only when fewer than `wanted` are known to be free.
  uint32_t Room(uint32_t wanted) { return xsk_prod_nb_free(&ring_, wanted); }
  // Reserves all `count` entries or none, and returns their number. `index` becomes that of the first one.
  uint32_t Reserve(uint32_t count, uint32_t* index) { return xsk_ring_prod__reserve(&ring_, count, index); }
  void Submit(uint32_t count) { xsk_ring_prod__submit(&ring_, count); }
  // Entries submitted since the ring was made, modulo 2^32.
  uint32_t submitted() const { return ring_.cached_prod; }
  // Entries the kernel has not taken yet.
  uint32_t untaken() const { return ring_.cached_prod - __atomic_load_n(ring_.consumer, __ATOMIC_ACQUIRE); }
  // True if the kernel ignores new entries until it is woken (XDP_USE_NEED_WAKEUP). Relaxed: callers ask again while
  // entries are untaken, so the next round corrects a stale answer.
  bool needs_wakeup() const { return (__atomic_load_n(ring_.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0; }

 protected:
  xsk_ring_prod ring_{};
};

class FillRing : public ProducerRing {
 public:
  using ProducerRing::ProducerRing;
  uint64_t& Address(uint32_t index) { return *reinterpret_cast<uint64_t*>(xsk_ring_prod__fill_addr(&ring_, index)); }
};

class TxRing : public ProducerRing {
 public:
  using ProducerRing::ProducerRing;
  xdp_desc& Descriptor(uint32_t index) { return *xsk_ring_prod__tx_desc(&ring_, index); }
};

// Common to the rings we read: receive and completion.
class ConsumerRing {
 public:
  ConsumerRing() = default;
  explicit ConsumerRing(const RingMemory& memory) {
    PlaceRing(memory, ring_);
    ring_.cached_cons = __atomic_load_n(memory.consumer, __ATOMIC_RELAXED);
    ring_.cached_prod = ring_.cached_cons;  // none known of: the first Peek asks for the kernel's index
  }

  bool exists() const { return ring_.ring != nullptr; }
  uint32_t size() const { return ring_.size; }
  // Returns how many entries there are, at most `count`, starting at `index`. They may be read until Release.
  uint32_t Peek(uint32_t count, uint32_t* index) { return xsk_ring_cons__peek(&ring_, count, index); }
  void Release(uint32_t count) { xsk_ring_cons__release(&ring_, count); }
  // Entries peeked since the ring was made, modulo 2^32.
  uint32_t consumed() const { return ring_.cached_cons; }
  // The end of the kernel's entries; true if all entries before `position` have been peeked.
  uint32_t end_position() const { return __atomic_load_n(ring_.producer, __ATOMIC_ACQUIRE); }
  bool peeked_up_to(uint32_t position) const { return static_cast<int32_t>(ring_.cached_cons - position) >= 0; }
  // Entries not yet peeked.
  uint32_t waiting() const { return end_position() - ring_.cached_cons; }
  bool empty() const { return waiting() == 0; }

 protected:
  xsk_ring_cons ring_{};
};

class RxRing : public ConsumerRing {
 public:
  using ConsumerRing::ConsumerRing;
  const xdp_desc& Descriptor(uint32_t index) const { return *xsk_ring_cons__rx_desc(&ring_, index); }
};

class CompletionRing : public ConsumerRing {
 public:
  using ConsumerRing::ConsumerRing;
  uint64_t Address(uint32_t index) const { return *xsk_ring_cons__comp_addr(&ring_, index); }
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_RINGS_H_
