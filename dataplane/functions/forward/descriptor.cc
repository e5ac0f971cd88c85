#include "dataplane/functions/forward/descriptor.h"

namespace sluice::functions::forward {

constinit const FunctionDescriptor kDescriptor = {
    .name = "forward",
    .summary = "A bump in the wire: what comes in at one port leaves by the other, unchanged.",
    .least_ports = 2,
    .most_ports = 2,
    .admission = Admission::kEveryFrame,
};

}  // namespace sluice::functions::forward
