// A network function of the tests: it sends UDP over IPv4 back as `reflect` does, and gives everything else to the
// kernel. Linked into the product's own main in place of the functions that ship, it proves the way to the kernel with
// real programs (tests/netns/to_kernel_test.py). It answers to the name "reflect", which the agent knows.
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dataplane/functions/catalog.h"
#include "dataplane/functions/function_factory.h"
#include "dataplane/net/headers.h"

namespace sluice {
namespace {

class UdpBackRestToKernel final : public NetworkFunction {
 public:
  void Process(LaneContext& /*lane*/, Burst& burst) override {
    for (Frame& frame : burst) {
      const Headers& headers = burst.headers[burst.IndexOf(frame)];
      if (headers.network == Network::kIpv4 && headers.protocol == SLUICE_PROTO_UDP) {
        HeaderAt<EthernetHeader>(frame.data, 0).SwapMacs();
        frame.verdict = Verdict::Transmit(frame.in_port);
      } else {
        frame.verdict = Verdict::ToKernel();
      }
    }
  }
};

}  // namespace

absl::StatusOr<MadeFunction> MakeFunction(absl::string_view name, size_t) {
  if (name != "reflect") {
    return absl::NotFoundError("this dataplane is for tests and has one function, \"reflect\"");
  }
  return MadeFunction{FindFunction("reflect"), std::make_unique<UdpBackRestToKernel>()};
}

}  // namespace sluice
