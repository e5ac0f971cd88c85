// XDP's look-up: find_offloaded of bpf/flows.h, by programs of the bench's own (find_flows.bpf.c), in the running
// kernel.
#ifndef SLUICE_TESTS_BENCH_LOOKUP_XDP_LOOKUP_H_
#define SLUICE_TESTS_BENCH_LOOKUP_XDP_LOOKUP_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/lookup/offloaded_flows.h"

struct bpf_program;
struct find_flows;

namespace sluice::bench {

// Nanoseconds a look-up. What the loop and its key take, `loop`, is in both others.
struct XdpLookupNs {
  double one_by_one = 0;
  double in_a_row = 0;
  double loop = 0;
};

class XdpLookup {
 public:
  // The programs and their maps, an empty table of so many buckets among them.
  static absl::StatusOr<std::unique_ptr<XdpLookup>> Load(uint32_t buckets);
  ~XdpLookup();

  int flows_fd() const;
  int details_fd() const;
  int credit_fd() const;

  // Internal: a flow was not found, or the kernel does not run the programs.
  absl::StatusOr<XdpLookupNs> Measure(OffloadedFlows& flows);

 private:
  explicit XdpLookup(find_flows* programs) : programs_(programs) {}
  absl::Status Run(const bpf_program* program, std::vector<double>& pieces_ns);

  find_flows* const programs_;
};

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_XDP_LOOKUP_H_
