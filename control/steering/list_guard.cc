#include "control/steering/list_guard.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice {

Prefix HostPrefix(const sluice_address& address) {
  Prefix prefix;
  prefix.family = static_cast<uint8_t>(address.family);
  prefix.bits = prefix.family == 4 ? 32 : 128;
  std::memcpy(prefix.address.data(), address.addr_be, prefix.bits / 8);
  return prefix;
}

std::string AddressText(const Prefix& host) {
  const std::string text = PrefixText(host);
  return text.substr(0, text.find('/'));
}

bool AnyContains(absl::Span<const Prefix> prefixes, const Prefix& host) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const Prefix& one) { return Contains(one, host); });
}

absl::Status CheckBlocks(absl::Span<const Prefix> prefixes, absl::Span<const VitalAddress> vital,
                         const std::function<bool(const Prefix&)>& allowed,
                         const std::function<std::string(size_t)>& place) {
  for (size_t i = 0; i < prefixes.size(); ++i) {
    if (prefixes[i].bits == 0) {
      return absl::FailedPreconditionError(absl::StrCat(place(i), PrefixText(prefixes[i]), " blocks everything"));
    }
  }
  for (const VitalAddress& one : vital) {
    const Prefix host = HostPrefix(one.address);
    for (size_t i = 0; i < prefixes.size(); ++i) {
      if (Contains(prefixes[i], host) && !allowed(host)) {
        return absl::FailedPreconditionError(absl::StrCat(place(i), PrefixText(prefixes[i]), " blocks ",
                                                          AddressText(host), ", ", one.role,
                                                          "; on the allow-list it passes"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
