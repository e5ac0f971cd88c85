// Measures XDP's look-up, find_offloaded of bpf/flows.h, in the running kernel, with programs of this bench
// (find_flows.bpf.c).
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

// Nanoseconds per look-up. `loop` is the cost of the loop and its key, which both other numbers include.
struct XdpLookupNs {
  double one_by_one = 0;
  double in_a_row = 0;
  double loop = 0;
};

class XdpLookup {
 public:
  // Loads the programs and their maps, among them an empty table with `buckets` buckets.
  static absl::StatusOr<std::unique_ptr<XdpLookup>> Load(uint32_t buckets);
  ~XdpLookup();

  int flows_fd() const;
  int details_fd() const;
  int credit_fd() const;

  // Errors: Internal if a flow was not found, or if the kernel does not run the programs.
  absl::StatusOr<XdpLookupNs> Measure(OffloadedFlows& flows);

 private:
  explicit XdpLookup(find_flows* programs) : programs_(programs) {}
  absl::Status Run(const bpf_program* program, std::vector<double>& pieces_ns);

  find_flows* const programs_;
};

}  // namespace sluice::bench

#endif  // SLUICE_TESTS_BENCH_LOOKUP_XDP_LOOKUP_H_
