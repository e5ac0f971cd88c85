// A port's flow table and queue credit in memfds, in place of the BPF maps.
//
// Threads: tests read through a second mapping while workers write. Call State (an acquire load) before reading an
// entry's other fields.
#ifndef SLUICE_TESTS_DATAPLANE_FLOW_MEMORY_H_
#define SLUICE_TESTS_DATAPLANE_FLOW_MEMORY_H_

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

#include "bpf/flow_key.h"
#include "bpf/sluice_abi.h"
#include "dataplane/base/mapping.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/offload/flow_table.h"
#include "tests/dataplane/fake_kernel.h"

namespace sluice {

inline sluice_flow_key KeyOf(const std::string& packet) {
  sluice_flow_key key;
  const auto* data = reinterpret_cast<const uint8_t*>(packet.data());
  EXPECT_NE(sluice_flow_key_of(data, data + packet.size(), static_cast<uint32_t>(packet.size()), &key), 0);
  return key;
}

class FlowMemory {
 public:
  explicit FlowMemory(uint32_t buckets)
      : buckets(buckets),
        flows_fd(memfd_create("flows", MFD_CLOEXEC)),
        details_fd(memfd_create("details", MFD_CLOEXEC)),
        credit_fd(memfd_create("marks", MFD_CLOEXEC)) {
    flows_ = MakeAndMap(flows_fd.get(), buckets * sizeof(sluice_flow_bucket));
    details_ = MakeAndMap(details_fd.get(), buckets * sizeof(sluice_detail_bucket));
    credit_ = MakeAndMap(credit_fd.get(), SLUICE_MAX_QUEUES * sizeof(sluice_queue_credit));
  }

  // Returns the product's view of the memory.
  FlowTable Map() const {
    absl::StatusOr<FlowTable> table = FlowTable::Map(flows_fd.get(), details_fd.get(), credit_fd.get(), buckets);
    EXPECT_TRUE(table.ok()) << table.status();
    return *std::move(table);
  }

  sluice_flow& flow(uint32_t bucket, uint32_t way) {
    return reinterpret_cast<sluice_flow_bucket*>(flows_.start())[bucket].flows[way];
  }
  sluice_flow_detail& detail(uint32_t bucket, uint32_t way) {
    return reinterpret_cast<sluice_detail_bucket*>(details_.start())[bucket].details[way];
  }
  sluice_queue_credit& credit(uint32_t queue) { return reinterpret_cast<sluice_queue_credit*>(credit_.start())[queue]; }
  uint32_t done(uint32_t queue) { return __atomic_load_n(&credit(queue).completed, __ATOMIC_ACQUIRE); }

  static uint32_t State(const sluice_flow& flow) { return __atomic_load_n(&flow.state, __ATOMIC_ACQUIRE); }
  // Returns the flow's entry in any state but FREE and of any epoch; nullptr if there is none.
  sluice_flow* Find(const sluice_flow_key& key) {
    for (uint32_t i = 0; i < buckets * SLUICE_FLOW_WAYS; ++i) {
      sluice_flow& one = flow(i / SLUICE_FLOW_WAYS, i % SLUICE_FLOW_WAYS);
      if (State(one) != SLUICE_FLOW_FREE && memcmp(&one.key, &key, sizeof(key)) == 0) {
        return &one;
      }
    }
    return nullptr;
  }
  uint32_t Count(uint32_t state) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < buckets * SLUICE_FLOW_WAYS; ++i) {
      count += State(flow(i / SLUICE_FLOW_WAYS, i % SLUICE_FLOW_WAYS)) == state ? 1 : 0;
    }
    return count;
  }
  bool empty() { return Count(SLUICE_FLOW_FREE) == buckets * SLUICE_FLOW_WAYS; }

  const uint32_t buckets;
  UniqueFd flows_fd;
  UniqueFd details_fd;
  UniqueFd credit_fd;

 private:
  static Mapping MakeAndMap(int fd, size_t bytes) {
    EXPECT_EQ(ftruncate(fd, static_cast<off_t>(bytes)), 0);
    absl::StatusOr<Mapping> mapping = Mapping::Share(fd, bytes, 0, "a test's table");
    EXPECT_TRUE(mapping.ok()) << mapping.status();
    return *std::move(mapping);
  }

  Mapping flows_;
  Mapping details_;
  Mapping credit_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_FLOW_MEMORY_H_
