#include "tests/bench/load/sink.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <vector>

namespace sluice::liveload {

absl::Status Sink::Attach(int ifindex, const bpf_program* program, const bpf_map* counts) {
  link_ = bpf_program__attach_xdp(program, ifindex);
  counts_ = counts;
  return link_ != nullptr ? absl::OkStatus() : absl::ErrnoToStatus(errno, "attaching the sink");
}

load_counters Sink::Read() const {
  std::vector<load_counters> by_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
  const uint32_t zero = 0;
  load_counters sum{};
  if (bpf_map_lookup_elem(bpf_map__fd(counts_), &zero, by_cpu.data()) == 0) {
    for (const load_counters& one : by_cpu) {
      sum.received += one.received;
      sum.bytes += one.bytes;
      sum.wrong += one.wrong;
      sum.foreign += one.foreign;
    }
  }
  return sum;
}

}  // namespace sluice::liveload
