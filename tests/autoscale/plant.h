// A machine in memory for the judgement of loads: flows are hashed to lanes, lanes are polled by workers, a worker that
// gets more than it can do drops the rest, and a resize takes its time. The load is counted in cores.
#ifndef SLUICE_TESTS_AUTOSCALE_PLANT_H_
#define SLUICE_TESTS_AUTOSCALE_PLANT_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/autoscale/autoscale.h"

namespace sluice {

// The load at a moment, in cores' worth of packets.
struct Offered {
  double mice = 0;      // of 256 flows alike
  double elephant = 0;  // of one flow
};

struct Change {
  double at_s = 0;
  Lever lever = Lever::kNone;
  uint32_t from = 0;
  uint32_t to = 0;
  AutoscaleWhy why = AutoscaleWhy::kEnough;
};

class Plant {
 public:
  static constexpr double kStepS = 0.25;  // Autoscaler::kSampleEveryNs

  AutoscaleSetup setup;
  bool device_spreads = true;  // false: all flows stay on lane 0
  std::function<bool(const Change&)> refuses = [](const Change&) { return false; };
  std::vector<Change> changes;
  uint32_t refusals = 0;
  uint32_t most_pairs = 0;
  AutoscaleJudgement last;
  double dropped = 0;  // cores' worth, times seconds

  Plant() {
    setup.usable_workers = 4;
    setup.device_pairs = 4;
    setup.bounds = {1, 64};
  }

  // Starts at that many pairs, each with a worker.
  void StartWith(uint32_t pairs) {
    setup.active_pairs = setup.open_pairs = pairs;
    setup.workers = std::min(pairs, setup.usable_workers);
  }

  void Run(double seconds, const std::function<Offered(double)>& load) {
    for (const double end_s = now_s_ + seconds; now_s_ < end_s;) {
      now_s_ += kStepS;
      Step(load);
    }
  }

  std::string Story() const {
    std::string text;
    for (const Change& change : changes) {
      absl::StrAppend(&text, "\n  ", change.at_s, " s: ", LeverName(change.lever), " ", change.from, " to ", change.to,
                      " (", AutoscaleWhyName(change.why), ")");
    }
    return absl::StrCat(text, "\n  in the end: ", last.sentence);
  }

 private:
  static int64_t Ns(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

  // The mean of the load over the step.
  static Offered MeanOver(double from_s, double to_s, const std::function<Offered(double)>& load) {
    constexpr int kParts = 10;
    Offered mean;
    for (int i = 0; i < kParts; ++i) {
      const Offered one = load(from_s + (to_s - from_s) * (i + 0.5) / kParts);
      mean.mice += one.mice / kParts;
      mean.elephant += one.elephant / kParts;
    }
    return mean;
  }

  void Step(const std::function<Offered(double)>& load) {
    constexpr double kPacketsPerCore = 1e6;  // a second
    const Offered offered = MeanOver(now_s_ - kStepS, now_s_, load);
    const uint32_t lanes = setup.active_pairs;
    std::vector<double> work(lanes, 0), elephant(lanes, 0);
    for (uint32_t lane = 0; lane < lanes; ++lane) {
      // 256 flows are hashed nearly evenly: the fullest lane has 8 % more than its share.
      const double skew = lanes == 1 ? 1 : lane == 0 ? 1.08 : 1 - 0.08 / (lanes - 1);
      work[lane] = device_spreads ? offered.mice / lanes * skew : lane == 0 ? offered.mice : 0;
    }
    elephant[0] = offered.elephant;
    work[0] += offered.elephant;
    LoadSample sample;
    sample.at_ns = Ns(now_s_);
    sample.took_ns = Ns(kStepS);
    sample.lanes.resize(lanes);
    sample.workers.resize(setup.workers);
    for (uint32_t w = 0; w < setup.workers; ++w) {
      double all = 0;
      for (uint32_t lane = w; lane < lanes; lane += setup.workers) {
        all += work[lane];
      }
      const double done = std::min(all, 1.0);
      dropped += (all - done) * kStepS;
      double packets = 0;
      for (uint32_t lane = w; lane < lanes; lane += setup.workers) {
        const double share = all == 0 ? 0 : work[lane] / all;
        LaneLoad& load_of_lane = sample.lanes[lane];
        load_of_lane.worker = w;
        load_of_lane.packets = static_cast<uint64_t>(done * share * kPacketsPerCore * kStepS);
        load_of_lane.drops = static_cast<uint64_t>((all - done) * share * kPacketsPerCore * kStepS);
        load_of_lane.flow_samples = load_of_lane.packets / 64;
        const double of_elephant = work[lane] == 0 ? 0 : elephant[lane] / work[lane];
        load_of_lane.top_flow_samples =
            of_elephant < 0.5 ? 0 : static_cast<uint64_t>(of_elephant * static_cast<double>(load_of_lane.flow_samples));
        packets += static_cast<double>(load_of_lane.packets);
      }
      // Bursts grow as the worker has less time to look.
      const double burst = std::clamp(1 / std::max(1 - all, 1e-6), 1.0, 64.0);
      sample.workers[w].busy_ns = Ns(done * kStepS);
      sample.workers[w].idle_ns = Ns((1 - done) * kStepS);
      sample.workers[w].busy_rounds = static_cast<uint64_t>(packets / burst);
    }
    Judge(std::move(sample));
  }

  void Judge(LoadSample sample) {
    window_.push_back(std::move(sample));
    while (window_.front().at_ns <= window_.back().at_ns - kLoadWindowNs) {
      window_.erase(window_.begin());
    }
    last = JudgeLoad(window_, setup, memory_);
    memory_ = last.memory;
    most_pairs = std::max(most_pairs, setup.active_pairs);
    if (last.lever == Lever::kNone) {
      return;
    }
    const bool cores = last.lever == Lever::kCores;
    const Change change{now_s_, last.lever, cores ? setup.workers : setup.active_pairs, last.to, last.why};
    const double took_s = cores ? 0.002 : last.lever == Lever::kSpread ? 0.01 : 0.3;
    now_s_ += took_s;
    setup.cost_ns[last.lever] = Ns(took_s);
    window_.clear();
    if (refuses(change)) {
      ++refusals;
      memory_ = AfterRefusal(std::move(memory_), "the kernel said no", Ns(now_s_));
      return;
    }
    changes.push_back(change);
    if (!cores) {
      setup.active_pairs = last.to;
      setup.open_pairs = last.lever == Lever::kSpread ? setup.open_pairs : last.to;
      setup.workers = setup.workers_are_set ? setup.workers : std::min(last.to, setup.usable_workers);
    } else {
      setup.workers = last.to;
    }
    memory_ = AfterChange(std::move(memory_), last.lever, last.to > change.from, Ns(now_s_));
    most_pairs = std::max(most_pairs, setup.active_pairs);
  }

  double now_s_ = 0;
  std::vector<LoadSample> window_;
  AutoscaleMemory memory_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_AUTOSCALE_PLANT_H_
