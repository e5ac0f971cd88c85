#include "control/autoscale/autoscale.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bpf/sluice_abi.h"

namespace sluice {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

// --- a full worker

constexpr double kFullBusy = 0.85;
// Of a round. A worker that keeps up with 64 bytes at 1 Mpps finds one to four; one that does not finds its burst full.
constexpr double kFullRoundPackets = 8;
// Less is a burst that overran a ring, as a flood of SYN does.
constexpr double kDropShare = 0.005;
constexpr double kDropBusy = 0.5;

// --- growing

constexpr double kGrowToBusy = 0.7;
constexpr int64_t kFullForNs = 3 * kSecondNs / 2;
constexpr int64_t kFullForCoresNs = kSecondNs / 2;
// Of the time that its drops say is missing, no more is believed than this many times the time used: drops of a moment
// are no load.
constexpr double kMostDropFactor = 4;

// --- shrinking

constexpr double kShrinkToBusy = 0.5;
constexpr int64_t kRecentNs = 2 * kSecondNs;
constexpr int64_t kMostHoldNs = 600 * kSecondNs;
constexpr int64_t kHoldCosts = 50;  // a hold is at least this many times the lever's cost
constexpr uint32_t kMostDoublings = 8;
constexpr int64_t kForgetNs = 3600 * kSecondNs;

// --- after a change

constexpr int64_t kSettleCosts = 20;
constexpr int64_t kFirstRetryNs = 5 * kSecondNs;
constexpr int64_t kLastRetryNs = 600 * kSecondNs;

// --- one flow

constexpr uint64_t kLeastFlowSamples = 20;
constexpr double kOneFlowShare = 0.7;
constexpr double kUnevenShare = 0.8;
constexpr double kUnevenRest = 0.3;  // cores that the other workers use
constexpr double kRestOfOneFlow = 0.05;

// --- offloaded flows

// A second. XDP's own work is not measured. Less than this is no load, also in an emulated guest (70,000 fill a core).
constexpr double kOffloadedLoad = 10'000;

int64_t SettleNs(Lever lever) {
  return lever == Lever::kCores ? kSecondNs : 3 * kSecondNs;
}

int64_t FirstHoldNs(Lever lever, bool can_spread) {
  if (lever == Lever::kChannels) {
    // Pairs that are open without traffic cost memory only.
    return can_spread ? 300 * kSecondNs : 10 * kSecondNs;
  }
  return lever == Lever::kCores ? 3 * kSecondNs : 5 * kSecondNs;
}

int64_t HoldNs(Lever lever, const AutoscaleSetup& setup, const AutoscaleMemory& memory) {
  const int64_t first = std::max(FirstHoldNs(lever, setup.can_spread), kHoldCosts * setup.cost_ns[lever]);
  return std::min(kMostHoldNs, first << memory.doublings[lever]);
}

std::string Count(uint32_t count, const char* thing) {
  return absl::StrCat(count, " ", thing, count == 1 ? "" : "s");
}

std::string Seconds(int64_t ns) {
  return absl::StrCat((ns + kSecondNs - 1) / kSecondNs, " s");
}

std::string Percent(double share) {
  return absl::StrFormat("%.0f %%", share * 100);
}

std::string Cores(double cores) {
  return absl::StrFormat("%.1f cores", cores);
}

// One worker in a sample.
struct WorkerView {
  double busy = 0;
  bool full = false;
  bool drops = false;
  uint64_t packets = 0;
  uint64_t dropped = 0;
  // The load in cores, with what was dropped.
  double cores() const {
    const double factor =
        packets == 0 ? kMostDropFactor : 1 + static_cast<double>(dropped) / static_cast<double>(packets);
    return busy * (dropped == 0 ? 1 : std::min(factor, kMostDropFactor));
  }
};

std::vector<WorkerView> ViewOf(const LoadSample& sample) {
  std::vector<WorkerView> views(sample.workers.size());
  for (const LaneLoad& lane : sample.lanes) {
    if (lane.worker < views.size()) {
      views[lane.worker].packets += lane.packets;
      views[lane.worker].dropped += lane.drops;
    }
  }
  for (size_t w = 0; w < views.size(); ++w) {
    const WorkerLoad& load = sample.workers[w];
    WorkerView& view = views[w];
    const int64_t all_ns = load.busy_ns + load.idle_ns;
    view.busy = all_ns > 0 ? static_cast<double>(load.busy_ns) / static_cast<double>(all_ns) : 0;
    view.drops = view.busy >= kDropBusy && view.dropped > 0 &&
                 static_cast<double>(view.dropped) >= kDropShare * static_cast<double>(view.packets + view.dropped);
    const bool long_rounds =
        static_cast<double>(view.packets) >= kFullRoundPackets * static_cast<double>(load.busy_rounds);
    view.full = view.drops || (view.busy >= kFullBusy && long_rounds);
  }
  return views;
}

// Adds up the samples that ended after `since_ns`. The placement is the last one's.
LoadSample Sum(absl::Span<const LoadSample> window, int64_t since_ns) {
  LoadSample sum = window.back();
  for (const LoadSample& sample : window.first(window.size() - 1)) {
    if (sample.at_ns <= since_ns || sample.lanes.size() != sum.lanes.size() ||
        sample.workers.size() != sum.workers.size()) {
      continue;
    }
    sum.took_ns += sample.took_ns;
    for (size_t lane = 0; lane < sum.lanes.size(); ++lane) {
      sum.lanes[lane].packets += sample.lanes[lane].packets;
      sum.lanes[lane].drops += sample.lanes[lane].drops;
      sum.lanes[lane].offloaded += sample.lanes[lane].offloaded;
      sum.lanes[lane].flow_samples += sample.lanes[lane].flow_samples;
      sum.lanes[lane].top_flow_samples += sample.lanes[lane].top_flow_samples;
    }
    for (size_t w = 0; w < sum.workers.size(); ++w) {
      sum.workers[w].busy_ns += sample.workers[w].busy_ns;
      sum.workers[w].idle_ns += sample.workers[w].idle_ns;
      sum.workers[w].busy_rounds += sample.workers[w].busy_rounds;
    }
  }
  return sum;
}

// A lane, and the share that one of its flows has of all packets of its worker.
struct TopFlow {
  size_t lane = 0;
  double share = 0;
};

TopFlow TopFlowOf(size_t worker, const LoadSample& sum, const WorkerView& view) {
  TopFlow top;
  for (size_t lane = 0; lane < sum.lanes.size(); ++lane) {
    const LaneLoad& load = sum.lanes[lane];
    if (load.worker == worker && load.flow_samples >= kLeastFlowSamples && view.packets > 0) {
      const double of_lane = static_cast<double>(load.top_flow_samples) / static_cast<double>(load.flow_samples);
      const double share = of_lane * static_cast<double>(load.packets) / static_cast<double>(view.packets);
      top = share > top.share ? TopFlow{lane, share} : top;
    }
  }
  return top;
}

// The lane with the most packets, and its share of all.
TopFlow BusiestLane(const LoadSample& sum) {
  uint64_t all = 0;
  TopFlow busiest;
  for (size_t lane = 0; lane < sum.lanes.size(); ++lane) {
    all += sum.lanes[lane].packets;
    busiest.lane = sum.lanes[lane].packets > sum.lanes[busiest.lane].packets ? lane : busiest.lane;
  }
  busiest.share = all == 0 ? 0 : static_cast<double>(sum.lanes[busiest.lane].packets) / static_cast<double>(all);
  return busiest;
}

// Returns the number of workers that carry a load easily, given the busiest of the `have` workers that carry it now:
// flows are spread unevenly, and as unevenly over fewer.
uint32_t WorkersFor(double cores, double busiest, uint32_t have) {
  uint32_t workers = 1;
  while (workers < have &&
         (cores > kShrinkToBusy * workers || std::min(cores, busiest * have / workers) > kGrowToBusy)) {
    ++workers;
  }
  return workers;
}

// The window as a whole.
struct Load {
  int64_t full_ns = 0;    // time in which a worker was full
  bool drops = false;     // packets found no room in it
  double cores = 0;       // used and missing, of late
  double others = 0;      // used by all workers but the busiest
  uint32_t needed = 1;    // workers that carry this load easily
  bool offloads = false;  // XDP has a load of its own
  std::string one_flow;   // a clause, when each full worker has one flow for the most part
  TopFlow busiest;        // lane
};

Load LoadOf(absl::Span<const LoadSample> window) {
  Load load;
  const int64_t now_ns = window.back().at_ns;
  std::vector<bool> full(window.back().workers.size(), false);
  for (const LoadSample& sample : window) {
    const std::vector<WorkerView> views = ViewOf(sample);
    bool any = false;
    for (size_t w = 0; w < views.size(); ++w) {
      any = any || views[w].full;
      load.drops = load.drops || views[w].drops;
      full.resize(std::max(full.size(), views.size()), false);
      full[w] = full[w] || views[w].full;
    }
    load.full_ns += any ? sample.took_ns : 0;
  }
  const LoadSample all = Sum(window, now_ns - kLoadWindowNs);
  const std::vector<WorkerView> all_views = ViewOf(all);
  const LoadSample of_late = Sum(window, now_ns - kRecentNs);
  const std::vector<WorkerView> recent = ViewOf(of_late);
  bool only_single_flows = load.full_ns > 0;
  double used = 0;
  double busiest = 0;
  double divisible = 0;
  double busiest_divisible = 0;
  uint32_t single_flows = 0;
  for (size_t w = 0; w < recent.size(); ++w) {
    load.cores += recent[w].cores();
    used += recent[w].busy;
    busiest = std::max(busiest, recent[w].busy);
    const TopFlow top = TopFlowOf(w, all, all_views[w]);
    const bool single = full[w] && top.share >= kOneFlowShare;
    single_flows += single ? 1 : 0;
    divisible += single ? 0 : recent[w].cores();
    busiest_divisible = std::max(busiest_divisible, single ? 0 : recent[w].cores());
    only_single_flows = only_single_flows && (single || !full[w]);
    if (single) {
      load.one_flow = absl::StrCat("one flow is ", Percent(top.share), " of the packets of lane ", top.lane,
                                   " and fills its core; no number of pairs divides a flow");
    }
  }
  load.one_flow = only_single_flows ? load.one_flow : "";
  load.busiest = BusiestLane(all);
  load.others = used - busiest;
  double offloaded = 0;
  for (const LaneLoad& lane : of_late.lanes) {
    offloaded += static_cast<double>(lane.offloaded);
  }
  load.offloads = offloaded * kSecondNs >= kOffloadedLoad * static_cast<double>(of_late.took_ns);
  const bool mice = single_flows == 0 || divisible >= kRestOfOneFlow;
  const auto have = static_cast<uint32_t>(recent.size()) - single_flows;
  load.needed = single_flows + (mice ? WorkersFor(divisible, busiest_divisible, have) : 0);
  return load;
}

void NoteQuiet(QuietTime& quiet, uint32_t needed, uint32_t have, int64_t now_ns) {
  if (needed >= have || quiet.since_ns == 0) {
    quiet = {now_ns, 0};
  }
  // At its beginning the recent load is still that of before.
  const bool begins = now_ns - quiet.since_ns <= kRecentNs;
  quiet.most = needed >= have ? 0 : begins ? needed : std::max(quiet.most, needed);
}

// Judges step by step; a step that returns true has said something.
class Judge {
 public:
  Judge(absl::Span<const LoadSample> window, const AutoscaleSetup& setup, AutoscaleMemory memory)
      : setup_(setup), bounds_(BoundsInForce(setup)), now_ns_(window.back().at_ns), load_(LoadOf(window)) {
    result_.memory = std::move(memory);
    for (const Lever lever : {Lever::kCores, Lever::kSpread, Lever::kChannels}) {
      if (result_.memory.doublings[lever] > 0 && now_ns_ - result_.memory.taken_back_ns[lever] > kForgetNs) {
        --result_.memory.doublings[lever];
        result_.memory.taken_back_ns[lever] = now_ns_;
      }
    }
    // A load that fills a worker needs what there is; one that is not measured may.
    const bool all = load_.offloads || (load_.one_flow.empty() && load_.full_ns >= kFullForNs);
    const uint32_t needed = all ? SLUICE_MAX_QUEUES : load_.needed;
    ByLever<QuietTime>& quiet = result_.memory.quiet;
    NoteQuiet(quiet[Lever::kCores], needed, setup.workers, now_ns_);
    NoteQuiet(quiet[Lever::kSpread], needed, setup.active_pairs, now_ns_);
    NoteQuiet(quiet[Lever::kChannels], needed, setup.can_spread ? setup.open_pairs : setup.active_pairs, now_ns_);
  }

  AutoscaleJudgement Decide() && {
    if (Refused() || Bounds() || Settles()) {
      return std::move(result_);
    }
    if (!Grow()) {
      Say(AutoscaleWhy::kEnough, Enough());
    }
    if (result_.lever == Lever::kNone) {
      Shrink();
    }
    return std::move(result_);
  }

 private:
  bool Say(AutoscaleWhy why, std::string sentence) {
    result_.why = why;
    result_.sentence = std::move(sentence);
    return true;
  }
  bool Change(Lever lever, uint32_t to, AutoscaleWhy why, std::string sentence) {
    result_.lever = lever;
    result_.to = to;
    return Say(why, std::move(sentence));
  }

  bool Refused() {
    const AutoscaleMemory& memory = result_.memory;
    return now_ns_ < memory.not_before_ns &&
           Say(AutoscaleWhy::kRefused, absl::StrCat("the last change failed and is not tried again for ",
                                                    Seconds(memory.not_before_ns - now_ns_), ": ", memory.refusal));
  }

  bool Bounds() {
    const uint32_t to = std::clamp(setup_.active_pairs, bounds_.min, bounds_.max);
    if (to == setup_.active_pairs) {
      return false;
    }
    return Change(LeverTo(to), to, AutoscaleWhy::kBounds,
                  absl::StrCat("the bounds are ", bounds_.min, "..", bounds_.max));
  }

  bool Settles() {
    const AutoscaleMemory& memory = result_.memory;
    const int64_t wait_ns = std::max(SettleNs(memory.changed_by), kSettleCosts * setup_.cost_ns[memory.changed_by]);
    if (memory.changed_at_ns == 0 || now_ns_ - memory.changed_at_ns >= wait_ns) {
      return false;
    }
    return Say(AutoscaleWhy::kEnough, absl::StrCat("waits for the effect of the last change; ", Work()));
  }

  bool Grow() {
    const uint32_t workers_of_use = std::min(setup_.active_pairs, setup_.usable_workers);
    const bool cores = !setup_.workers_are_set && setup_.workers < workers_of_use;
    if (load_.full_ns < (cores ? kFullForCoresNs : kFullForNs)) {
      return false;
    }
    if (!load_.one_flow.empty()) {
      return Say(AutoscaleWhy::kOneFlow, load_.one_flow);
    }
    if (setup_.workers > 1 && load_.busiest.share >= kUnevenShare && load_.others <= kUnevenRest) {
      return Say(AutoscaleWhy::kUneven,
                 absl::StrCat("lane ", load_.busiest.lane, " gets ", Percent(load_.busiest.share),
                              " of all packets and is full, the others are idle; the device "
                              "does not spread these flows, so more pairs would be idle, too"));
    }
    const AutoscaleWhy why = load_.drops ? AutoscaleWhy::kDrops : AutoscaleWhy::kFull;
    const std::string sentence =
        absl::StrCat(load_.drops ? "packets found no room" : "a worker was full", ", ", Work());
    const auto wanted = static_cast<uint32_t>(std::ceil(load_.cores / kGrowToBusy));
    if (cores) {
      return Change(Lever::kCores, std::clamp(wanted, setup_.workers + 1, workers_of_use), why, sentence);
    }
    if (setup_.active_pairs >= bounds_.max) {
      return Say(AutoscaleWhy::kAtMost, absl::StrCat(sentence, "; ", WhyNoMore()));
    }
    uint32_t to = std::clamp(wanted, setup_.active_pairs + 1, std::min(2 * setup_.active_pairs, bounds_.max));
    if (setup_.can_spread && setup_.open_pairs > setup_.active_pairs) {
      to = std::min(to, setup_.open_pairs);  // the cheaper lever first
    }
    return Change(LeverTo(to), to, why, sentence);
  }

  void Shrink() {
    if (!setup_.workers_are_set && ShrinkBy(Lever::kCores, 1, setup_.workers)) {
      return;
    }
    const Lever lever = setup_.can_spread ? Lever::kSpread : Lever::kChannels;
    if (!ShrinkBy(lever, bounds_.min, setup_.active_pairs) && setup_.can_spread) {
      ShrinkBy(Lever::kChannels, setup_.active_pairs, setup_.open_pairs);
    }
  }

  bool ShrinkBy(Lever lever, uint32_t least, uint32_t have) {
    const QuietTime& quiet = result_.memory.quiet[lever];
    const uint32_t to = std::max(quiet.most, least);
    if (to >= have || now_ns_ - quiet.since_ns < HoldNs(lever, setup_, result_.memory)) {
      return false;
    }
    // Pairs that are closed after the spread lever get no traffic any more: what gets it stays.
    const uint32_t target = lever == Lever::kChannels && setup_.can_spread ? setup_.active_pairs : to;
    return Change(lever, target, AutoscaleWhy::kIdle,
                  absl::StrCat(Count(target, lever == Lever::kCores ? "worker" : "pair"), " would have done for ",
                               Seconds(now_ns_ - quiet.since_ns), ", ", Work()));
  }

  // A resize to that many pairs would take this lever (PlanResize).
  Lever LeverTo(uint32_t pairs) const {
    return setup_.can_spread && pairs <= setup_.open_pairs ? Lever::kSpread : Lever::kChannels;
  }

  std::string Work() const { return absl::StrCat("work for ", Cores(load_.cores)); }

  std::string WhyNoMore() const {
    if (bounds_.max == setup_.bounds.max) {
      return absl::StrCat("queue_pairs_max is ", bounds_.max);
    }
    if (bounds_.max == setup_.device_pairs) {
      return absl::StrCat("the device has ", Count(bounds_.max, "queue pair"));
    }
    return absl::StrCat("there ", setup_.usable_workers == 1 ? "is " : "are ", Count(setup_.usable_workers, "worker"),
                        setup_.workers_are_set ? ", as set" : " at most, one a core");
  }

  std::string Enough() const {
    const uint32_t pairs = setup_.active_pairs;
    std::string text = absl::StrCat(Work(), ", ", Count(pairs, "pair"), pairs == 1 ? " carries it" : " carry it");
    if (load_.offloads && pairs > bounds_.min) {
      absl::StrAppend(&text,
                      "; XDP sends packets of offloaded flows by itself, whose work is not measured, so none goes");
    }
    const Lever lever = setup_.can_spread ? Lever::kSpread : Lever::kChannels;
    const QuietTime& quiet = result_.memory.quiet[lever];
    if (const uint32_t fewer = std::max(quiet.most, bounds_.min); fewer < pairs) {
      const int64_t left_ns = HoldNs(lever, setup_, result_.memory) - (now_ns_ - quiet.since_ns);
      absl::StrAppend(&text, "; ", fewer, " would do, and will in ", Seconds(std::max<int64_t>(0, left_ns)),
                      " if that stays so");
    }
    return text;
  }

  const AutoscaleSetup& setup_;
  const AutoscaleBounds bounds_;
  const int64_t now_ns_;
  const Load load_;
  AutoscaleJudgement result_;
};

}  // namespace

const char* AutoscaleWhyName(AutoscaleWhy why) {
  switch (why) {
    case AutoscaleWhy::kFull:
      return "full";
    case AutoscaleWhy::kDrops:
      return "drops";
    case AutoscaleWhy::kIdle:
      return "idle";
    case AutoscaleWhy::kBounds:
      return "bounds";
    case AutoscaleWhy::kOneFlow:
      return "one_flow";
    case AutoscaleWhy::kUneven:
      return "uneven";
    case AutoscaleWhy::kAtMost:
      return "at_most";
    case AutoscaleWhy::kRefused:
      return "refused";
    case AutoscaleWhy::kEnough:
      break;
  }
  return "enough";
}

AutoscaleBounds BoundsInForce(const AutoscaleSetup& setup) {
  const uint32_t min = std::min(setup.bounds.min, setup.device_pairs);
  const uint32_t max = std::min({setup.bounds.max, setup.device_pairs, std::max(1U, setup.usable_workers)});
  return {min, std::max(min, max)};
}

AutoscaleJudgement JudgeLoad(absl::Span<const LoadSample> window, const AutoscaleSetup& setup, AutoscaleMemory memory) {
  return Judge(window, setup, std::move(memory)).Decide();
}

AutoscaleMemory AfterChange(AutoscaleMemory memory, Lever lever, bool grew, int64_t now_ns) {
  for (const Lever one : {Lever::kCores, Lever::kSpread, Lever::kChannels}) {
    if (grew && memory.shrunk_at_ns[one] != 0) {
      if (now_ns - memory.shrunk_at_ns[one] <= kForgetNs) {
        memory.doublings[one] = std::min(memory.doublings[one] + 1, kMostDoublings);
        memory.taken_back_ns[one] = now_ns;
      }
      memory.shrunk_at_ns[one] = 0;
    }
    if (grew || one == lever) {
      memory.quiet[one] = {now_ns, 0};
    }
  }
  if (!grew) {
    memory.shrunk_at_ns[lever] = now_ns;
  }
  memory.changed_at_ns = now_ns;
  memory.changed_by = lever;
  memory.refusals = 0;
  memory.not_before_ns = 0;
  memory.refusal.clear();
  return memory;
}

AutoscaleMemory AfterRefusal(AutoscaleMemory memory, absl::string_view reason, int64_t now_ns) {
  const uint32_t doublings = std::min(memory.refusals, kMostDoublings);
  memory.not_before_ns = now_ns + std::min(kLastRetryNs, kFirstRetryNs << doublings);
  ++memory.refusals;
  memory.refusal = std::string(reason);
  return memory;
}

}  // namespace sluice
