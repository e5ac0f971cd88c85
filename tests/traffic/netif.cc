#include "tests/traffic/netif.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"

namespace sluice::flowgen {

absl::Status EnterNetns(const std::string& name) {
  const std::string path = absl::StrCat("/run/netns/", name);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || setns(fd.get(), CLONE_NEWNET) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot enter the network namespace ", name, " (", path, ")"));
  }
  return absl::OkStatus();
}

absl::StatusOr<NetifInfo> FindNetif(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return absl::InvalidArgumentError(absl::StrCat("'", name, "' is no interface name"));
  }
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);
  NetifInfo info;
  if (ioctl(socket_fd.get(), SIOCGIFINDEX, &request) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("interface ", name));
  }
  info.index = request.ifr_ifindex;
  if (ioctl(socket_fd.get(), SIOCGIFMTU, &request) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("interface ", name, ": MTU"));
  }
  info.mtu = static_cast<uint32_t>(request.ifr_mtu);
  if (ioctl(socket_fd.get(), SIOCGIFHWADDR, &request) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("interface ", name, ": MAC address"));
  }
  std::memcpy(info.mac.data(), request.ifr_hwaddr.sa_data, info.mac.size());
  return info;
}

NetifCounters ReadNetifCounters(const std::string& name) {
  // NAME: rx bytes packets errs drop fifo frame compressed multicast, tx bytes packets errs drop …
  std::ifstream file("/proc/thread-self/net/dev");
  NetifCounters counters;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    const size_t begin = line.find_first_not_of(' ');
    if (colon == std::string::npos || line.substr(begin, colon - begin) != name) {
      continue;
    }
    std::istringstream numbers(line.substr(colon + 1));
    uint64_t fields[12] = {};
    for (uint64_t& field : fields) {
      numbers >> field;
    }
    counters = {.rx_packets = fields[1], .rx_dropped = fields[3], .tx_packets = fields[9], .tx_dropped = fields[11]};
  }
  return counters;
}

}  // namespace sluice::flowgen
