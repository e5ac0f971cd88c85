// Sizes the running network function by its load, while the configuration has queue_pairs = "auto": takes a sample four
// times a second, has the load judged (autoscale.h), and resizes by the Resizer, as users do.
//
//   off    queue_pairs is a number
//   auto   resizes by itself
//   hold   stays as it is, since the user said so, until the user says otherwise; the state file keeps it
//
// One thread, the agent's loop. So it never resizes while a user's request or an apply runs.
#ifndef SLUICE_CONTROL_AUTOSCALE_AUTOSCALER_H_
#define SLUICE_CONTROL_AUTOSCALE_AUTOSCALER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "control/autoscale/autoscale.h"
#include "control/autoscale/load_sampler.h"
#include "control/config/config.h"
#include "control/resize/resize_objects.h"
#include "control/resize/resizer.h"
#include "control/state/state_file.h"

namespace sluice {

class Autoscaler {
 public:
  static constexpr int64_t kSampleEveryNs = 250'000'000;

  // Of the configuration.
  struct Wish {
    bool automatic = false;
    uint32_t min = 1;
    std::optional<uint32_t> max;

    static Wish Of(const DataplaneConfig& config) {
      return {config.queue_pairs.automatic(), config.queue_pairs_min, config.queue_pairs_max};
    }
    bool operator==(const Wish&) const = default;
  };
  enum class Mode { kOff, kAuto, kHold };

  // Borrows all. Holds where an agent before us did.
  Autoscaler(const ResizeObjects& objects, Resizer& resizer, StateFile& state, Wish wish);

  const Wish& wish() const { return wish_; }
  // Ends a hold when it is no longer automatic.
  void SetWish(Wish wish);

  Mode mode() const;
  // Both: FailedPrecondition when queue_pairs is a number.
  absl::Status Resume();
  absl::Status Hold();
  // A user has set the number of pairs. Returns true if that made it a hold.
  bool UserSetPairs();

  // To be called at least every kSampleEveryNs. Blocks while it resizes.
  void Tick(int64_t now_ns);

  AutoscaleBounds bounds() const { return BoundsInForce(Setup()); }
  // The reason for the present number of pairs, in one sentence.
  const std::string& sentence() const { return sentence_; }
  // Of each of kCountedWhys, since the agent started.
  uint64_t decisions(AutoscaleWhy why) const;

 private:
  AutoscaleSetup Setup() const;
  void HoldBecause(const char* by);
  void SaveHold(const std::string& by);
  void Measure();
  void Carry(const AutoscaleJudgement& judgement, int64_t now_ns);
  void Note(AutoscaleWhy why, int64_t now_ns);
  void StartAnew();

  const ResizeObjects o_;
  Resizer& resizer_;
  StateFile& state_;
  Wish wish_;
  int64_t next_sample_ns_ = 0;
  LoadSampler sampler_;
  std::vector<LoadSample> window_;
  AutoscaleMemory memory_;
  ByLever<int64_t> cost_ns_;
  std::string sentence_;
  std::map<AutoscaleWhy, uint64_t> decisions_;
  std::map<AutoscaleWhy, int64_t> noted_ns_;  // of those that change nothing
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AUTOSCALE_AUTOSCALER_H_
