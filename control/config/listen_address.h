// An address to listen on, as users write it: "127.0.0.1:9477", "[::1]:9477". Pure; any thread.
#ifndef SLUICE_CONTROL_CONFIG_LISTEN_ADDRESS_H_
#define SLUICE_CONTROL_CONFIG_LISTEN_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

// The initialisers are where metrics are served by default.
struct ListenAddress {
  std::string host = "127.0.0.1";  // an IP address, without brackets
  uint16_t port = 9477;            // host order

  bool operator==(const ListenAddress&) const = default;
};

// Returns nullopt for anything but an IP address and a port from 1 on. Host names are not allowed: the address must not
// depend on a resolver.
std::optional<ListenAddress> ParseListenAddress(const std::string& text);

std::string ListenAddressText(const ListenAddress& address);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_LISTEN_ADDRESS_H_
