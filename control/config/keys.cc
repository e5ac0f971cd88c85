#include "control/config/keys.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace sluice {
namespace {

constexpr KeyWord kFunctionWords[] = {{"reflect", "swaps the MAC addresses, sends back by the same port"},
                                      {"forward", "joins two ports like a wire"}};
constexpr KeyWord kActionWords[] = {
    {"dataplane", "to the network function"}, {"pass", "to the kernel"}, {"drop", "nowhere, counted"}};

constexpr bool kLive = true;
constexpr bool kRestart = false;
constexpr const char* kAnything = "anything";

constexpr const char* kPortRange = "a number 0..65535 or \"FIRST-LAST\"";
constexpr const char* kPrefix = "an address or prefix, such as \"10.0.0.0/8\" or \"2001:db8::1\"";

const KeyDoc kKeys[] = {
    {"port",
     "name",
     {},
     "1 to 32 letters, digits, '-', '_'",
     "",
     "What sluicectl and the rules call the port. One to four ports.",
     kRestart},
    {"port", "netdev", {}, "a network device, such as \"eth0\"", "", "The guest's interface.", kRestart},
    {"port", "on_dataplane_down", kOnDataplaneDownWords, "", "\"pass\"",
     "Where the port's packets go while no dataplane runs.", kLive},
    {"dataplane",
     "queue_pairs",
     {},
     "an integer 1..64",
     "1",
     "Queue pairs of every port, at most what the device has. `sluicectl queues set` changes it, too.",
     kLive},
    {"dataplane", "mode", kModeWords, "", "\"auto\"", "How packets come into the dataplane's memory.", kRestart},
    {"dataplane",
     "cores",
     {},
     "a list of different integers 0..8191",
     "every CPU",
     "CPUs that workers may use.",
     kLive},
    {"dataplane",
     "workers",
     {},
     "an integer 1..64",
     "one for each queue pair, as far as the cores go",
     "Threads that handle packets, each on a core of its own.",
     kLive},
    {"dataplane", "poll", kPollWords, "", "\"adaptive\"", "What a worker does while there are no packets.", kRestart},
    {"dataplane", "offload", kOffloadWords, "", "\"off\"",
     "Whether XDP sends on the packets of offloaded flows; `sluicectl status` says why it does not.", kRestart},
    {"dataplane",
     "offload_flows",
     {},
     "an integer 1024..16777216",
     "65536",
     "Flows of each port that XDP can know, a power of two or the next one. 192 bytes each.",
     kRestart},
    {"function", "type", kFunctionWords, "", "", "What is done with the packets.", kRestart},
    {"metrics",
     "listen",
     {},
     "an IP address and a port, such as \"[::1]:9477\", or \"off\"",
     "\"127.0.0.1:9477\", if it can be had",
     "Where Prometheus fetches /metrics.",
     kLive},
    {"rule", "proto", {}, "tcp, udp, icmp, icmpv6, sctp, or a number 0..255", kAnything, "The IP protocol.", kLive},
    {"rule", "src", {}, kPrefix, kAnything, "Where the packet comes from.", kLive},
    {"rule", "dst", {}, kPrefix, kAnything, "Where it goes.", kLive},
    {"rule", "src_port", {}, kPortRange, kAnything, "With proto tcp, udp or sctp only.", kLive},
    {"rule", "dst_port", {}, kPortRange, kAnything, "With proto tcp, udp or sctp only.", kLive},
    {"rule", "vlan", {}, "a number 0..4094", kAnything, "Id of the outermost tag.", kLive},
    {"rule",
     "ethertype",
     {},
     "ipv4, ipv6, arp, or a number 0x0600..0xffff",
     kAnything,
     "The one behind all VLAN tags.",
     kLive},
    {"rule", "in_port", {}, "a port's name", "every port", "Only this port gets the rule.", kLive},
    {"rule", "action", kActionWords, "", "",
     "What becomes of the packets that the rule is for: those with which all its other keys agree.", kLive},
};

}  // namespace

absl::Span<const KeyDoc> KeyDocs() {
  return kKeys;
}

const KeyDoc& FindKey(const std::string& table, const std::string& key) {
  const KeyDoc* found = std::find_if(std::begin(kKeys), std::end(kKeys),
                                     [&](const KeyDoc& doc) { return table == doc.table && key == doc.key; });
  assert(found != std::end(kKeys));
  return *found;
}

}  // namespace sluice
