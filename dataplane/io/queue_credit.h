// A port's credit: for each queue, the number of packets that XDP may deliver, and the number that are completed
// (bpf/credit.h; the element: bpf/sluice_abi.h). The memory is that of a BPF array, mapped here, so a store is in force
// at once, without a system call.
//
// Threads: the worker that polls a queue's lane writes the queue's element; the agent writes it before the queue has a
// socket. Memory order: each function says its own; bpf/credit.h and bpf/flows.h have XDP's loads.
#ifndef SLUICE_DATAPLANE_IO_QUEUE_CREDIT_H_
#define SLUICE_DATAPLANE_IO_QUEUE_CREDIT_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "bpf/sluice_abi.h"
#include "dataplane/base/mapping.h"

namespace sluice {

class QueueCredit {
 public:
  // Errors: Internal when the array cannot be mapped.
  static absl::StatusOr<QueueCredit> Map(int fd) {
    absl::StatusOr<Mapping> memory =
        Mapping::Share(fd, SLUICE_MAX_QUEUES * sizeof(sluice_queue_credit), 0, "the credit of a port");
    if (!memory.ok()) {
      return memory.status();
    }
    return QueueCredit(*std::move(memory));
  }

  // All packets up to this sequence number have been completed or lost. Release: XDP sees the number only after our
  // last use of these packets.
  void SetCompleted(uint32_t queue, uint32_t packets) {
    __atomic_store_n(&Of(queue).completed, __atomic_load_n(&Of(queue).base, __ATOMIC_RELAXED) + packets,
                     __ATOMIC_RELEASE);
  }
  // Tells XDP whether packets for the queue's socket are being dropped.
  void SetOverflowing(uint32_t queue, bool overflows) {
    __atomic_store_n(&Of(queue).overflowing, overflows ? 1U : 0U, __ATOMIC_RELAXED);
  }
  // Packets that XDP has dropped since the queue's limit was reached.
  uint32_t Shed(uint32_t queue) const { return __atomic_load_n(&Of(queue).shed, __ATOMIC_RELAXED); }

  // Lets XDP deliver `room` more packets. Racy by a few packets; the socket drops the excess.
  void Limit(uint32_t queue, uint32_t room) {
    sluice_queue_credit& credit = Of(queue);
    __atomic_store_n(&credit.limit, __atomic_load_n(&credit.delivered, __ATOMIC_RELAXED) + room, __ATOMIC_RELAXED);
    __atomic_store_n(&credit.limited, 1U, __ATOMIC_RELEASE);
  }
  void Unlimit(uint32_t queue) { __atomic_store_n(&Of(queue).limited, 0U, __ATOMIC_RELAXED); }

 private:
  explicit QueueCredit(Mapping memory) : memory_(std::move(memory)) {}

  sluice_queue_credit& Of(uint32_t queue) const {
    return reinterpret_cast<sluice_queue_credit*>(memory_.start())[queue];
  }

  Mapping memory_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_QUEUE_CREDIT_H_
