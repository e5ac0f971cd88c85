// Refuses lists by which an operator or the machine would lock itself out. Pure; any thread.
#ifndef SLUICE_CONTROL_STEERING_LIST_GUARD_H_
#define SLUICE_CONTROL_STEERING_LIST_GUARD_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "control/kernel/vital_addresses.h"
#include "control/rules/prefix.h"

namespace sluice {

// FailedPrecondition, with advice, if one of the prefixes is everything of a family, or contains a vital address that
// `allowed` does not allow. `place` returns the place of the prefix of that index, "list.txt:3: ", or "".
absl::Status CheckBlocks(absl::Span<const Prefix> prefixes, absl::Span<const VitalAddress> vital,
                         const std::function<bool(const Prefix&)>& allowed,
                         const std::function<std::string(size_t)>& place);

bool AnyContains(absl::Span<const Prefix> prefixes, const Prefix& host);

Prefix HostPrefix(const sluice_address& address);
// Returns "192.0.2.1".
std::string AddressText(const Prefix& host);

}  // namespace sluice

#endif  // SLUICE_CONTROL_STEERING_LIST_GUARD_H_
