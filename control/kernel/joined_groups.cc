#include "control/kernel/joined_groups.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bpf/header_numbers.h"
#include "control/kernel/links.h"
#include "control/kernel/text_file.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

// The largest distance of a device from its port: a VLAN in a VLAN, and a MAC device on it.
constexpr int kMaxDepth = 8;
// Other kinds name a device that their packets do not come from as they are: a tunnel's, or a veth's other end.
constexpr absl::string_view kStackedKinds[] = {"vlan", "macvlan", "macvtap", "ipvlan"};

std::vector<absl::string_view> Words(absl::string_view line) {
  return absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

bool ParseHex(absl::string_view text, uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return error == std::errc() && end == text.data() + text.size() && text.size() == 8;
}

// NotFound counts as an empty file: a kernel without that family.
absl::StatusOr<std::string> ReadList(const std::string& path) {
  absl::StatusOr<std::string> text = ReadTextFile(path);
  return absl::IsNotFound(text.status()) ? absl::StatusOr<std::string>("") : text;
}

bool HasIpv4Address(const std::string& netdev) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  netdev.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  return fd && ioctl(fd.get(), SIOCGIFADDR, &request) == 0;
}

bool TakesIpv6(const std::string& netdev) {
  const absl::StatusOr<std::string> disabled =
      ReadTextFile(absl::StrCat("/proc/sys/net/ipv6/conf/", netdev, "/disable_ipv6"));
  return disabled.ok() && *disabled == "0";
}

bool IsAllHosts(const sluice_address& group) {
  return group.family == 4 && group.addr_be[0] == htonl(SLUICE_GROUP_ALL_HOSTS);
}

// Returns the names of the device and of those on top of it.
absl::StatusOr<std::set<std::string>> DevicesOn(int ifindex) {
  const absl::StatusOr<std::vector<Link>> links = AllLinks();
  if (!links.ok()) {
    return links.status();
  }
  std::map<int, int> lower;
  for (const Link& link : *links) {
    const bool stacked =
        std::find(std::begin(kStackedKinds), std::end(kStackedKinds), link.kind) != std::end(kStackedKinds);
    lower[link.ifindex] = stacked ? link.lower_ifindex : 0;
  }
  std::set<std::string> names;
  for (const Link& link : *links) {
    int below = link.ifindex;
    for (int depth = 0; below != ifindex && below != 0 && depth < kMaxDepth; ++depth) {
      const auto found = lower.find(below);
      below = found == lower.end() ? 0 : found->second;
    }
    if (below == ifindex) {
      names.insert(link.name);
    }
  }
  return names;
}

}  // namespace

// A line for each device, "2 eth0 : 1 V3", and below it one for each of its groups: "010000E0 1 0:00000000 0". The
// group is printed as a number of the machine's byte order whose bytes are the address.
std::vector<DeviceGroup> ParseIgmp(absl::string_view text) {
  std::vector<DeviceGroup> groups;
  std::string netdev;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = Words(line);
    if (words.empty()) {
      continue;
    }
    uint32_t address_be = 0;
    if (line.front() == '\t' && ParseHex(words[0], address_be)) {
      if (!netdev.empty()) {
        groups.push_back({netdev, {.addr_be = {address_be}, .family = 4}});
      }
    } else if (line.front() != '\t') {
      netdev = words.size() > 1 ? std::string(words[1]) : "";
    }
  }
  return groups;
}

// "2 eth0 ff020000000000000000000000000001 1 0000000C 0".
std::vector<DeviceGroup> ParseIgmp6(absl::string_view text) {
  std::vector<DeviceGroup> groups;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = Words(line);
    DeviceGroup one{.netdev = words.size() > 2 ? std::string(words[1]) : "", .group = {.addr_be = {}, .family = 6}};
    bool good = words.size() > 2 && words[2].size() == 32;
    for (size_t i = 0; good && i < 4; ++i) {
      uint32_t word = 0;
      good = ParseHex(words[2].substr(8 * i, 8), word);
      one.group.addr_be[i] = htonl(word);
    }
    if (good) {
      groups.push_back(std::move(one));
    }
  }
  return groups;
}

absl::StatusOr<std::vector<sluice_address>> JoinedGroups(int ifindex) {
  const absl::StatusOr<std::set<std::string>> devices = DevicesOn(ifindex);
  if (!devices.ok()) {
    return devices.status();
  }
  const absl::StatusOr<std::string> igmp = ReadList("/proc/thread-self/net/igmp");
  const absl::StatusOr<std::string> igmp6 = ReadList("/proc/thread-self/net/igmp6");
  if (!igmp.ok() || !igmp6.ok()) {
    return igmp.ok() ? igmp6.status() : igmp.status();
  }
  std::map<std::string, std::vector<sluice_address>> of_device4, of_device6;
  for (const DeviceGroup& one : ParseIgmp(*igmp)) {
    of_device4[one.netdev].push_back(one.group);
  }
  for (const DeviceGroup& one : ParseIgmp6(*igmp6)) {
    of_device6[one.netdev].push_back(one.group);
  }
  std::vector<sluice_address> all;
  for (const std::string& device : *devices) {
    const std::vector<sluice_address>& four = of_device4[device];
    if (!std::all_of(four.begin(), four.end(), IsAllHosts) || HasIpv4Address(device)) {
      all.insert(all.end(), four.begin(), four.end());
    }
    const std::vector<sluice_address>& six = of_device6[device];
    if (!six.empty() && TakesIpv6(device)) {
      all.insert(all.end(), six.begin(), six.end());
    }
  }
  const auto bytes = [](const sluice_address& a) {
    return std::tuple(a.family, a.addr_be[0], a.addr_be[1], a.addr_be[2], a.addr_be[3]);
  };
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return bytes(a) < bytes(b); });
  all.erase(std::unique(all.begin(), all.end(), [&](const auto& a, const auto& b) { return bytes(a) == bytes(b); }),
            all.end());
  return all;
}

}  // namespace sluice
