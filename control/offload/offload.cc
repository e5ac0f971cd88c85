#include "control/offload/offload.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bpf/sluice_abi.h"
#include "spdlog/spdlog.h"

namespace sluice {

std::string Offload::WhyNot() const {
  if (setting_ == OffloadSetting::kOff) {
    return "the configuration says off";
  }
  if (lanes_.zero_copy()) {
    return "packets that XDP sends do not go out while zero-copy sockets are bound";
  }
  for (const Port& port : ports_) {
    if (std::string why = WhyNotOn(port); !why.empty()) {
      return absl::StrCat(port.netdev(), ": ", why);
    }
  }
  return "";
}

std::string Offload::WhyNotOn(const Port& port) const {
  const PortInfo& info = port.info();
  if (!info.is_virtio && setting_ == OffloadSetting::kAuto) {
    return absl::StrCat("driver ", info.driver,
                        " may not send what XDP gives it (veth: only where its peer has an XDP program); "
                        "offload = \"on\" has it tried");
  }
  if (!port.xdp_is_native()) {
    return "XDP is in skb mode, which gains nothing by it";
  }
  if (info.flow_buckets == 0) {
    return "the program that was loaded has a flow table of odd size";
  }
  if (port.frames_sent_unread() > 0) {
    return "frames count as sent before the device has read them";
  }
  // XDP_TX takes the transmit queue of its CPU (drivers/net/virtio_net.c: virtnet_xdp_get_sq), and without RSS the
  // device brings a flow to the queue it is sent on.
  const uint32_t pairs = lanes_.pair_lanes();
  const std::vector<uint32_t>& cpus = placement_.queue_cpus();
  for (uint32_t queue = 0; info.FlowsFollowTransmit() && pairs > 1 && queue < pairs; ++queue) {
    if (queue >= cpus.size() || cpus[queue] % pairs != queue) {
      return absl::StrCat("queue ", queue, "'s interrupt is not on a CPU c with c mod ", pairs, " = ", queue,
                          ", so XDP would bring its flows to another queue; as many workers as queue pairs, on cores "
                          "0 to ",
                          pairs - 1, ", allow it");
    }
  }
  return "";
}

void Offload::Follow() {
  if (dataplane_.down()) {
    return;
  }
  why_not_ = WhyNot();
  // Spreading keeps it off for a moment, which needs no reason.
  if (on_ == why_not_.empty() || (!on_ && transmit_.spreading())) {
    return;
  }
  if (absl::Status s = on_ ? Stop() : Start(); !s.ok()) {
    spdlog::error("offloading flows: {}", std::string(s.message()));
  }
}

absl::Status Offload::SendTables() {
  std::vector<uint32_t> buckets;
  std::vector<int> fds;
  for (const Port& port : ports_) {
    const PortFds of_port = port.fds();
    buckets.push_back(port.info().flow_buckets);
    fds.insert(fds.end(), {of_port.flows, of_port.details, of_port.credit});
  }
  return dataplane_.OffloadFlows(++epoch_, buckets, fds);
}

absl::Status Offload::StartOnPorts() {
  std::vector<uint32_t> ifindices;
  for (const Port& port : ports_) {
    ifindices.push_back(port.info().ifindex);
  }
  absl::Status s;
  for (uint32_t port = 0; s.ok() && port < ports_.size(); ++port) {
    s = ports_[port].StartOffload(port, ifindices, epoch_);
  }
  return s;
}

absl::Status Offload::Start() {
  // Entries that an agent before us left are of its epochs, which must not come again.
  absl::Status s = ReadStates();
  if (s.ok()) {
    s = SendTables();
  }
  if (s.ok()) {
    s = StartOnPorts();
  }
  if (!s.ok()) {
    return s;
  }
  on_ = true;
  spdlog::info("XDP sends the packets of offloaded flows, up to {} a port",
               ports_[0].info().flow_buckets * SLUICE_FLOW_WAYS);
  return absl::OkStatus();
}

absl::Status Offload::Stop() {
  if (!on_) {
    return absl::OkStatus();
  }
  on_ = false;
  const auto stop = [this] {
    ++epoch_;
    absl::Status s = ports_.ForEach([this](Port& port) { return port.StopOffload(epoch_); });
    s.Update(wait_for_rcu_());
    return s;
  };
  absl::Status s = dataplane_.Fenced(lanes_.All(), stop, {});
  if (s.ok()) {
    s = dataplane_.SetFlowEpoch(0);
    spdlog::info("no flows are offloaded any more");
  }
  // A dataplane that is gone decides nothing.
  return absl::IsUnavailable(s) ? absl::OkStatus() : s;
}

absl::Status Offload::Adopt() {
  if (absl::Status s = ReadStates(); !s.ok()) {
    return s;
  }
  return on_ ? Stop() : dataplane_.SetFlowEpoch(0);
}

void Offload::DataplaneLost() {
  on_ = false;
  ++epoch_;
  if (absl::Status s = ports_.ForEach([this](Port& port) { return port.StopOffload(epoch_); }); !s.ok()) {
    spdlog::error("offloaded flows of a dataplane that is gone: {}", std::string(s.message()));
  }
}

absl::Status Offload::ReadStates() {
  for (const Port& port : ports_) {
    absl::StatusOr<Port::OffloadState> state = port.GetOffloadState();
    if (!state.ok()) {
      return state.status();
    }
    on_ = on_ || state->on;
    epoch_ = std::max(epoch_, state->epoch);
  }
  return absl::OkStatus();
}

absl::Status Offload::Withdrawing(absl::FunctionRef<absl::Status()> change) {
  if (!on_) {
    return change();
  }
  const auto changed_and_withdrawn = [this, change] {
    absl::Status s = change();
    if (!s.ok()) {
      return s;
    }
    ++epoch_;
    s = StartOnPorts();
    if (s.ok()) {
      s = wait_for_rcu_();
    }
    if (s.ok()) {
      s = dataplane_.SetFlowEpoch(epoch_);
    }
    // Without a dataplane nothing is offloaded; its successor begins with an empty table.
    return absl::IsUnavailable(s) ? absl::OkStatus() : s;
  };
  return dataplane_.Fenced(lanes_.All(), changed_and_withdrawn, {});
}

}  // namespace sluice
