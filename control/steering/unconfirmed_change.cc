#include "control/steering/unconfirmed_change.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/clock.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

absl::Status NoneWaits(ListKind kind) {
  return absl::FailedPreconditionError(absl::StrCat("no change of the ", ListName(kind), " waits to be confirmed"));
}

}  // namespace

void UnconfirmedChange::Begin(SavedListChange change, absl::Duration time) {
  change.set_deadline_ns(BootClockNs() + absl::ToInt64Nanoseconds(time));
  change.set_boot_id(BootId());
  state_.Update([&change](SavedState& state) { state.mutable_list_change()->Swap(&change); });
}

void UnconfirmedChange::Forget() {
  const SavedListChange forgotten = change();
  state_.Update([](SavedState& state) { state.clear_list_change(); });
  settled_(forgotten);
}

absl::Status UnconfirmedChange::RefuseWhileWaiting() const {
  if (!waits()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("a change of the ", ListName(kind()), " waits to be confirmed for another ", SecondsLeft(kind()),
                   " s; first `sluicectl ", ListName(kind()), " confirm` or `sluicectl ", ListName(kind()),
                   " rollback`. Nothing was changed"));
}

// A deadline of another boot is over: that clock began anew.
int64_t UnconfirmedChange::NsLeft() const {
  return change().boot_id() == BootId() ? std::max<int64_t>(0, change().deadline_ns() - BootClockNs()) : 0;
}

uint64_t UnconfirmedChange::SecondsLeft(ListKind kind) const {
  return Waits(kind) ? static_cast<uint64_t>(NsLeft() / kNsPerSecond + 1) : 0;
}

absl::Status UnconfirmedChange::Confirm(ListKind kind) {
  if (!Waits(kind)) {
    return NoneWaits(kind);
  }
  Forget();
  return absl::OkStatus();
}

absl::Status UnconfirmedChange::RollBack(ListKind kind) {
  if (!Waits(kind)) {
    return NoneWaits(kind);
  }
  state_.Update([](SavedState& state) { state.mutable_list_change()->set_deadline_ns(0); });
  absl::Status s = undo_(change());
  if (s.ok()) {
    Forget();
  }
  return s;
}

void UnconfirmedChange::Tick() {
  if (!waits() || NsLeft() > 0) {
    return;
  }
  const ListKind which = kind();
  if (absl::Status s = RollBack(which); s.ok()) {
    spdlog::warn("the {} is as it was before a change that nobody confirmed in time", ListName(which));
  } else {
    spdlog::error("rolling back the {}, which is tried again: {}", ListName(which), std::string(s.message()));
  }
}

}  // namespace sluice
