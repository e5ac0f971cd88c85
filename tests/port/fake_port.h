// A port in memory. It keeps the rules by which the kernel refuses a step, logs every call, and refuses the calls that
// a test names.
#ifndef SLUICE_TESTS_PORT_FAKE_PORT_H_
#define SLUICE_TESTS_PORT_FAKE_PORT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/port/port.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

// The calls to all fakes of a test, in order.
using Log = std::vector<std::string>;

class FakePort final : public Port {
 public:
  FakePort(PortInfo info, uint32_t queue_pairs, Log& log) : Port(std::move(info)), pairs(queue_pairs), log_(log) {
    saved_.set_name(name());
    saved_.set_netdev(netdev());
    saved_.set_queue_pairs(queue_pairs);
  }

  // Describes a virtio-net port that brings a flow to the pair it was last answered on.
  static PortInfo Info(uint32_t index) {
    PortInfo info;
    info.name = absl::StrCat("port", index);
    info.netdev = absl::StrCat("eth", index);
    info.driver = "virtio_net";
    info.bridge_netdev = absl::StrCat("far", index);
    info.ifindex = 10 + index;
    info.mtu_bytes = 1500;
    info.max_pairs = 8;
    info.flow_buckets = 1024;
    info.is_virtio = true;
    return info;
  }
  PortInfo& info() { return info_; }
  Reconciled found;  // by the next Reconcile
  using Port::info;

  PortFds fds() const override { return {1, 2, 3, 4, 5}; }
  const SavedPort& saved() const override { return saved_; }
  uint32_t queue_pairs() const override { return pairs; }
  // virtnet_set_channels refuses while XDP is on; net/ethtool/channels.c refuses to take a queue that has another
  // program's socket.
  absl::Status SetQueuePairs(uint32_t count, SteadyTime /*deadline*/) override {
    absl::Status s = Do(absl::StrCat("pairs ", count));
    if (s.ok() && (xdp || keeps_queues > count)) {
      s = absl::FailedPreconditionError(absl::StrCat(netdev(), ": the kernel refuses ethtool -L"));
    }
    pairs = s.ok() ? count : pairs;
    return s;
  }
  absl::Status SuspendXdp() override { return Set("xdp off", xdp, false); }
  absl::Status ResumeXdp() override { return Set("xdp on", xdp, true); }
  Reconciled Reconcile(std::optional<uint32_t> /*frame_size_bytes*/) override {
    Do("reconcile").IgnoreError();
    return found;
  }
  bool gone() const override { return is_gone; }
  absl::Status TakeBack() override {
    absl::Status s = Do("take back");
    is_gone = is_gone && !s.ok();
    return s;
  }
  uint32_t other_xdp_programs() const override { return others; }
  bool xdp_is_native() const override { return native; }
  uint32_t frames_sent_unread() const override { return unread; }
  absl::Status SpreadOver(uint32_t count) override { return Set(absl::StrCat("spread ", count), spread_over, count); }
  void RememberPlacement(uint32_t queues) override { (*saved_.mutable_affinity())["/queues"] = absl::StrCat(queues); }
  absl::Status PlaceQueues(const std::vector<uint32_t>& cpus) override {
    return Do(absl::StrCat("queues on ", absl::StrJoin(cpus, ",")));
  }
  std::optional<RxDrops> rx_drops() const override { return std::nullopt; }

  absl::Status Activate() override { return Do("activate"); }
  absl::Status Resteer() override { return Do("resteer"); }
  absl::Status FillIdleRules(const std::vector<ActiveRule>& rules) override {
    return Set(absl::StrCat("fill ", rules.size()), idle_rules, rules);
  }
  absl::Status FlipRules() override {
    absl::Status s = Do("flip");
    if (s.ok()) {
      std::swap(idle_rules, rules);
    }
    return s;
  }
  absl::StatusOr<sluice_rule_hits> ReadHits(uint32_t /*index*/) const override { return sluice_rule_hits{}; }
  absl::Status SetList(ListKind kind, int trie) override {
    return Do(absl::StrCat(ListName(kind), trie < 0 ? " off" : " on"));
  }
  absl::StatusOr<UniqueFd> OpenList(ListKind /*kind*/) const override { return UniqueFd(); }
  absl::Status SetFormerList(ListKind kind, int trie) override {
    return Do(absl::StrCat("former ", ListName(kind), trie < 0 ? " off" : " on"));
  }
  absl::StatusOr<UniqueFd> OpenFormerList(ListKind /*kind*/) const override { return UniqueFd(); }
  absl::StatusOr<std::vector<sluice_address>> JoinedGroups() const override { return groups; }
  bool HasLocals(const Locals& wanted) const override {
    return locals.has_value() && locals->addresses.size() == wanted.addresses.size() &&
           locals->groups.size() == wanted.groups.size();
  }
  absl::Status SetLocals(const Locals& wanted) override {
    absl::Status s = Do(absl::StrCat("locals ", wanted.addresses.size(), wanted.groups.empty() ? "" : " and groups ",
                                     wanted.groups.empty() ? "" : absl::StrCat(wanted.groups.size())));
    if (s.ok()) {
      locals = wanted;
    }
    return s;
  }
  absl::Status StartOffload(uint32_t index, const std::vector<uint32_t>& ifindices, uint32_t epoch) override {
    absl::Status s = Do(absl::StrCat("offload ", index, " of ", absl::StrJoin(ifindices, ","), " in epoch ", epoch));
    offload = s.ok() ? OffloadState{true, epoch} : offload;
    return s;
  }
  absl::Status StopOffload(uint32_t epoch) override {
    absl::Status s = Do(absl::StrCat("no offload from epoch ", epoch));
    offload = s.ok() ? OffloadState{false, epoch} : offload;
    return s;
  }
  absl::StatusOr<OffloadState> GetOffloadState() const override { return offload; }
  absl::Status SetCreditBase(uint32_t queue) override { return Do(absl::StrCat("credit base ", queue)); }
  absl::Status SetBridgeSocket(int /*socket*/) override { return Do("bridge socket"); }
  absl::StatusOr<sluice_to_kernel_counters> ReadToKernel() const override { return to_kernel; }
  absl::StatusOr<sluice_self_test> TestQueue(uint32_t queue, const SelfTestToken& /*token*/, bool live) override {
    const absl::Status s = Do(absl::StrCat(live ? "live test " : "test ", queue));
    return s.ok() ? self_tests(queue, live) : s;
  }
  OnDataplaneDown down_policy() const override { return policy; }
  void SetDownPolicy(OnDataplaneDown wanted) override { policy = wanted; }
  absl::Status ApplyDownPolicy(uint32_t queue_pairs) override {
    return Do(absl::StrCat("down policy for ", queue_pairs));
  }
  absl::StatusOr<sluice_counters> ReadCounters(uint32_t queue) const override {
    const auto it = counters.find(queue);
    return it == counters.end() ? sluice_counters{} : it->second;
  }
  absl::Status TakeDown() override { return Do("take down"); }

  uint32_t pairs;
  bool xdp = true;
  bool is_gone = false;
  bool native = true;
  uint32_t others = 0;
  uint32_t unread = 0;
  uint32_t spread_over = 0;
  uint32_t keeps_queues = 0;  // no fewer than this, because of another program's socket
  std::vector<ActiveRule> rules, idle_rules;
  absl::StatusOr<std::vector<sluice_address>> groups = std::vector<sluice_address>();  // joined
  std::optional<Locals> locals;
  OffloadState offload;
  sluice_to_kernel_counters to_kernel{};
  // The result of TestQueue().
  std::function<absl::StatusOr<sluice_self_test>(uint32_t queue, bool live)> self_tests = [](uint32_t queue, bool) {
    return sluice_self_test{.seen = 1, .has_socket = 1, .socket_queue = queue};
  };
  OnDataplaneDown policy = OnDataplaneDown::kPass;
  std::map<uint32_t, sluice_counters> counters;  // by queue
  std::set<std::string> refused;                 // calls in the words of the log, without the port

 private:
  absl::Status Do(const std::string& call) {
    log_.push_back(absl::StrCat(netdev(), ": ", call));
    return refused.contains(call) ? absl::InternalError(absl::StrCat(netdev(), " refuses ", call)) : absl::OkStatus();
  }
  template <typename Value, typename Wanted>
  absl::Status Set(const std::string& call, Value& value, const Wanted& wanted) {
    absl::Status s = Do(call);
    if (s.ok()) {
      value = wanted;
    }
    return s;
  }

  Log& log_;
  SavedPort saved_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_PORT_FAKE_PORT_H_
