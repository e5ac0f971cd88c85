// Steering rules, lists of sources, and the guest's own addresses and multicast groups, in force on all ports. A change
// withdraws the decisions about offloaded flows that were made before it (Offload::Withdrawing).
//
// Rules have ids and counters that survive changes of other rules and the agent itself: they are in the state file. The
// lists survive in the ports' maps, as do the former ones that a change may go back to. One thread; a call blocks for a
// grace period.
#ifndef SLUICE_CONTROL_STEERING_STEERING_H_
#define SLUICE_CONTROL_STEERING_STEERING_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/offload/offload.h"
#include "control/port/port_set.h"
#include "control/rules/active_rules.h"
#include "control/rules/source_list.h"
#include "control/state/state_file.h"
#include "control/steering/loaded_lists.h"
#include "control/steering/unconfirmed_change.h"

namespace sluice {

class Steering {
 public:
  using RcuWait = Offload::RcuWait;
  // Returns every address of the guest (control/kernel/links.h: LocalAddresses).
  using Addresses = std::function<absl::StatusOr<std::vector<sluice_address>>()>;

  // Borrows the first three.
  Steering(PortSet& ports, Offload& offload, StateFile& state, RcuWait wait_for_rcu, Addresses addresses)
      : ports_(ports),
        offload_(offload),
        state_(state),
        wait_for_rcu_(std::move(wait_for_rcu)),
        addresses_(std::move(addresses)),
        unconfirmed_(
            state, [this](const SavedListChange& change) { return Undo(change); },
            [this](const SavedListChange& change) { Settle(change); }) {}

  // True if there are rules and lists of an agent before, which Start() goes on with.
  bool TakesOver() const { return state_.state().next_rule_id() != 0; }
  // True if the agent before loaded its list from this, whatever sluicectl has changed of it since.
  bool Loaded(ListKind kind, const ListSource& source) const;
  // Puts the file's rules in force, unless an agent that died had other rules than the same file: those go on then, as
  // do its lists that are not in `lists`, and a change that waits to be confirmed.
  absl::Status Start(const std::vector<RuleConfig>& rules_of_file, LoadedLists lists = {});

  const std::vector<ActiveRule>& active_rules() const { return active_; }
  std::vector<RuleConfig> rules() const { return ConfigsOf(active_); }
  const std::optional<SourceList>& list(ListKind kind) const { return lists_[static_cast<size_t>(kind)]; }

  // Puts these rules in force in place of rules(): on all ports, or on none. They are the configuration's: after a
  // crash the next agent takes the file's rules instead when the file has changed.
  absl::Status ReplaceRules(std::vector<RuleConfig> rules);
  // The same for rules that are not in the configuration: they go on after a crash.
  absl::Status ChangeRules(std::vector<RuleConfig> rules);

  // Changes a list of sources. ReplaceList puts the whole list in force in one step (nullopt: none); the others return
  // how many prefixes were new, or were there. `confirm` above zero: the change is undone unless
  // unconfirmed().Confirm() comes in time. FailedPrecondition while another change waits for that. An error has changed
  // nothing.
  absl::Status ReplaceList(ListKind kind, std::optional<SourceList> list, absl::Duration confirm = {});
  absl::StatusOr<uint64_t> AddToList(ListKind kind, const std::vector<sluice_prefix>& prefixes,
                                     absl::Duration confirm = {});
  absl::StatusOr<uint64_t> RemoveFromList(ListKind kind, const std::vector<sluice_prefix>& prefixes,
                                          absl::Duration confirm = {});
  UnconfirmedChange& unconfirmed() { return unconfirmed_; }

  // The lists of a configuration. PutPrepared() puts them in force, all or none, and keeps the former ones until
  // PutFormerBack() or ForgetFormer(), over the agent's death too. PutFormerBack() does nothing when there are none.
  void Prepare(LoadedLists lists) { prepared_ = std::move(lists); }
  bool prepared() const { return prepared_.has_value(); }
  void DropPrepared() { prepared_.reset(); }
  absl::Status PutPrepared();
  absl::Status PutFormerBack();
  void ForgetFormer();
  // The configuration's keys of the list, with the file that was loaded last.
  const ListSource& source(ListKind kind) const { return sources_[static_cast<size_t>(kind)]; }
  // True if Start() found the rules and lists of an agent before.
  bool took_over() const { return took_over_; }

  // Puts rules and blocklist in force once more, on ports whose maps may be new.
  absl::Status PutAgain();

  // Once a second, and when an address came or went: tells the ports of addresses and joined groups. Errors are
  // logged.
  void FollowAddresses();

 private:
  std::vector<ActiveRule> RulesBefore() const;
  absl::Status Put(std::vector<ActiveRule> rules);
  absl::Status StartList(ListKind kind, std::optional<LoadedList>& loaded);
  absl::Status AdoptList(ListKind kind);
  absl::StatusOr<std::optional<SourceList>> FindFormer(ListKind kind) const;
  absl::Status AdoptChanges(ListKind kind);
  absl::StatusOr<bool> AdoptFormer(ListKind kind, bool had_former);
  absl::Status PutList(ListKind kind, const std::optional<SourceList>& list);
  absl::Status SwapList(ListKind kind, std::optional<SourceList>& list);
  absl::Status KeepFormer(ListKind kind);
  void DropFormer(ListKind kind);
  void SetSource(ListKind kind, const ListSource& source);
  absl::Status PutLoaded(ListKind kind, LoadedList& loaded);
  absl::Status Undo(const SavedListChange& change);
  void Settle(const SavedListChange& change);
  absl::Status CheckMayConfirm() const;
  absl::StatusOr<uint64_t> ChangeList(ListKind kind, const std::vector<sluice_prefix>& prefixes, bool add,
                                      absl::Duration confirm);
  absl::StatusOr<uint64_t> AddNow(ListKind kind, const std::vector<sluice_prefix>& prefixes);
  absl::StatusOr<uint64_t> RemoveNow(ListKind kind, const std::vector<sluice_prefix>& prefixes);
  std::vector<sluice_prefix> OnList(ListKind kind, const std::vector<sluice_prefix>& prefixes, bool on) const;
  std::optional<SourceList>& ListOf(ListKind kind) { return lists_[static_cast<size_t>(kind)]; }
  std::optional<SourceList>& FormerOf(ListKind kind) { return former_[static_cast<size_t>(kind)]; }

  PortSet& ports_;
  Offload& offload_;
  StateFile& state_;
  RcuWait wait_for_rcu_;
  Addresses addresses_;
  std::vector<ActiveRule> active_;
  uint32_t next_rule_id_ = 1;
  std::array<std::optional<SourceList>, SLUICE_LISTS> lists_;
  std::array<std::optional<SourceList>, SLUICE_LISTS> former_;  // as the state's list_change and former_lists say
  std::array<ListSource, SLUICE_LISTS> sources_;
  std::optional<LoadedLists> prepared_;
  UnconfirmedChange unconfirmed_;
  bool took_over_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_STEERING_STEERING_H_
