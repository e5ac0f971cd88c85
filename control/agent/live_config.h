// The configuration of the running agent: what it is, and the steps that change it (config_run.h).
#ifndef SLUICE_CONTROL_AGENT_LIVE_CONFIG_H_
#define SLUICE_CONTROL_AGENT_LIVE_CONFIG_H_

#include "absl/status/status.h"
#include "control/agent/instance.h"
#include "control/agent/reporter.h"
#include "control/apply/config_run.h"
#include "control/config/config.h"

namespace sluice {

class LiveConfig : public ConfigActions {
 public:
  // Borrows both.
  LiveConfig(Instance& instance, Reporter& reporter) : instance_(instance), reporter_(reporter) {}

  Config Running() const override;
  bool dataplane_down() const override { return instance_.dataplane_down(); }
  absl::Status Check(ConfigStep step, const Config& wanted) override;
  absl::Status Do(ConfigStep step, const Config& wanted) override;

 private:
  absl::Status SetQueuePairs(uint32_t pairs);
  absl::Status CheckFunction(const FunctionConfig& wanted) const;

  Instance& instance_;
  Reporter& reporter_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_LIVE_CONFIG_H_
