#include "control/function/function_host.h"

#include <utility>

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

absl::StatusOr<uint64_t> FunctionHost::WantedStateBytes() const {
  const absl::StatusOr<Settings> settings = Settings::Read(descriptor_->settings, settings_);
  if (!settings.ok()) {
    return settings.status();
  }
  return StateBytes(*descriptor_, *settings);
}

absl::Status FunctionHost::MakeState(uint64_t bytes) {
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
  const absl::StatusOr<uint64_t> bytes = WantedStateBytes();
  if (!bytes.ok()) {
    return bytes.status();
  }
  if (*bytes > 0 && !state_used_) {
    state_.Reset();  // a dataplane that did not get through its start may have written to it
    if (absl::Status s = MakeState(*bytes); !s.ok()) {
      return s;
    }
  }
  configuration.set_function(descriptor_->name);
  configuration.mutable_settings()->insert(settings_.begin(), settings_.end());
  configuration.set_state_used(state_used_);
  absl::Status s = dataplane.Configure(configuration, rcu, state_.get());
  if (absl::IsDataLoss(s) && state_used_) {
    spdlog::error("function \"{}\" starts with empty state, since it cannot use its predecessor's: {}",
                  descriptor_->name, std::string(s.message()));
    s = MakeState(*bytes);
    if (s.ok()) {
      configuration.set_state_used(false);
      s = dataplane.Configure(configuration, rcu, state_.get());
    }
  }
  state_used_ = state_used_ || (*bytes > 0 && s.ok());
  return s;
}

absl::Status FunctionHost::Adopt(const dataplane::Configure& running, UniqueFd state) {
  if (FindFunction(running.function()) == nullptr) {
    return absl::DataLossError("it says that it runs a function that there is not");
  }
  if (running.function() != descriptor_->name) {
    return absl::FailedPreconditionError(absl::StrCat("it runs function \"", running.function(), "\""));
  }
  for (const SettingSpec& spec : descriptor_->settings) {
    const auto runs = running.settings().find(spec.name);
    const std::string value = runs == running.settings().end() ? "" : runs->second;
    if (value != settings_.at(spec.name) && !spec.live) {
      return absl::FailedPreconditionError(absl::StrCat("it runs with ", spec.name, " = ", value));
    }
  }
  const absl::StatusOr<Settings> settings =
      Settings::Read(descriptor_->settings, {running.settings().begin(), running.settings().end()});
  if (!settings.ok()) {
    return absl::DataLossError(
        absl::StrCat("it says that it runs with settings that cannot be: ", settings.status().message()));
  }
  const absl::StatusOr<uint64_t> bytes = WantedStateBytes();
  if (!bytes.ok()) {
    return bytes.status();
  }
  const bool has_state = *bytes > 0;
  if (absl::Status s = has_state ? CheckSharedMemory(state.get(), *bytes, PageKind::kOrdinary) : absl::OkStatus();
      !s.ok()) {
    return absl::DataLossError(absl::StrCat("the function's state memory: ", s.message()));
  }
  state_ = has_state ? std::move(state) : UniqueFd();
  state_used_ = has_state;
  wanted_ = std::exchange(settings_, {running.settings().begin(), running.settings().end()});
  return absl::OkStatus();
}

absl::Status FunctionHost::ApplyAdopted(DataplaneClient& dataplane) {
  const SettingTexts wanted = std::exchange(wanted_, {});
  absl::Status s = wanted == settings_ ? absl::OkStatus() : Give(wanted, dataplane);
  if (s.ok() || absl::IsUnavailable(s)) {
    return s;
  }
  return absl::Status(
      s.code(),
      absl::StrCat("the dataplane that runs does not take the settings of [function] and goes on with the "
                   "former ones: ",
                   s.message(), ". Change them, or end it (SIGTERM to pid ", dataplane.pid(), ") and start again"));
}

absl::Status FunctionHost::Apply(const SettingTexts& settings, DataplaneClient& dataplane, Withdrawing withdrawing) {
  const absl::StatusOr<Settings> checked = Settings::Read(descriptor_->settings, settings);
  if (!checked.ok()) {
    return checked.status();
  }
  const SettingTexts former = settings_;
  absl::Status s = withdrawing([&] { return Give(checked->texts(), dataplane); });
  if (!s.ok() && settings_ != former) {  // they are in force, but decisions of before may still be followed
    const absl::Status back = withdrawing([&] { return Give(former, dataplane); });
    if (!back.ok()) {
      spdlog::error("putting the function's settings back: {}", std::string(back.message()));
    }
  }
  return s;
}

// Brings the settings to the dataplane, if one runs, and into the record; or leaves both as they are.
absl::Status FunctionHost::Give(const SettingTexts& settings, DataplaneClient& dataplane) {
  absl::Status s = dataplane.down() ? absl::OkStatus() : dataplane.ApplySettings(settings);
  if (s.ok()) {
    settings_ = settings;
    return s;
  }
  if (absl::IsUnavailable(s)) {
    // Perhaps it died of them, and a successor would die of them as well.
    return absl::UnavailableError(absl::StrCat("the dataplane ended while it took the settings, and its successor ",
                                               "starts with the former ones: ", s.message()));
  }
  // The function promises all or nothing; a mistake there would show only when a successor starts with other settings
  // than those that ran.
  if (absl::Status back = dataplane.ApplySettings(settings_); !back.ok()) {
    spdlog::error("giving the function its former settings again: {}", std::string(back.message()));
  }
  return s;
}

}  // namespace sluice
