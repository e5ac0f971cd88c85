// The network function as the agent keeps it: its descriptor, the settings in force, and its state memory.
//
// Ownership: state memory outlives dataplanes. The agent makes it (a memfd of zeros), passes it to each dataplane that
// it configures, and gets it back from one that outlived a former agent. It ends with the last process that has it.
//
// One thread.
#ifndef SLUICE_CONTROL_FUNCTION_FUNCTION_HOST_H_
#define SLUICE_CONTROL_FUNCTION_FUNCTION_HOST_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/config/config.h"
#include "control/dataplane/dataplane_client.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/dataplane.pb.h"
#include "dataplane/function/descriptor.h"
#include "dataplane/function/settings.h"

namespace sluice {

class FunctionHost {
 public:
  // `config` must have been checked, as ParseConfig() does. InvalidArgument if it was not.
  static absl::StatusOr<FunctionHost> Make(const FunctionConfig& config);

  const FunctionDescriptor& descriptor() const { return *descriptor_; }
  // The settings in force, all of them.
  const SettingTexts& settings() const { return settings_; }
  bool wants_every_frame() const { return descriptor_->admission == Admission::kEveryFrame; }

  // Configures a dataplane that has no configuration, with `configuration` completed by function, settings and state
  // memory. Replaces state memory that the function refuses by fresh memory, and logs that; any other error keeps it.
  absl::Status Configure(dataplane::Configure configuration, const RcuWaiter& rcu, DataplaneClient& dataplane);
  // Takes over from a dataplane that runs: checks that it runs this function, with these settings as far as only a
  // restart changes them, and leaves it as it is. `state`: its state memory. FailedPrecondition when it runs another
  // function or has another such setting; DataLoss when the memory is missing.
  absl::Status Adopt(const dataplane::Configure& running, UniqueFd state);
  // After Adopt(), once no flow is offloaded any more by the values that run: gives the dataplane the live settings
  // where others run. After an error those go on.
  absl::Status ApplyAdopted(DataplaneClient& dataplane);

  // Runs the change that it is given, and sees to it that no decision of before is followed after it
  // (Offload::Withdrawing).
  using Withdrawing = absl::FunctionRef<absl::Status(absl::FunctionRef<absl::Status()>)>;
  // Puts other values of live settings in force, within `withdrawing`. While no dataplane runs, its successor gets
  // them. After an error the former ones are in force, so that a successor always gets what runs.
  absl::Status Apply(const SettingTexts& settings, DataplaneClient& dataplane, Withdrawing withdrawing);

 private:
  explicit FunctionHost(const FunctionDescriptor& descriptor, SettingTexts settings)
      : descriptor_(&descriptor), settings_(std::move(settings)) {}

  absl::StatusOr<uint64_t> WantedStateBytes() const;
  absl::Status MakeState(uint64_t bytes);
  absl::Status Give(const SettingTexts& settings, DataplaneClient& dataplane);

  const FunctionDescriptor* descriptor_;
  SettingTexts settings_;
  SettingTexts wanted_;      // from Adopt() to ApplyAdopted(), while settings_ are those that run
  UniqueFd state_;           // none: the function has none, or no dataplane was configured yet
  bool state_used_ = false;  // a dataplane has started on it
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_FUNCTION_FUNCTION_HOST_H_
