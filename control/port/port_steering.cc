// What a port's maps say of packets: rules, the guest's own addresses, what happens while no dataplane runs.
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "control/kernel/kernel_error.h"
#include "control/kernel/lane_sockets.h"
#include "control/port/port.h"

namespace sluice {

absl::Status AgentPort::FillIdleRules(const std::vector<ActiveRule>& rules) {
  std::vector<SteeringRule> mine;
  std::vector<RuleHits> hits;
  for (const ActiveRule& rule : rules) {
    if (rule.config.in_port.empty() || rule.config.in_port == config_.name) {
      mine.push_back(rule.config.rule);
      hits.push_back({rule.hits, rule.fresh});
    }
  }
  return OnPort(netdev(), maps_.FillIdleRules(mine, hits));
}

absl::Status AgentPort::Activate() {
  absl::StatusOr<std::vector<sluice_address>> addresses = LocalAddresses();
  if (!addresses.ok()) {
    return OnPort(netdev(), addresses.status());
  }
  if (absl::Status s = RefreshLocals(*addresses); !s.ok()) {
    return s;
  }
  return Resteer();
}

absl::Status AgentPort::Resteer() {
  absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev(), config.status());
  }
  config->flags = SLUICE_CONFIG_ACTIVE | (own_mac_only_ ? SLUICE_CONFIG_OWN_MAC_ONLY : 0) |
                  (xdp_.mode() == XdpMode::kSkb ? SLUICE_CONFIG_GENERIC_XDP : 0);
  config->bridge_mode = SLUICE_BRIDGE_REDIRECT;
  config->bridge_ifindex = static_cast<uint32_t>(bridge_.near_ifindex());
  config->own_ifindex = static_cast<uint32_t>(link_.ifindex);
  std::copy(link_.mac.begin(), link_.mac.end(), config->mac);
  return OnPort(netdev(), maps_.SetConfig(*config));
}

absl::Status AgentPort::SetBridgeSocket(int socket) {
  const absl::StatusOr<uint64_t> cookie = SocketCookie(socket);
  if (!cookie.ok()) {
    return OnPort(netdev(), cookie.status());
  }
  absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev(), config.status());
  }
  // One token for as long as the maps live: frames that have it may be between the near end and the stack.
  if (config->bridge_socket == 0 &&
      getrandom(config->token, sizeof(config->token), 0) != static_cast<ssize_t>(sizeof(config->token))) {
    return OnPort(netdev(), KernelError(errno, "drawing a random token"));
  }
  config->bridge_socket = *cookie;
  return OnPort(netdev(), maps_.SetConfig(*config));
}

absl::Status AgentPort::CarryFlows(uint32_t port, const std::vector<uint32_t>& ifindices, uint32_t epoch) {
  absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev(), config.status());
  }
  config->flags |= SLUICE_CONFIG_OFFLOAD;
  config->flow_epoch = epoch;
  config->flow_buckets = maps_.flow_buckets();
  config->port = port;
  std::copy(ifindices.begin(), ifindices.end(), config->ifindex);
  return OnPort(netdev(), maps_.SetConfig(*config));
}

absl::Status AgentPort::CarryNoFlows(uint32_t epoch) {
  absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev(), config.status());
  }
  config->flags &= ~static_cast<uint32_t>(SLUICE_CONFIG_OFFLOAD);
  config->flow_epoch = epoch;
  return OnPort(netdev(), maps_.SetConfig(*config));
}

absl::StatusOr<AgentPort::FlowState> AgentPort::GetFlowState() const {
  absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev(), config.status());
  }
  return FlowState{(config->flags & SLUICE_CONFIG_OFFLOAD) != 0, config->flow_epoch};
}

absl::Status AgentPort::ApplyDownPolicy(uint32_t queue_pairs) {
  if (config_.on_dataplane_down == OnDataplaneDown::kHold) {
    return absl::OkStatus();
  }
  absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev(), config.status());
  }
  config->bridge_mode = config_.on_dataplane_down == OnDataplaneDown::kPass ? SLUICE_BRIDGE_PASS : SLUICE_BRIDGE_DROP;
  // First where packets fall to, then let them fall.
  if (absl::Status s = maps_.SetConfig(*config); !s.ok()) {
    return OnPort(netdev(), s);
  }
  for (uint32_t queue = 0; queue < queue_pairs; ++queue) {
    if (absl::Status s = maps_.RemoveSocket(queue); !s.ok()) {
      return OnPort(netdev(), s);
    }
  }
  return absl::OkStatus();
}

bool AgentPort::HasLocals(const std::vector<sluice_address>& addresses) const {
  const auto same = [](const sluice_address& a, const sluice_address& b) { return memcmp(&a, &b, sizeof(a)) == 0; };
  return locals_.has_value() && std::equal(addresses.begin(), addresses.end(), locals_->begin(), locals_->end(), same);
}

absl::Status AgentPort::RefreshLocals(const std::vector<sluice_address>& addresses) {
  if (HasLocals(addresses)) {
    return absl::OkStatus();
  }
  if (absl::Status s = maps_.SetLocals(addresses); !s.ok()) {
    return OnPort(netdev(), s);
  }
  locals_ = addresses;
  return absl::OkStatus();
}

}  // namespace sluice
