#include "control/kernel/vital_addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "control/kernel/links.h"

namespace sluice {
namespace {

using Words = std::vector<std::string>;

// Calls `take` with the words of each line, of the first 1,024.
void ForEachLine(const char* path, const std::function<void(const Words&)>& take) {
  constexpr int kMost = 1024;
  std::ifstream file(path);
  std::string line;
  for (int number = 0; number < kMost && std::getline(file, line); ++number) {
    take(absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty()));
  }
}

class Collector {
 public:
  void Add(uint8_t family, const void* bytes, const char* role) {
    VitalAddress vital;
    vital.address.family = family;
    vital.role = role;
    std::memcpy(vital.address.addr_be, bytes, family == 4 ? sizeof(in_addr) : sizeof(in6_addr));
    const bool none = std::all_of(std::begin(vital.address.addr_be), std::end(vital.address.addr_be),
                                  [](auto word) { return word == 0; });
    if (!none && !IsLoopback(vital.address)) {
      found_.push_back(std::move(vital));
    }
  }
  std::vector<VitalAddress> Take() { return std::move(found_); }

 private:
  static bool IsLoopback(const sluice_address& address) {
    const auto* first = reinterpret_cast<const unsigned char*>(address.addr_be);
    return address.family == 4 ? *first == IN_LOOPBACKNET
                               : std::memcmp(first, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
  }

  std::vector<VitalAddress> found_;
};

}  // namespace

std::vector<VitalAddress> VitalAddresses() {
  Collector found;
  if (const absl::StatusOr<std::vector<sluice_address>> own = LocalAddresses(); own.ok()) {
    for (const sluice_address& address : *own) {
      found.Add(static_cast<uint8_t>(address.family), address.addr_be, "an address of this machine");
    }
  }
  // net/ipv4/fib_trie.c, fib_route_seq_show: the third word, as the CPU reads the network's bytes.
  ForEachLine("/proc/net/route", [&found](const Words& words) {
    if (uint32_t gateway = 0; words.size() > 2 && absl::SimpleHexAtoi(words[2], &gateway)) {
      found.Add(4, &gateway, "a gateway");
    }
  });
  // net/ipv6/route.c, rt6_seq_show: the fifth word, byte by byte.
  ForEachLine("/proc/net/ipv6_route", [&found](const Words& words) {
    if (words.size() > 4 && words[4].size() == 2 * sizeof(in6_addr)) {
      found.Add(6, absl::HexStringToBytes(words[4]).data(), "a gateway");
    }
  });
  ForEachLine("/etc/resolv.conf", [&found](const Words& words) {
    if (words.size() < 2 || words[0] != "nameserver") {
      return;
    }
    unsigned char bytes[sizeof(in6_addr)] = {};
    if (inet_pton(AF_INET, words[1].c_str(), bytes) == 1) {
      found.Add(4, bytes, "a nameserver");
    } else if (inet_pton(AF_INET6, words[1].substr(0, words[1].find('%')).c_str(), bytes) == 1) {
      found.Add(6, bytes, "a nameserver");
    }
  });
  return found.Take();
}

}  // namespace sluice
