// SPDX-License-Identifier: Apache-2.0
//
// The fixture of the tests of offloaded flows: writes entries into the maps as the dataplane does, and runs packets.
#ifndef SLUICE_TESTS_BPF_FLOW_RUNS_H_
#define SLUICE_TESTS_BPF_FLOW_RUNS_H_

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bpf/flow_key.h"
#include "bpf/sluice_steer.skel.h"
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {

// Returns the packet's flow key. Throws std::invalid_argument if it has none.
inline sluice_flow_key key_of(const Bytes& packet) {
  sluice_flow_key key;
  if (!sluice_flow_key_of(packet.data(), packet.data() + packet.size(), packet.size(), &key)) {
    throw std::invalid_argument("a packet without a flow key");
  }
  return key;
}

class FlowRuns : public Programs {
 protected:
  static constexpr uint32_t kEpoch = 7;

  void SetUp() override {
    Programs::SetUp();
    if (IsSkipped()) {
      return;
    }
    config_.flags |= SLUICE_CONFIG_OFFLOAD;
    config_.flow_epoch = kEpoch;
    config_.ifindex[0] = 1;
    config_.flow_buckets = bpf_map__max_entries(steer()->maps.sluice_flows);
    draw_secrets();
    apply();
  }
  void TearDown() override {
    if (!IsSkipped()) {
      for (const uint32_t bucket : written_) {
        write(bucket, {}, {});
      }
    }
  }

  // Ends the trust in all entries, as an agent does with each epoch; apply() makes it so.
  void draw_secrets() {
    for (uint32_t& word : config_.flow_secret) {
      word = static_cast<uint32_t>(random_());
    }
  }

  // Both parts of an entry.
  struct Entry {
    sluice_flow flow;
    sluice_flow_detail detail;
  };

  Entry flow_of(const Bytes& packet, uint32_t state, const sluice_flow_action& action = {}) {
    return {{.state = state,
             .epoch = kEpoch,
             .key = key_of(packet),
             .changes = static_cast<uint16_t>(action.changes),
             .out_port = static_cast<uint16_t>(action.out_port)},
            {.action = action}};
  }
  // Writes the entry to a place in the flow's bucket, or from SLUICE_FLOW_WAYS on, in the buckets behind it.
  void put(const Entry& entry, uint32_t place = 0) {
    const uint32_t bucket = bucket_of(entry, place);
    auto [flows, details] = read(bucket);
    flows.flows[place % SLUICE_FLOW_WAYS] = entry.flow;
    details.details[place % SLUICE_FLOW_WAYS] = entry.detail;
    write(bucket, flows, details);
    written_.push_back(bucket);
  }
  Entry get(const Entry& entry, uint32_t place = 0) {
    const auto [flows, details] = read(bucket_of(entry, place));
    return {flows.flows[place % SLUICE_FLOW_WAYS], details.details[place % SLUICE_FLOW_WAYS]};
  }
  void set_done(uint32_t queue, uint32_t mark) {
    const sluice_queue_credit credit = {.delivered = mark, .completed = mark};
    ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_credit, &queue, sizeof(queue), &credit, sizeof(credit), 0));
  }

  // Returns the packet as XDP sends it; empty if it does not send it.
  Bytes offloaded(const Bytes& packet) {
    Bytes out(packet.size() + 64);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_out = out.data(),
                .data_size_in = static_cast<__u32>(packet.size()), .data_size_out = static_cast<__u32>(out.size()));
    const int error = bpf_prog_test_run_opts(bpf_program__fd(steer()->progs.sluice_steer), &options);
    out.resize(error != 0 || options.retval != XDP_TX ? 0 : options.data_size_out);
    return out;
  }

 private:
  uint32_t bucket_of(const Entry& entry, uint32_t place) {
    return (sluice_flow_hash(&entry.flow.key) + place / SLUICE_FLOW_WAYS) & (config_.flow_buckets - 1);
  }
  std::pair<sluice_flow_bucket, sluice_detail_bucket> read(uint32_t bucket) {
    std::pair<sluice_flow_bucket, sluice_detail_bucket> all = {};
    bpf_map__lookup_elem(steer()->maps.sluice_flows, &bucket, sizeof(bucket), &all.first, sizeof(all.first), 0);
    bpf_map__lookup_elem(steer()->maps.sluice_details, &bucket, sizeof(bucket), &all.second, sizeof(all.second), 0);
    return all;
  }
  void write(uint32_t bucket, const sluice_flow_bucket& flows, const sluice_detail_bucket& details) {
    ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_flows, &bucket, sizeof(bucket), &flows, sizeof(flows), 0));
    ASSERT_EQ(
        0, bpf_map__update_elem(steer()->maps.sluice_details, &bucket, sizeof(bucket), &details, sizeof(details), 0));
  }

  std::vector<uint32_t> written_;
  static inline std::mt19937 random_{1};
};

}  // namespace sluice::bpf_test

#endif  // SLUICE_TESTS_BPF_FLOW_RUNS_H_
