#include "tests/bench/lookup/xdp_lookup.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/mapping.h"
#include "tests/bench/lookup/find_flows.skel.h"
#include "tests/bench/lookup/samples.h"

namespace sluice::bench {

absl::StatusOr<std::unique_ptr<XdpLookup>> XdpLookup::Load(uint32_t buckets) {
  find_flows* programs = find_flows::open();
  if (programs == nullptr) {
    return absl::ErrnoToStatus(errno, "opening the BPF object");
  }
  std::unique_ptr<XdpLookup> made(new XdpLookup(programs));
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, programs->obj) {
    bpf_map__set_pin_path(map, nullptr);
  }
  bpf_map__set_max_entries(programs->maps.sluice_flows, buckets);
  bpf_map__set_max_entries(programs->maps.sluice_details, buckets);
  if (const int error = find_flows::load(programs); error != 0) {
    return absl::ErrnoToStatus(-error, "loading the BPF programs");
  }
  const uint32_t zero = 0;
  const sluice_config config = {.flow_epoch = OffloadedFlows::kEpoch, .flow_buckets = buckets};
  if (const int error =
          bpf_map__update_elem(programs->maps.sluice_config, &zero, sizeof(zero), &config, sizeof(config), BPF_ANY);
      error != 0) {
    return absl::ErrnoToStatus(-error, "writing the configuration");
  }
  return made;
}

XdpLookup::~XdpLookup() {
  find_flows::destroy(programs_);
}

int XdpLookup::flows_fd() const {
  return bpf_map__fd(programs_->maps.sluice_flows);
}

int XdpLookup::details_fd() const {
  return bpf_map__fd(programs_->maps.sluice_details);
}

int XdpLookup::credit_fd() const {
  return bpf_map__fd(programs_->maps.sluice_credit);
}

absl::StatusOr<XdpLookupNs> XdpLookup::Measure(OffloadedFlows& flows) {
  const uint32_t count = bpf_map__max_entries(programs_->maps.keys);
  absl::StatusOr<Mapping> memory =
      Mapping::Share(bpf_map__fd(programs_->maps.keys), count * sizeof(sluice_flow_key), 0, "the keys");
  if (!memory.ok()) {
    return memory.status();
  }
  auto* const keys = reinterpret_cast<sluice_flow_key*>(memory->start());
  const auto& programs = programs_->progs;
  std::pair<const bpf_program*, std::vector<double>> arms[] = {
      {programs.find_one_by_one, {}}, {programs.find_in_a_row, {}}, {programs.keys_only, {}}};
  for (int piece = -kWarmUpPieces; piece < kPieces; ++piece) {
    for (auto& [program, pieces_ns] : arms) {
      // Each program gets other keys, so that it does not find entries in the caches that another has just looked up.
      SmallFrame frame;
      for (uint32_t i = 0; i < count; ++i) {
        flows.WriteOne(frame);
        keys[i] = OffloadedFlows::KeyOf(frame);
      }
      if (piece == 0) {
        pieces_ns.clear();
      }
      if (absl::Status ran = Run(program, pieces_ns); !ran.ok()) {
        return ran;
      }
    }
  }
  return XdpLookupNs{Median(arms[0].second), Median(arms[1].second), Median(arms[2].second)};
}

absl::Status XdpLookup::Run(const bpf_program* program, std::vector<double>& pieces_ns) {
  const uint32_t count = bpf_map__max_entries(programs_->maps.keys);
  const uint8_t frame[64] = {};  // the programs do not read it, but the system call wants one
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame));
  if (const int error = bpf_prog_test_run_opts(bpf_program__fd(program), &run); error != 0) {
    return absl::ErrnoToStatus(-error, "BPF_PROG_TEST_RUN");
  }
  if (programs_->bss->found != count) {
    return absl::InternalError(
        absl::StrCat(bpf_program__name(program), " found ", programs_->bss->found, " of ", count, " flows"));
  }
  pieces_ns.push_back(static_cast<double>(programs_->bss->took_ns) / count);
  return absl::OkStatus();
}

}  // namespace sluice::bench
