// A change of a list that is undone unless somebody confirms it in time. It is in the state file from before the change
// on, so the successor of an agent that dies meanwhile goes on waiting. One thread.
#ifndef SLUICE_CONTROL_STEERING_UNCONFIRMED_CHANGE_H_
#define SLUICE_CONTROL_STEERING_UNCONFIRMED_CHANGE_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control/rules/source_list.h"
#include "control/state/state_file.h"

namespace sluice {

class UnconfirmedChange {
 public:
  // Undoes the change, also if it was not made, or made in part only.
  using Undo = std::function<absl::Status(const SavedListChange&)>;
  // Called when a change waits no more.
  using Settled = std::function<void(const SavedListChange&)>;

  // Borrows the state.
  UnconfirmedChange(StateFile& state, Undo undo, Settled settled)
      : state_(state), undo_(std::move(undo)), settled_(std::move(settled)) {}

  // Records a change that is about to be made. The time runs by the boot clock. Only while none waits.
  void Begin(SavedListChange change, absl::Duration time);
  // The change was not made, or something else has taken its place: nothing waits then.
  void Forget();
  bool waits() const { return state_.state().has_list_change(); }
  // FailedPrecondition while one waits: lists do not change then.
  absl::Status RefuseWhileWaiting() const;
  // Of a change of this list; 0: none waits.
  uint64_t SecondsLeft(ListKind kind) const;
  // Both: FailedPrecondition when no change of this list waits. A roll-back that fails is tried again by Tick().
  absl::Status Confirm(ListKind kind);
  absl::Status RollBack(ListKind kind);
  // Once a second or so: rolls back a change whose time is over. Errors are logged.
  void Tick();

 private:
  const SavedListChange& change() const { return state_.state().list_change(); }
  ListKind kind() const { return static_cast<ListKind>(change().list()); }
  bool Waits(ListKind kind) const { return waits() && this->kind() == kind; }
  int64_t NsLeft() const;

  StateFile& state_;
  Undo undo_;
  Settled settled_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_STEERING_UNCONFIRMED_CHANGE_H_
