#include "control/config/listen_address.h"

#include <arpa/inet.h>

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice {

std::optional<ListenAddress> ParseListenAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 ||
      port > std::numeric_limits<uint16_t>::max()) {
    return std::nullopt;
  }
  ListenAddress address{text.substr(0, colon), static_cast<uint16_t>(port)};
  const bool ipv6 = absl::StartsWith(address.host, "[") && absl::EndsWith(address.host, "]");
  if (ipv6) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  in6_addr bits{};
  return inet_pton(ipv6 ? AF_INET6 : AF_INET, address.host.c_str(), &bits) == 1 ? std::make_optional(address)
                                                                                : std::nullopt;
}

std::string ListenAddressText(const ListenAddress& address) {
  const bool ipv6 = absl::StrContains(address.host, ':');
  return absl::StrCat(ipv6 ? "[" : "", address.host, ipv6 ? "]:" : ":", address.port);
}

}  // namespace sluice
