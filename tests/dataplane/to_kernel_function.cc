// A network function of the tests: it sends UDP over IPv4 back as `reflect` does, and gives everything else to the
// kernel. Linked into the product's own main in place of the functions that ship, it proves the way to the kernel with
// real programs (tests/netns/to_kernel_test.py). It answers to the name "reflect", which the agent knows.
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dataplane/functions/function_registry.h"
#include "dataplane/net/ethernet.h"

namespace sluice {
namespace {

constexpr uint32_t kUdpProtocolOffset = kEthernetHeaderBytes + 9;

class UdpBackRestToKernel final : public NetworkFunction {
 public:
  void Process(Burst& burst) override {
    for (Frame& frame : burst) {
      if (frame.length_bytes > kUdpProtocolOffset && frame.data[12] == 0x08 && frame.data[13] == 0x00 &&
          frame.data[kUdpProtocolOffset] == 17) {
        SwapMacs(frame.data);
        frame.verdict = Verdict::Transmit(frame.in_port);
      } else {
        frame.verdict = Verdict::ToKernel();
      }
    }
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<NetworkFunction>> MakeNetworkFunction(absl::string_view name, uint32_t) {
  if (name != "reflect") {
    return absl::NotFoundError("this dataplane is for tests and has one function, \"reflect\"");
  }
  return std::make_unique<UdpBackRestToKernel>();
}

}  // namespace sluice
