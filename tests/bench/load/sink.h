// The receiving side: an XDP program that counts and drops the frames that come back.
#ifndef SLUICE_TESTS_BENCH_LOAD_SINK_H_
#define SLUICE_TESTS_BENCH_LOAD_SINK_H_

#include <bpf/libbpf.h>

#include "absl/status/status.h"
#include "tests/bench/load/live_frames.h"

namespace sluice::liveload {

// Attaches the program by a BPF link, which the destructor or the end of the process removes. Any thread may call
// Read().
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  ~Sink() { bpf_link__destroy(link_); }

  // Attaches `program` to an interface of the calling thread's namespace. `program` and `counts` must be loaded; they
  // stay the caller's and must outlive the sink.
  absl::Status Attach(int ifindex, const bpf_program* program, const bpf_map* counts);
  // Returns the sum over all CPUs.
  load_counters Read() const;

 private:
  bpf_link* link_ = nullptr;
  const bpf_map* counts_ = nullptr;
};

}  // namespace sluice::liveload

#endif  // SLUICE_TESTS_BENCH_LOAD_SINK_H_
