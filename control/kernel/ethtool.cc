#include "control/kernel/ethtool.h"

#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bpf/sluice_abi.h"
#include "control/kernel/kernel_error.h"
#include "control/kernel/netlink.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

// Sends a request of the ethtool family for one netdev. `fill` appends attributes behind the header nest, whose number
// is 1 in every ethtool message.
absl::Status AskEthtool(uint8_t command, const std::string& netdev, absl::string_view doing,
                        absl::FunctionRef<void(NetlinkRequest&)> fill,
                        absl::FunctionRef<void(const nlmsghdr*)> on_answer) {
  static_assert(ETHTOOL_A_CHANNELS_HEADER == 1 && ETHTOOL_A_FEATURES_HEADER == 1);
  absl::StatusOr<Netlink> netlink = Netlink::Open(NETLINK_GENERIC);
  if (!netlink.ok()) {
    return netlink.status();
  }
  const absl::StatusOr<uint16_t> family = netlink->FamilyId(ETHTOOL_GENL_NAME);
  if (!family.ok()) {
    return family.status();
  }
  NetlinkRequest request(*family, 0);
  auto* header = request.PutHeader<genlmsghdr>();
  header->cmd = command;
  header->version = ETHTOOL_GENL_VERSION;
  nlattr* nest = request.BeginNest(ETHTOOL_A_CHANNELS_HEADER | NLA_F_NESTED);
  request.PutString(ETHTOOL_A_HEADER_DEV_NAME, netdev);
  request.EndNest(nest);
  fill(request);
  return netlink->Ask(request, doing, on_answer);
}

struct ChannelCounts {
  uint32_t rx = 0, tx = 0, combined = 0;
  uint32_t max_rx = 0, max_tx = 0, max_combined = 0;
};

absl::StatusOr<ChannelCounts> ReadChannels(const std::string& netdev) {
  ChannelCounts counts;
  const absl::Status status = AskEthtool(
      ETHTOOL_MSG_CHANNELS_GET, netdev, absl::StrCat("reading channels of ", netdev), [](NetlinkRequest&) {},
      [&counts](const nlmsghdr* answer) {
        ForEachAttribute(answer, sizeof(genlmsghdr), [&counts](const nlattr* attribute) {
          switch (mnl_attr_get_type(attribute)) {
            case ETHTOOL_A_CHANNELS_RX_COUNT:
              counts.rx = mnl_attr_get_u32(attribute);
              break;
            case ETHTOOL_A_CHANNELS_TX_COUNT:
              counts.tx = mnl_attr_get_u32(attribute);
              break;
            case ETHTOOL_A_CHANNELS_COMBINED_COUNT:
              counts.combined = mnl_attr_get_u32(attribute);
              break;
            case ETHTOOL_A_CHANNELS_RX_MAX:
              counts.max_rx = mnl_attr_get_u32(attribute);
              break;
            case ETHTOOL_A_CHANNELS_TX_MAX:
              counts.max_tx = mnl_attr_get_u32(attribute);
              break;
            case ETHTOOL_A_CHANNELS_COMBINED_MAX:
              counts.max_combined = mnl_attr_get_u32(attribute);
              break;
            default:
              break;
          }
        });
      });
  if (!status.ok()) {
    return status;
  }
  return counts;
}

// Lists the names of the set bits in a bitset that came without a mask (net/ethtool/bitset.c: ethnl_put_bitset32).
void AppendBitNames(const nlattr* bitset, std::vector<std::string>& names) {
  ForEachAttribute(bitset, [&names](const nlattr* part) {
    if (mnl_attr_get_type(part) != ETHTOOL_A_BITSET_BITS) {
      return;
    }
    ForEachAttribute(part, [&names](const nlattr* bit) {
      ForEachAttribute(bit, [&names](const nlattr* field) {
        if (mnl_attr_get_type(field) == ETHTOOL_A_BITSET_BIT_NAME) {
          names.emplace_back(mnl_attr_get_str(field));
        }
      });
    });
  });
}

absl::Status EthtoolIoctl(const std::string& netdev, void* command, absl::string_view doing) {
  if (netdev.size() >= IFNAMSIZ) {
    return KernelError(ENODEV, doing);
  }
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) {
    return KernelError(errno, doing);
  }
  ifreq request{};
  std::memcpy(request.ifr_name, netdev.c_str(), netdev.size() + 1);
  request.ifr_data = static_cast<char*>(command);
  if (ioctl(fd.get(), SIOCETHTOOL, &request) < 0) {
    return KernelError(errno, doing);
  }
  return absl::OkStatus();
}

// ethtool_rxfh_indir ends in an array: words to hold the fixed part and `entries` elements.
constexpr size_t kRssHeaderWords = sizeof(ethtool_rxfh_indir) / sizeof(uint32_t);
static_assert(sizeof(ethtool_rxfh_indir) == 8);

}  // namespace

absl::StatusOr<Channels> GetChannels(const std::string& netdev) {
  const absl::StatusOr<ChannelCounts> counts = ReadChannels(netdev);
  if (!counts.ok()) {
    return counts.status();
  }
  if (counts->max_combined > 0) {
    return Channels{counts->combined, counts->max_combined};
  }
  return Channels{std::min(counts->rx, counts->tx), std::min(counts->max_rx, counts->max_tx)};
}

absl::Status SetChannels(const std::string& netdev, uint32_t count) {
  const absl::StatusOr<ChannelCounts> counts = ReadChannels(netdev);
  if (!counts.ok()) {
    return counts.status();
  }
  const absl::Status s = AskEthtool(
      ETHTOOL_MSG_CHANNELS_SET, netdev, absl::StrCat("setting ", count, " channels on ", netdev),
      [&](NetlinkRequest& request) {
        if (counts->max_combined > 0) {
          request.PutU32(ETHTOOL_A_CHANNELS_COMBINED_COUNT, count);
        } else {
          request.PutU32(ETHTOOL_A_CHANNELS_RX_COUNT, count);
          request.PutU32(ETHTOOL_A_CHANNELS_TX_COUNT, count);
        }
      },
      [](const nlmsghdr*) {});
  return NameValue(s, absl::StrCat("[dataplane] queue_pairs = ", count));
}

absl::Status SetFeatures(const std::string& netdev, absl::Span<const std::pair<std::string, bool>> wanted) {
  const std::string doing =
      absl::StrCat("switching features of ", netdev, " (",
                   absl::StrJoin(wanted, ", ",
                                 [](std::string* out, const std::pair<std::string, bool>& feature) {
                                   absl::StrAppend(out, feature.first, feature.second ? " on" : " off");
                                 }),
                   ")");
  absl::Status status = AskEthtool(
      ETHTOOL_MSG_FEATURES_SET, netdev, doing,
      [wanted](NetlinkRequest& request) {
        nlattr* bitset = request.BeginNest(ETHTOOL_A_FEATURES_WANTED | NLA_F_NESTED);
        nlattr* bits = request.BeginNest(ETHTOOL_A_BITSET_BITS | NLA_F_NESTED);
        for (const auto& [name, on] : wanted) {
          nlattr* bit = request.BeginNest(ETHTOOL_A_BITSET_BITS_BIT | NLA_F_NESTED);
          request.PutString(ETHTOOL_A_BITSET_BIT_NAME, name);
          if (on) {
            request.PutFlag(ETHTOOL_A_BITSET_BIT_VALUE);
          }
          request.EndNest(bit);
        }
        request.EndNest(bits);
        request.EndNest(bitset);
      },
      [](const nlmsghdr*) {});
  if (!status.ok()) {
    return status;
  }
  // The kernel acknowledges a request for a fixed feature, too (net/ethtool/features.c: ethnl_set_features), so read
  // the features that are on now.
  const absl::StatusOr<std::vector<std::string>> active = ActiveFeatures(netdev);
  if (!active.ok()) {
    return active.status();
  }
  std::vector<std::string> refused;
  for (const auto& [name, on] : wanted) {
    const bool is_on = std::find(active->begin(), active->end(), name) != active->end();
    if (is_on != on) {
      refused.push_back(absl::StrCat(name, is_on ? " stays on" : " stays off"));
    }
  }
  if (!refused.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(doing, ": the driver does not allow it: ", absl::StrJoin(refused, ", ")));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ActiveFeatures(const std::string& netdev) {
  std::vector<std::string> names;
  const absl::Status status = AskEthtool(
      ETHTOOL_MSG_FEATURES_GET, netdev, absl::StrCat("reading features of ", netdev), [](NetlinkRequest&) {},
      [&names](const nlmsghdr* answer) {
        ForEachAttribute(answer, sizeof(genlmsghdr), [&names](const nlattr* attribute) {
          if (mnl_attr_get_type(attribute) == ETHTOOL_A_FEATURES_ACTIVE) {
            AppendBitNames(attribute, names);
          }
        });
      });
  if (!status.ok()) {
    return status;
  }
  return names;
}

absl::StatusOr<std::vector<uint32_t>> GetRssTable(const std::string& netdev) {
  const std::string doing = absl::StrCat("reading the RSS table of ", netdev);
  ethtool_rxfh_indir size{};
  size.cmd = ETHTOOL_GRXFHINDIR;
  absl::Status status = EthtoolIoctl(netdev, &size, doing);
  if (absl::IsUnimplemented(status)) {
    return std::vector<uint32_t>();
  }
  if (!status.ok()) {
    return status;
  }
  std::vector<uint32_t> words(kRssHeaderWords + size.size);
  words[0] = ETHTOOL_GRXFHINDIR;
  words[1] = size.size;
  status = EthtoolIoctl(netdev, words.data(), doing);
  if (!status.ok()) {
    return status;
  }
  return std::vector<uint32_t>(words.begin() + kRssHeaderWords, words.end());
}

absl::Status SetRssTable(const std::string& netdev, absl::Span<const uint32_t> table) {
  std::vector<uint32_t> words = {ETHTOOL_SRXFHINDIR, static_cast<uint32_t>(table.size())};
  words.insert(words.end(), table.begin(), table.end());
  const absl::Status s = EthtoolIoctl(netdev, words.data(),
                                      absl::StrCat("setting an RSS table of ", table.size(), " entries on ", netdev));
  const uint32_t last = table.empty() ? 0 : *std::max_element(table.begin(), table.end());
  return NameValue(s, absl::StrCat("queues up to ", last, " in the table, of [dataplane] queue_pairs"));
}

absl::StatusOr<std::vector<uint32_t>> GetTxFrames(const std::string& netdev, uint32_t queues) {
  const std::string doing = absl::StrCat("reading the coalescing of ", netdev);
  std::vector<char> memory(sizeof(ethtool_per_queue_op) + queues * sizeof(ethtool_coalesce));
  auto* request = reinterpret_cast<ethtool_per_queue_op*>(memory.data());
  request->cmd = ETHTOOL_PERQUEUE;
  request->sub_command = ETHTOOL_GCOALESCE;
  for (uint32_t queue = 0; queue < queues; ++queue) {
    request->queue_mask[queue / 32] |= uint32_t{1} << queue % 32;
  }
  absl::Status status = EthtoolIoctl(netdev, request, doing);
  ethtool_coalesce one{};
  if (absl::IsUnimplemented(status)) {
    one.cmd = ETHTOOL_GCOALESCE;
    status = EthtoolIoctl(netdev, &one, doing);
    queues = 0;
  }
  if (!status.ok()) {
    return status;
  }
  std::vector<uint32_t> frames(std::max<uint32_t>(queues, 1), one.tx_max_coalesced_frames);
  for (uint32_t queue = 0; queue < queues; ++queue) {
    std::memcpy(&one, request->data + queue * sizeof(one), sizeof(one));
    frames[queue] = one.tx_max_coalesced_frames;
  }
  return frames;
}

absl::StatusOr<uint32_t> GetTxRingSize(const std::string& netdev) {
  ethtool_ringparam rings{};
  rings.cmd = ETHTOOL_GRINGPARAM;
  const absl::Status status = EthtoolIoctl(netdev, &rings, absl::StrCat("reading the ring sizes of ", netdev));
  if (!status.ok()) {
    return status;
  }
  return rings.tx_pending;
}

absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> GetDriverStats(const std::string& netdev) {
  const std::string doing = absl::StrCat("reading the driver's counters of ", netdev);
  constexpr size_t kCountAt = offsetof(ethtool_sset_info, data);
  char set_memory[kCountAt + sizeof(uint32_t)] = {};
  auto* set = reinterpret_cast<ethtool_sset_info*>(set_memory);
  set->cmd = ETHTOOL_GSSET_INFO;
  set->sset_mask = uint64_t{1} << ETH_SS_STATS;
  if (absl::Status s = EthtoolIoctl(netdev, set, doing); !s.ok()) {
    return s;
  }
  uint32_t count = 0;
  std::memcpy(&count, set_memory + kCountAt, sizeof(count));
  if (set->sset_mask == 0 || count == 0) {
    return std::vector<std::pair<std::string, uint64_t>>();
  }
  // The kernel writes all counters there are by then, whatever room it is given (net/ethtool/ioctl.c:
  // ethtool_get_stats), and somebody may be opening queues. Leave room for as many more as we can use; virtio_net has
  // some 20 counters a pair.
  constexpr size_t kMostOfAPair = 64;
  const size_t room = count + kMostOfAPair * SLUICE_MAX_QUEUES;
  std::vector<char> names_memory(sizeof(ethtool_gstrings) + room * ETH_GSTRING_LEN);
  auto* names = reinterpret_cast<ethtool_gstrings*>(names_memory.data());
  names->cmd = ETHTOOL_GSTRINGS;
  names->string_set = ETH_SS_STATS;
  names->len = count;
  std::vector<uint64_t> values_memory(sizeof(ethtool_stats) / sizeof(uint64_t) + room);
  auto* values = reinterpret_cast<ethtool_stats*>(values_memory.data());
  values->cmd = ETHTOOL_GSTATS;
  values->n_stats = count;
  static_assert(sizeof(ethtool_stats) == sizeof(uint64_t));
  absl::Status s = EthtoolIoctl(netdev, names, doing);
  if (s.ok()) {
    s = EthtoolIoctl(netdev, values, doing);
  }
  if (!s.ok()) {
    return s;
  }
  if (names->len != count || values->n_stats != count) {
    return absl::InternalError(absl::StrCat(doing, ": its queues changed meanwhile"));
  }
  std::vector<std::pair<std::string, uint64_t>> stats;
  for (uint32_t i = 0; i < count; ++i) {
    const char* name = names_memory.data() + sizeof(ethtool_gstrings) + size_t{i} * ETH_GSTRING_LEN;
    stats.emplace_back(std::string(name, strnlen(name, ETH_GSTRING_LEN)), values_memory[1 + i]);
  }
  return stats;
}

absl::StatusOr<DriverInfo> GetDriver(const std::string& netdev) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  const absl::Status status = EthtoolIoctl(netdev, &info, absl::StrCat("reading the driver of ", netdev));
  if (!status.ok()) {
    return status;
  }
  return DriverInfo{info.driver, info.bus_info};
}

}  // namespace sluice
