#include "control/port/port_steering.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "control/kernel/kernel_error.h"
#include "control/kernel/lane_sockets.h"
#include "control/kernel/links.h"

namespace sluice {

absl::Status PortSteering::ChangeConfig(absl::FunctionRef<void(sluice_config&)> change) {
  absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev_, config.status());
  }
  change(*config);
  return OnPort(netdev_, maps_.SetConfig(*config));
}

absl::Status PortSteering::Activate() {
  absl::StatusOr<std::vector<sluice_address>> addresses = LocalAddresses();
  if (!addresses.ok()) {
    return OnPort(netdev_, addresses.status());
  }
  absl::Status s = SetLocals(*addresses);
  return s.ok() ? Resteer() : s;
}

absl::Status PortSteering::Resteer() {
  return ChangeConfig([this](sluice_config& config) {
    config.flags = SLUICE_CONFIG_ACTIVE | (facts_.own_mac_only ? SLUICE_CONFIG_OWN_MAC_ONLY : 0) |
                   (facts_.xdp_is_skb ? SLUICE_CONFIG_GENERIC_XDP : 0);
    config.bridge_mode = SLUICE_BRIDGE_REDIRECT;
    config.bridge_ifindex = facts_.bridge_ifindex;
    config.own_ifindex = facts_.own_ifindex;
    std::copy(facts_.mac.begin(), facts_.mac.end(), config.mac);
  });
}

absl::Status PortSteering::FillIdleRules(const std::vector<ActiveRule>& rules) {
  std::vector<ActiveRule> mine;
  for (const ActiveRule& rule : rules) {
    if (rule.config.in_port.empty() || rule.config.in_port == name_) {
      mine.push_back(rule);
    }
  }
  return OnPort(netdev_, maps_.FillIdleRules(mine));
}

absl::Status PortSteering::SetBridgeSocket(int socket) {
  const absl::StatusOr<uint64_t> cookie = SocketCookie(socket);
  if (!cookie.ok()) {
    return OnPort(netdev_, cookie.status());
  }
  uint32_t token[std::size(sluice_config{}.token)];
  if (getrandom(token, sizeof(token), 0) != static_cast<ssize_t>(sizeof(token))) {
    return OnPort(netdev_, KernelError(errno, "drawing a random token"));
  }
  return ChangeConfig([&](sluice_config& config) {
    // One token for as long as the maps live: frames that have it may be between the near end and the stack.
    if (config.bridge_socket == 0) {
      std::copy(std::begin(token), std::end(token), config.token);
    }
    config.bridge_socket = *cookie;
  });
}

bool PortSteering::HasLocals(const std::vector<sluice_address>& addresses) const {
  const auto same = [](const sluice_address& a, const sluice_address& b) { return memcmp(&a, &b, sizeof(a)) == 0; };
  return locals_.has_value() && std::equal(addresses.begin(), addresses.end(), locals_->begin(), locals_->end(), same);
}

absl::Status PortSteering::SetLocals(const std::vector<sluice_address>& addresses) {
  if (HasLocals(addresses)) {
    return absl::OkStatus();
  }
  if (absl::Status s = maps_.SetLocals(addresses); !s.ok()) {
    return OnPort(netdev_, s);
  }
  locals_ = addresses;
  return absl::OkStatus();
}

absl::Status PortSteering::StartOffload(uint32_t index, const std::vector<uint32_t>& ifindices, uint32_t epoch) {
  return ChangeConfig([&](sluice_config& config) {
    config.flags |= SLUICE_CONFIG_OFFLOAD;
    config.flow_epoch = epoch;
    config.flow_buckets = maps_.flow_buckets();
    config.port = index;
    std::copy(ifindices.begin(), ifindices.end(), config.ifindex);
  });
}

absl::Status PortSteering::StopOffload(uint32_t epoch) {
  return ChangeConfig([epoch](sluice_config& config) {
    config.flags &= ~static_cast<uint32_t>(SLUICE_CONFIG_OFFLOAD);
    config.flow_epoch = epoch;
  });
}

absl::StatusOr<Port::OffloadState> PortSteering::GetOffloadState() const {
  absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev_, config.status());
  }
  return Port::OffloadState{(config->flags & SLUICE_CONFIG_OFFLOAD) != 0, config->flow_epoch};
}

absl::Status PortSteering::ApplyDownPolicy(OnDataplaneDown policy, uint32_t queue_pairs) {
  if (policy == OnDataplaneDown::kHold) {
    return absl::OkStatus();
  }
  // The bridge's policy first: packets fall to the bridge once their queue has no socket.
  absl::Status s = ChangeConfig([policy](sluice_config& config) {
    config.bridge_mode = policy == OnDataplaneDown::kPass ? SLUICE_BRIDGE_PASS : SLUICE_BRIDGE_DROP;
  });
  for (uint32_t queue = 0; s.ok() && queue < queue_pairs; ++queue) {
    s = OnPort(netdev_, maps_.RemoveSocket(queue));
  }
  return s;
}

absl::Status PortSteering::Stop() {
  return ChangeConfig([](sluice_config& config) { config = {.flow_epoch = config.flow_epoch}; });
}

}  // namespace sluice
