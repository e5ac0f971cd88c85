// The steps of a live change of the configuration. control/apply orders and runs them; each live key names its step
// (keys.h). Constants; any thread.
#ifndef SLUICE_CONTROL_CONFIG_CONFIG_STEP_H_
#define SLUICE_CONTROL_CONFIG_CONFIG_STEP_H_

#include <optional>
#include <type_traits>

namespace sluice {

// The steps, in the order in which they run (control/apply/config_plan.h gives the reasons).
enum class ConfigStep {
  kMetrics,       // the address at which Prometheus fetches
  kDownPolicies,  // on_dataplane_down of every port
  kPlacement,     // workers and cores
  kQueuePairs,    // a resize
  kFunction,      // the function's live settings
  kLists,         // blocklist and allow-list
  kRules,         // atomic on each port
};

// The way in which a change of a key takes effect: live, by a step, or by a restart of the agent. It has no default,
// and a live change cannot be written without its step.
class ChangeBy {
 public:
  static constexpr ChangeBy Live(ConfigStep step) { return ChangeBy(step); }
  static constexpr ChangeBy Restart() { return ChangeBy(std::nullopt); }

  constexpr bool live() const { return step_.has_value(); }
  // nullopt: a restart.
  constexpr std::optional<ConfigStep> step() const { return step_; }

 private:
  explicit constexpr ChangeBy(std::optional<ConfigStep> step) : step_(step) {}
  std::optional<ConfigStep> step_;
};
static_assert(!std::is_default_constructible_v<ChangeBy> && !std::is_invocable_v<decltype(ChangeBy::Live)>);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_CONFIG_STEP_H_
