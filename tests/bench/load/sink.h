// Where frames come back: an XDP program that counts and drops them.
#ifndef SLUICE_TESTS_BENCH_LOAD_SINK_H_
#define SLUICE_TESTS_BENCH_LOAD_SINK_H_

#include <bpf/libbpf.h>

#include "absl/status/status.h"
#include "tests/bench/load/live_frames.h"

namespace sluice::liveload {

// Attached while it lives, by a link, so that it is gone with the process, too. Read() by any thread.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  ~Sink() { bpf_link__destroy(link_); }

  // To an interface of the namespace that the calling thread is in. `program` and `counts` are loaded, stay the
  // caller's, and outlive the sink.
  absl::Status Attach(int ifindex, const bpf_program* program, const bpf_map* counts);
  // The sum over all CPUs.
  load_counters Read() const;

 private:
  bpf_link* link_ = nullptr;
  const bpf_map* counts_ = nullptr;
};

}  // namespace sluice::liveload

#endif  // SLUICE_TESTS_BENCH_LOAD_SINK_H_
