// An Instance's offloaded flows: when XDP may carry them, and withdrawing what was decided.
//
// Decisions are of an epoch (bpf/sluice_abi.h), and XDP follows those of one. Withdrawing them all is a new epoch:
//
//   lanes held back ─► change, new epoch in every port's map ─► polls that began before have ended ─► lanes go on
//
// Behind the change every packet comes to the lanes, where it waits until what XDP sent before is out
// (dataplane/process/fence.h). Nothing is carried while pairs are resized, by a dataplane that is gone, or where it
// would bring flows to other queues than their lane's.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "control/agent/instance.h"
#include "net/if.h"
#include "spdlog/spdlog.h"

namespace sluice {

std::vector<uint32_t> Instance::AllLanes() const {
  std::vector<uint32_t> lanes;
  for (const auto& [index, lane] : lanes_.lanes()) {
    lanes.push_back(index);
  }
  return lanes;
}

// Empty: nothing speaks against it.
std::string Instance::WhyNoOffload() const {
  if (config_.dataplane.offload == OffloadSetting::kOff) {
    return "the configuration says off";
  }
  if (lanes_.zero_copy()) {
    return "what XDP sends does not go out while zero-copy sockets are bound";
  }
  const uint32_t pairs = lanes_.pair_lanes();
  for (const AgentPort& port : ports_) {
    const bool is_virtio = port.virtio().has_value();
    if (!is_virtio && config_.dataplane.offload == OffloadSetting::kAuto) {
      return absl::StrCat(port.netdev(), ": driver ", port.driver(),
                          " may not send what XDP gives it (veth: only where its peer has an XDP program); "
                          "offload = \"on\" has it tried");
    }
    if (port.xdp().mode() != XdpMode::kNative) {
      return absl::StrCat(port.netdev(), ": XDP is in skb mode, which gains nothing by it");
    }
    if (port.maps().flow_buckets() == 0) {
      return absl::StrCat(port.netdev(), ": the program that was loaded has a flow table of odd size");
    }
    if (port.frames_sent_unread() > 0) {
      return absl::StrCat(port.netdev(), ": frames count as sent before the device has read them");
    }
    // XDP_TX takes the transmit queue of its CPU (drivers/net/virtio_net.c: virtnet_xdp_get_sq), and without RSS the
    // device brings a flow to the queue it is sent on.
    for (uint32_t queue = 0; is_virtio && !port.has_rss() && pairs > 1 && queue < pairs; ++queue) {
      if (queue >= queue_cpus_.size() || queue_cpus_[queue] % pairs != queue) {
        return absl::StrCat(port.netdev(), ": queue ", queue, "'s interrupt is not on a CPU c with c mod ", pairs,
                            " = ", queue, ", so XDP would bring its flows to another queue; as many workers as queue ",
                            "pairs, on cores 0 to ", pairs - 1, ", allow it");
      }
    }
  }
  return "";
}

// What keeps it off for a moment needs no reason.
void Instance::FollowOffload() {
  if (down_) {
    return;
  }
  why_no_offload_ = WhyNoOffload();
  const bool spreading = spread_flows_for_ != absl::InfiniteDuration();
  if (offloads_ == why_no_offload_.empty() || (!offloads_ && spreading)) {
    return;
  }
  if (absl::Status s = offloads_ ? StopOffload() : StartOffload(); !s.ok()) {
    spdlog::error("flows that XDP carries: {}", std::string(s.message()));
  }
}

absl::Status Instance::SendFlowEpoch(uint32_t epoch) {
  dataplane::Request request;
  request.mutable_offload_flows()->set_epoch(epoch);
  return Call(request);
}

absl::Status Instance::SendFlowTables() {
  dataplane::Request request;
  request.mutable_offload_flows()->set_epoch(++flow_epoch_);
  std::vector<int> fds;
  for (const AgentPort& port : ports_) {
    request.mutable_offload_flows()->add_buckets(port.maps().flow_buckets());
    fds.push_back(port.maps().flows_fd());
    fds.push_back(port.maps().details_fd());
    fds.push_back(port.maps().credit_fd());
  }
  return Call(request, fds);
}

absl::Status Instance::CarryFlows() {
  std::vector<uint32_t> ifindices;
  for (const AgentPort& port : ports_) {
    ifindices.push_back(if_nametoindex(port.netdev().c_str()));
  }
  absl::Status s;
  for (uint32_t port = 0; s.ok() && port < ports_.size(); ++port) {
    s = ports_[port].CarryFlows(port, ifindices, flow_epoch_);
  }
  return s;
}

absl::Status Instance::StartOffload() {
  // Entries that an agent before us left are of its epochs, which must not come again.
  if (absl::Status s = ReadFlowStates(); !s.ok()) {
    return s;
  }
  absl::Status s = SendFlowTables();
  if (s.ok()) {
    s = CarryFlows();
  }
  if (!s.ok()) {
    return s;
  }
  offloads_ = true;
  spdlog::info("XDP sends the packets of offloaded flows, up to {} a port",
               ports_.front().maps().flow_buckets() * SLUICE_FLOW_WAYS);
  return absl::OkStatus();
}

absl::Status Instance::StopOffload() {
  if (!offloads_) {
    return absl::OkStatus();
  }
  offloads_ = false;
  const auto stop = [this] {
    ++flow_epoch_;
    absl::Status s;
    for (AgentPort& port : ports_) {
      s.Update(port.CarryNoFlows(flow_epoch_));
    }
    s.Update(rcu_->Wait());
    return s;
  };
  absl::Status s = Fenced(AllLanes(), stop, {});
  if (s.ok()) {
    s = SendFlowEpoch(0);
    spdlog::info("XDP carries no flows");
  }
  // A dataplane that is gone decides nothing.
  return absl::IsUnavailable(s) ? absl::OkStatus() : s;
}

// An agent before us may have had it on, or have died while it switched: whatever comes next begins without.
absl::Status Instance::AdoptOffload() {
  if (absl::Status s = ReadFlowStates(); !s.ok()) {
    return s;
  }
  return offloads_ ? StopOffload() : SendFlowEpoch(0);
}

absl::Status Instance::ReadFlowStates() {
  for (const AgentPort& port : ports_) {
    absl::StatusOr<AgentPort::FlowState> state = port.GetFlowState();
    if (!state.ok()) {
      return state.status();
    }
    offloads_ = offloads_ || state->carries;
    flow_epoch_ = std::max(flow_epoch_, state->epoch);
  }
  return absl::OkStatus();
}

absl::Status Instance::Withdrawing(absl::FunctionRef<absl::Status()> change) {
  if (!offloads_) {
    return change();
  }
  const auto changed_and_withdrawn = [this, change] {
    absl::Status s = change();
    if (!s.ok()) {
      return s;
    }
    ++flow_epoch_;
    s = CarryFlows();
    if (s.ok()) {
      s = rcu_->Wait();
    }
    if (s.ok()) {
      s = SendFlowEpoch(flow_epoch_);
    }
    // Without a dataplane nothing is offloaded; its successor begins anew.
    return absl::IsUnavailable(s) ? absl::OkStatus() : s;
  };
  return Fenced(AllLanes(), changed_and_withdrawn, {});
}

}  // namespace sluice
