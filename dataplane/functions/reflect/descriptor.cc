#include "dataplane/functions/reflect/descriptor.h"

#include "dataplane/contract/stats_segment.h"

namespace sluice::functions::reflect {

constinit const FunctionDescriptor kDescriptor = {
    .name = "reflect",
    .summary = "Swaps the MAC addresses and sends each frame back out of its port.",
    .least_ports = 1,
    .most_ports = kMaxPorts,
    .admission = Admission::kOwnMac,
};

}  // namespace sluice::functions::reflect
