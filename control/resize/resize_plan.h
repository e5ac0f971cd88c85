// The resize plan: the pure list of steps from the queue pairs we have to the ones wanted.
//
//   PlanResize(state, wish) ──► ResizePlan ──► RunPlan(plan, actions)      (resize_run.h)
//
// Nothing here asks or changes the kernel: a plan depends on ResizeState alone. So every plan can be tested, and
// `sluicectl queues set N --dry-run` shows exactly the steps that would run.
//
// The levers, cheapest first (control/resize/README.md):
//   cores     changes the workers that poll the lanes; the device stays as it is
//   spread    changes the open pairs that the device's RSS table uses; XDP and sockets stay
//   channels  changes the number of pairs of the device; XDP is off meanwhile, and the bridge carries the packets
#ifndef SLUICE_CONTROL_RESIZE_RESIZE_PLAN_H_
#define SLUICE_CONTROL_RESIZE_RESIZE_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

enum class Lever { kNone, kCores, kSpread, kChannels };

const char* LeverName(Lever lever);
// Parses a lever's name; "" is no wish (nullopt). InvalidArgument names the three values.
absl::StatusOr<std::optional<Lever>> ParseLever(const std::string& name);

// Facts about one port that plans depend on.
struct ResizePort {
  std::string netdev;
  uint32_t max_pairs = 1;
  bool is_virtio = false;
  bool has_rss = false;
  bool offers_guest_offloads = false;
  uint32_t other_xdp_programs = 0;
  std::string why_one_pair;  // when max_pairs is 1: the reason users are told
};

struct ResizeState {
  uint32_t open_pairs = 1;    // with sockets, the same on every port
  uint32_t active_pairs = 1;  // of those, the ones that get traffic
  uint32_t workers = 1;
  uint32_t usable_cores = 1;
  uint32_t possible_cpus = 1;  // nr_cpu_ids, see CheckNoExtraXdpQueues
  // Set by the user; nullopt: as many workers as active pairs, as far as the cores go.
  std::optional<uint32_t> workers_wanted;
  // Lanes are bound in zero-copy mode, where binding a queue empties it (drivers/net/virtio_net.c: virtnet_rx_pause,
  // virtqueue_reset).
  bool zero_copy = false;
  std::vector<ResizePort> ports;
};

struct ResizeWish {
  uint32_t pairs = 1;
  std::optional<Lever> lever;
  bool force = false;  // other people's XDP programs may be off for the window
};

enum class StepKind {
  kMakeLanes,         // [from, to): memory and sockets, in the dataplane's hands, not bound
  kSetTransmitLanes,  // from -> to: flows leave by lanes [0, to)
  kSpreadFlows,       // for a while, each flow leaves by its own of lanes [0, to), so that the device moves it there
  kWaitQuiet,         // until the queues that go, [to, from), or are new, [from, to), receive nothing, or a bound
  kSuspendXdp,        // every port; the bridge takes over
  kCloseLanes,        // lanes [to, from): drain, close, forget; packets that still come for them go to the bridge
  kSetChannels,       // port: from -> to
  kBindLanes,         // lanes [from, to), to the queues that now exist
  kResumeXdp,         // every port
  kSetSpread,         // from -> to: RSS tables use queues [0, to)
  kPlaceLanes,        // workers from -> to, IRQs and XPS after them
};

struct Step {
  StepKind kind;
  uint32_t from = 0;
  uint32_t to = 0;
  uint32_t port = 0;  // kSetChannels only
  std::string text;   // as a user reads it
};

struct ResizePlan {
  Lever lever = Lever::kNone;
  uint32_t from = 0;  // active pairs before and after
  uint32_t to = 0;
  std::vector<Step> steps;
  std::vector<std::string> warnings;  // expected costs
};

// Errors: InvalidArgument for 0 or more pairs than a port has, FailedPrecondition for a lever that cannot
// reach the wish here; both say why, on which port, and how to go on.
absl::StatusOr<ResizePlan> PlanResize(const ResizeState& state, const ResizeWish& wish);

// `workers set N`: the cores lever alone.
absl::StatusOr<ResizePlan> PlanWorkers(const ResizeState& state, uint32_t workers);

// Returns whether the devices give a flow to the pair that its other direction was last sent on (virtio without RSS,
// drivers/net/tun.c: tun_flow_update).
bool FlowsFollowTransmit(const ResizeState& state);

// Returns the number of workers for that many active pairs.
uint32_t WorkersFor(const ResizeState& state, uint32_t active_pairs);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZE_PLAN_H_
