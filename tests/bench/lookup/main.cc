// flow_lookup: measures the cost of finding an offloaded flow in a table with a given number of them, at random.
//
//     flow_lookup --flows 1000000
//
// Prints JSON: the table's size, and nanoseconds per look-up in userspace (burst_lookup.h) and in BPF (xdp_lookup.h).
// Both use the same table: the memory of a BPF array, which the dataplane's code fills and reads through a mapping, as
// in the product. A run measures one number of flows, so that each sample gets fresh pages.
#include <bpf/libbpf.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "tests/bench/lookup/burst_lookup.h"
#include "tests/bench/lookup/offloaded_flows.h"
#include "tests/bench/lookup/xdp_lookup.h"

namespace sluice::bench {
namespace {

absl::Status Measure(uint32_t count) {
  const uint32_t buckets = OffloadedFlows::BucketsFor(count);
  const absl::StatusOr<std::unique_ptr<XdpLookup>> xdp = XdpLookup::Load(buckets);
  if (!xdp.ok()) {
    return xdp.status();
  }
  absl::StatusOr<FlowTable> table =
      FlowTable::Map((*xdp)->flows_fd(), (*xdp)->details_fd(), (*xdp)->credit_fd(), buckets);
  if (!table.ok()) {
    return table.status();
  }
  FlowTables tables;
  tables.push_back(*std::move(table));
  OffloadedFlows flows(tables.front(), count);
  const double burst_ns = BurstLookupNs(tables, flows);
  const absl::StatusOr<XdpLookupNs> xdp_ns = (*xdp)->Measure(flows);
  if (!xdp_ns.ok()) {
    return xdp_ns.status();
  }
  absl::PrintF(R"({"entries": %u, "bytes": %u, "left_out": %u, "burst_ns": %.3f, )"
               R"("xdp_one_by_one_ns": %.3f, "xdp_in_a_row_ns": %.3f, "xdp_loop_ns": %.3f})"
               "\n",
               tables.front().entries(), uint64_t{buckets} * sizeof(sluice_flow_bucket), flows.left_out(), burst_ns,
               xdp_ns->one_by_one, xdp_ns->in_a_row, xdp_ns->loop);
  return absl::OkStatus();
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
  uint32_t flows = 0;
  CLI::App app("Measures the cost of finding an offloaded flow, in userspace and in BPF, in nanoseconds");
  app.add_option("--flows", flows, "how many flows are in the table")
      ->required()
      ->check(CLI::Range(1'000u, 4'000'000u));
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status measured = sluice::bench::Measure(flows); !measured.ok()) {
    absl::FPrintF(stderr, "flow_lookup: %s\n", measured.message());
    return 1;
  }
  return 0;
}
