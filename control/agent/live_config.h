// The configuration of the running agent, and the steps that change it (config_run.h). One thread, the agent's loop.
#ifndef SLUICE_CONTROL_AGENT_LIVE_CONFIG_H_
#define SLUICE_CONTROL_AGENT_LIVE_CONFIG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "control/agent/agent.h"
#include "control/apply/config_run.h"
#include "control/config/config.h"
#include "control/serve/reporter.h"

namespace sluice {

class LiveConfig : public ConfigActions {
 public:
  // Borrows both.
  LiveConfig(Agent& agent, Reporter& reporter) : agent_(agent), objects_(agent.served()), reporter_(reporter) {}

  Config Running() const override;
  bool dataplane_down() const override { return objects_.dataplane.down(); }
  absl::Status Check(ConfigStep step, const Config& wanted) override;
  // kLists: the lists that Steering::Prepare() got; none: the former ones.
  absl::Status Do(ConfigStep step, const Config& wanted) override;
  void Settle() override { objects_.steering.ForgetFormer(); }

 private:
  absl::Status SetQueuePairs(const DataplaneConfig& wanted);
  absl::Status Resize(uint32_t pairs);

  Agent& agent_;
  const Served& objects_;
  Reporter& reporter_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_LIVE_CONFIG_H_
