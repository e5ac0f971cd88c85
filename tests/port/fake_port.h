// A port in memory. It keeps the rules by which the kernel refuses a step, logs every call, and refuses the calls that
// a test names.
#ifndef SLUICE_TESTS_PORT_FAKE_PORT_H_
#define SLUICE_TESTS_PORT_FAKE_PORT_H_

#include <cstdint>
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
  absl::Status SetQueuePairs(uint32_t count, absl::Time /*deadline*/) override {
    absl::Status s = Do(absl::StrCat("pairs ", count));
    if (s.ok() && (xdp || keeps_queues > count)) {
      s = absl::FailedPreconditionError(absl::StrCat(netdev(), ": the kernel refuses ethtool -L"));
    }
    pairs = s.ok() ? count : pairs;
    return s;
  }
  absl::Status SuspendXdp() override { return Set("xdp off", xdp, false); }
  absl::Status ResumeXdp() override { return Set("xdp on", xdp, true); }
  Reconciled Reconcile() override {
    Do("reconcile").IgnoreError();
    return found;
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
  absl::Status SetBlocklist(int trie) override { return Do(absl::StrCat("blocklist ", trie < 0 ? "off" : "on")); }
  absl::StatusOr<UniqueFd> OpenBlocklist() const override { return UniqueFd(); }
  bool HasLocals(const std::vector<sluice_address>& addresses) const override {
    return locals.has_value() && locals->size() == addresses.size();
  }
  absl::Status SetLocals(const std::vector<sluice_address>& addresses) override {
    absl::Status s = Do(absl::StrCat("locals ", addresses.size()));
    if (s.ok()) {
      locals = addresses;
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
  bool native = true;
  uint32_t others = 0;
  uint32_t unread = 0;
  uint32_t spread_over = 0;
  uint32_t keeps_queues = 0;  // no fewer than this, because of another program's socket
  std::vector<ActiveRule> rules, idle_rules;
  std::optional<std::vector<sluice_address>> locals;
  OffloadState offload;
  sluice_to_kernel_counters to_kernel{};
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
