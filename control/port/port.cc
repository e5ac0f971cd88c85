#include "control/port/port.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sluice {

uint64_t Port::Packets(sluice_verdict verdict, uint32_t first, uint32_t end) const {
  uint64_t packets = 0;
  for (uint32_t queue = first; queue < std::min<uint32_t>(end, SLUICE_MAX_QUEUES); ++queue) {
    if (const absl::StatusOr<sluice_counters> counters = ReadCounters(queue); counters.ok()) {
      packets += counters->packets[verdict];
    }
  }
  return packets;
}

absl::Status OnPort(const std::string& netdev, const absl::Status& s) {
  return s.ok() ? s : absl::Status(s.code(), absl::StrCat("port ", netdev, ": ", s.message()));
}

}  // namespace sluice
