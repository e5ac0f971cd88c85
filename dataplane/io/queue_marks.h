// A port's marks, shared with its XDP program (bpf/marks.h; the element: bpf/sluice_abi.h). The memory is that of a BPF
// array, mapped here: what is written is in force, no system call is needed.
//
// Threads: a queue's element is written by whoever polls its lane, and by the agent before the queue has a socket.
#ifndef SLUICE_DATAPLANE_IO_QUEUE_MARKS_H_
#define SLUICE_DATAPLANE_IO_QUEUE_MARKS_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "bpf/sluice_abi.h"
#include "dataplane/base/mapping.h"

namespace sluice {

class QueueMarks {
 public:
  // Errors: Internal where it cannot be mapped.
  static absl::StatusOr<QueueMarks> Map(int fd) {
    absl::StatusOr<Mapping> memory =
        Mapping::Share(fd, SLUICE_MAX_QUEUES * sizeof(sluice_queue_marks), 0, "the marks of a port");
    if (!memory.ok()) {
      return memory.status();
    }
    return QueueMarks(*std::move(memory));
  }

  // So many packets that XDP gave to the queue's socket are sent and completed, or lost, and all before each.
  void SetDone(uint32_t queue, uint32_t packets) {
    __atomic_store_n(&Of(queue).done, __atomic_load_n(&Of(queue).base, __ATOMIC_RELAXED) + packets, __ATOMIC_RELEASE);
  }
  // Whether packets for the queue's socket are dropped at present.
  void SetOverflows(uint32_t queue, bool overflows) {
    __atomic_store_n(&Of(queue).overflows, overflows ? 1U : 0U, __ATOMIC_RELAXED);
  }
  // Packets that XDP has dropped for the queue's limit.
  uint32_t Shed(uint32_t queue) const { return __atomic_load_n(&Of(queue).shed, __ATOMIC_RELAXED); }

  // XDP gives the queue's socket `room` packets more, and drops what comes then. Those that it is about to give count
  // as given or not, so that the socket may be given some more than that, which it will drop.
  void Limit(uint32_t queue, uint32_t room) {
    sluice_queue_marks& marks = Of(queue);
    __atomic_store_n(&marks.limit, __atomic_load_n(&marks.given, __ATOMIC_RELAXED) + room, __ATOMIC_RELAXED);
    __atomic_store_n(&marks.limited, 1U, __ATOMIC_RELEASE);
  }
  void Unlimit(uint32_t queue) { __atomic_store_n(&Of(queue).limited, 0U, __ATOMIC_RELAXED); }

 private:
  explicit QueueMarks(Mapping memory) : memory_(std::move(memory)) {}

  sluice_queue_marks& Of(uint32_t queue) const { return reinterpret_cast<sluice_queue_marks*>(memory_.start())[queue]; }

  Mapping memory_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_QUEUE_MARKS_H_
