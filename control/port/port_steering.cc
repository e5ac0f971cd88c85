#include "control/port/port_steering.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "control/kernel/joined_groups.h"
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

absl::Status PortSteering::ClearLists() {
  absl::Status first;
  for (const ListKind kind : {ListKind::kBlock, ListKind::kAllow}) {
    first.Update(SetList(kind, -1));
    first.Update(SetFormerList(kind, -1));
  }
  return first;
}

absl::Status PortSteering::Activate() {
  absl::StatusOr<std::vector<sluice_address>> addresses = LocalAddresses();
  if (!addresses.ok()) {
    return OnPort(netdev_, addresses.status());
  }
  const absl::StatusOr<std::vector<sluice_address>> groups = JoinedGroups();
  if (!groups.ok()) {
    return groups.status();
  }
  absl::Status s = SetLocals({*addresses, *groups});
  return s.ok() ? Resteer() : s;
}

absl::Status PortSteering::Resteer() {
  return ChangeConfig([this](sluice_config& config) {
    config.flags = SLUICE_CONFIG_ACTIVE | (facts_.own_mac_only ? SLUICE_CONFIG_OWN_MAC_ONLY : 0) |
                   (facts_.xdp_is_skb ? SLUICE_CONFIG_GENERIC_XDP : 0) |
                   (facts_.tags_beside_frames ? SLUICE_CONFIG_VETH : 0);
    config.bridge_mode = SLUICE_BRIDGE_REDIRECT;
    config.bridge_ifindex = facts_.bridge_ifindex;
    config.own_ifindex = facts_.own_ifindex;
    std::copy(facts_.mac.begin(), facts_.mac.end(), config.mac);
  });
}

absl::Status PortSteering::Follow(const std::array<uint8_t, 6>& mac, uint32_t bridge_ifindex) {
  if (mac == facts_.mac && bridge_ifindex == facts_.bridge_ifindex) {
    return absl::OkStatus();
  }
  absl::Status s = ChangeConfig([&](sluice_config& config) {
    config.bridge_ifindex = bridge_ifindex;
    std::copy(mac.begin(), mac.end(), config.mac);
  });
  if (s.ok()) {
    facts_.mac = mac;
    facts_.bridge_ifindex = bridge_ifindex;
  }
  return s;
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

absl::StatusOr<sluice_self_test> PortSteering::TestQueue(
    uint32_t queue, const SelfTestToken& token, bool live,
    absl::FunctionRef<absl::Status(absl::Span<const uint8_t>)> run) {
  const absl::StatusOr<sluice_config> config = maps_.GetConfig();
  if (!config.ok()) {
    return OnPort(netdev_, config.status());
  }
  if ((config->flags & SLUICE_CONFIG_ACTIVE) != 0) {
    return absl::UnimplementedError("the port steers packets already");
  }
  const sluice_self_test_frame frame = MakeSelfTestFrame(facts_.mac, token);
  sluice_self_test test{};
  std::copy(token.begin(), token.end(), test.token);
  test.is_live = live ? 1 : 0;
  absl::Status s = maps_.SetSelfTest(queue, test);
  if (s.ok()) {
    s = run(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(&frame), sizeof(frame)));
  }
  absl::StatusOr<sluice_self_test> seen = s.ok() ? maps_.GetSelfTest(queue) : s;
  s = maps_.SetSelfTest(queue, {});
  return seen.ok() && !s.ok() ? s : seen;
}

absl::StatusOr<std::vector<sluice_address>> PortSteering::JoinedGroups() const {
  if (facts_.own_mac_only) {
    return std::vector<sluice_address>();
  }
  absl::StatusOr<std::vector<sluice_address>> groups = sluice::JoinedGroups(static_cast<int>(facts_.own_ifindex));
  return groups.ok() ? groups : OnPort(netdev_, groups.status());
}

bool PortSteering::HasLocals(const Locals& locals) const {
  const auto same = [](const std::vector<sluice_address>& a, const std::vector<sluice_address>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const sluice_address& x, const sluice_address& y) { return memcmp(&x, &y, sizeof(x)) == 0; });
  };
  return locals_.has_value() && same(locals.addresses, locals_->addresses) && same(locals.groups, locals_->groups);
}

absl::Status PortSteering::SetLocals(const Locals& locals) {
  if (HasLocals(locals)) {
    return absl::OkStatus();
  }
  if (absl::Status s = maps_.SetLocals(locals); !s.ok()) {
    return OnPort(netdev_, s);
  }
  locals_ = locals;
  return absl::OkStatus();
}

absl::Status PortSteering::StartOffload(uint32_t index, const std::vector<uint32_t>& ifindices, uint32_t epoch) {
  uint32_t secret[SLUICE_FLOW_SECRET_WORDS];
  if (getrandom(secret, sizeof(secret), 0) != static_cast<ssize_t>(sizeof(secret))) {
    return OnPort(netdev_, KernelError(errno, "drawing random secrets"));
  }
  return ChangeConfig([&](sluice_config& config) {
    config.flags |= SLUICE_CONFIG_OFFLOAD;
    config.flow_epoch = epoch;
    std::copy(std::begin(secret), std::end(secret), config.flow_secret);
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
