// The agent's objects that answer requests, over ports, a dataplane and a kernel in memory.
#ifndef SLUICE_TESTS_SERVE_SERVE_FIXTURE_H_
#define SLUICE_TESTS_SERVE_SERVE_FIXTURE_H_

#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/dataplane/dataplane_supervisor.h"
#include "control/function/function_host.h"
#include "control/serve/served.h"
#include "control/steering/steering.h"
#include "tests/resize/resize_fixture.h"

namespace sluice {

class ServeTest : public ResizeTest {
 protected:
  explicit ServeTest(const std::string& function = "reflect") : function_(*FunctionHost::Make({.type = function})) {
    for (const FakePort* port : fakes_) {
      config_.ports.push_back({port->name(), port->netdev()});
    }
    config_.function.type = function;
  }

  Config config_;
  DataplaneSupervisor supervisor_{nullptr, dataplane_, state_};
  Steering steering_{ports_, *offload_, state_, [] { return absl::OkStatus(); },
                     [] { return std::vector<sluice_address>(); }};
  FunctionHost function_;
  Autoscaler autoscaler_{Objects(), *resizer_, state_, {.automatic = true}};
  Served served_{config_, function_, ports_,    dataplane_, supervisor_, *placement_,
                 *lanes_, *offload_, steering_, *resizer_,  autoscaler_};
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVE_SERVE_FIXTURE_H_
