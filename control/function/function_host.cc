#include "control/function/function_host.h"

#include "absl/strings/str_cat.h"
#include "control/kernel/shared_memory.h"
#include "dataplane/functions/catalog.h"
#include "spdlog/spdlog.h"

namespace sluice {

absl::StatusOr<FunctionHost> FunctionHost::Make(const FunctionConfig& config) {
  const FunctionDescriptor* descriptor = FindFunction(config.type);
  if (descriptor == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("no function is called \"", config.type, "\"; there are: ", FunctionNames()));
  }
  absl::StatusOr<Settings> settings = Settings::Read(descriptor->settings, config.settings);
  if (!settings.ok()) {
    return settings.status();
  }
  return FunctionHost(*descriptor, settings->texts());
}

absl::Status FunctionHost::MakeState() {
  absl::StatusOr<Settings> settings = Settings::Read(descriptor_->settings, settings_);
  if (!settings.ok()) {
    return settings.status();
  }
  const uint64_t bytes = descriptor_->state_bytes(*settings);
  absl::StatusOr<UniqueFd> memory = MakeSharedMemory(absl::StrCat("sluice-", descriptor_->name), bytes);
  if (!memory.ok()) {
    return absl::Status(memory.status().code(),
                        absl::StrCat("state memory of function \"", descriptor_->name,
                                     "\": ", memory.status().message(), "; or lower the function's settings"));
  }
  state_ = *std::move(memory);
  state_used_ = false;
  return absl::OkStatus();
}

absl::Status FunctionHost::Configure(dataplane::Configure configuration, const RcuWaiter& rcu,
                                     DataplaneClient& dataplane) {
  const bool has_state = descriptor_->state_bytes != nullptr;
  if (has_state && !state_) {
    if (absl::Status s = MakeState(); !s.ok()) {
      return s;
    }
  }
  configuration.set_function(descriptor_->name);
  configuration.mutable_settings()->insert(settings_.begin(), settings_.end());
  configuration.set_state_used(state_used_);
  absl::Status s = dataplane.Configure(configuration, rcu, state_.get());
  if (absl::IsFailedPrecondition(s) && state_used_) {
    spdlog::error("function \"{}\" starts with empty state, since it cannot use its predecessor's: {}",
                  descriptor_->name, std::string(s.message()));
    s = MakeState();
    if (s.ok()) {
      configuration.set_state_used(false);
      s = dataplane.Configure(configuration, rcu, state_.get());
    }
  }
  state_used_ = state_used_ || (has_state && s.ok());
  return s;
}

absl::Status FunctionHost::Adopt(const dataplane::Configure& running, UniqueFd state, DataplaneClient& dataplane) {
  if (running.function() != descriptor_->name) {
    return absl::FailedPreconditionError(absl::StrCat("it runs function \"", running.function(), "\""));
  }
  bool live_differs = false;
  for (const SettingSpec& spec : descriptor_->settings) {
    const auto runs = running.settings().find(spec.name);
    const std::string value = runs == running.settings().end() ? "" : runs->second;
    if (value != settings_.at(spec.name) && !spec.live) {
      return absl::FailedPreconditionError(absl::StrCat("it runs with ", spec.name, " = ", value));
    }
    live_differs = live_differs || value != settings_.at(spec.name);
  }
  if (descriptor_->state_bytes != nullptr && !state) {
    return absl::DataLossError("the dataplane did not hand over the function's state memory");
  }
  state_ = std::move(state);
  state_used_ = true;
  return live_differs ? dataplane.ApplySettings(settings_) : absl::OkStatus();
}

absl::Status FunctionHost::Apply(const SettingTexts& settings, DataplaneClient& dataplane) {
  absl::StatusOr<Settings> checked = Settings::Read(descriptor_->settings, settings);
  if (!checked.ok()) {
    return checked.status();
  }
  absl::Status s = dataplane.down() ? absl::OkStatus() : dataplane.ApplySettings(checked->texts());
  if (s.ok() || absl::IsUnavailable(s)) {  // a dataplane that has just died: its successor gets them
    settings_ = checked->texts();
    return absl::OkStatus();
  }
  return s;
}

}  // namespace sluice
