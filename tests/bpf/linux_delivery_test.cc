// SPDX-License-Identifier: Apache-2.0
//
// Compares our parsers with Linux's own stack. Random stacks of headers, and every frame of the fuzzer's corpus, go to
// a network namespace that has UDP sockets. Where Linux delivers a datagram to a socket, both parsers must have read
// its protocol, source and port as Linux did, or have said that they cannot read them. The same for the VLAN of the
// device by which it came.
//
//     wire ══ port, port.7, port.7.9 ──► stack ──► UDP sockets        (══ a veth pair)
#include <linux/udp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "dataplane/net/headers.h"
#include "tests/bpf/network.h"
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

constexpr uint16_t kPorts[] = {7777, 53, 1000};
constexpr uint16_t kMarkerPort = 9;
const char* const kSources[] = {"10.0.0.9", "10.0.0.10", "2001:db8::9", "2001:db8::a"};
constexpr uint16_t kVlan = 7;
constexpr uint32_t kBySourceAndPort = 0, kByVlan = 1;  // banks

// A datagram that Linux delivered.
struct Delivery {
  std::string source;
  uint16_t port = 0;
  std::string netdev;
};

// Receives on one port, over both families. 0 is a valid checksum, as the random stacks have it.
class Listener {
 public:
  explicit Listener(uint16_t port) : port_(port), socket_(::socket(AF_INET6, SOCK_DGRAM, 0)) {
    const int on = 1, off = 0;
    setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
    setsockopt(socket_.get(), IPPROTO_UDP, UDP_NO_CHECK6_RX, &on, sizeof(on));
    sockaddr_in6 name = {};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(port);
    valid_ = bind(socket_.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0;
  }
  bool valid() const { return valid_; }
  // Returns the next datagram; nothing if there is none, after `patience`.
  std::optional<Delivery> receive(timeval patience = {}) {
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    const bool waits = patience.tv_sec != 0 || patience.tv_usec != 0;
    char bytes[2048];
    alignas(cmsghdr) char control[256];
    sockaddr_in6 from = {};
    iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    msghdr message = {};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    if (recvmsg(socket_.get(), &message, waits ? 0 : MSG_DONTWAIT) < 0) {
      return {};
    }
    char text[INET6_ADDRSTRLEN];
    const bool ipv4 = IN6_IS_ADDR_V4MAPPED(&from.sin6_addr);
    inet_ntop(ipv4 ? AF_INET : AF_INET6, from.sin6_addr.s6_addr + (ipv4 ? 12 : 0), text, sizeof(text));
    Delivery delivery{.source = text, .port = port_, .netdev = ""};
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one; one = CMSG_NXTHDR(&message, one)) {
      if (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_PKTINFO) {
        in6_pktinfo info;
        std::memcpy(&info, CMSG_DATA(one), sizeof(info));
        char name[IF_NAMESIZE] = "?";
        if_indextoname(info.ipi6_ifindex, name);
        delivery.netdev = name;
      }
    }
    return delivery;
  }

 private:
  uint16_t port_;
  Descriptor socket_;
  bool valid_ = false;
};

// Makes stacks of headers: most are right, some are long, odd or damaged.
class Stacks {
 public:
  explicit Stacks(uint32_t seed) : random_(seed) {}

  // Returns the frames of one datagram: one, or its fragments.
  std::vector<Bytes> Next() {
    ++id_;
    std::vector<Bytes> frames = OneIn(2) ? Ipv4() : Ipv6();
    for (Bytes& frame : frames) {
      if (OneIn(6)) {
        Damage(frame);
      }
      if (OneIn(8)) {
        frame.resize(frame.size() + 1 + Below(40));  // padding
      }
      Resum(frame);
    }
    return frames;
  }

 private:
  uint32_t Below(uint32_t bound) { return random_() % bound; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  Packet Tagged() {
    Packet packet;
    packet.eth();
    l3_ = 14;
    const uint32_t tags = OneIn(2) ? 0 : Below(6);
    for (uint32_t i = 0; i < tags; ++i) {
      const uint16_t ids[] = {0, 0, 0, 0xe000, kVlan, 9};
      packet.vlan(ids[Below(6)], OneIn(4) ? 0x88a8 : 0x8100);
      l3_ += 4;
    }
    return packet;
  }

  // UDP, nearly always, as bytes: a header that says `length`, and a payload.
  Bytes Datagram(size_t payload) {
    Bytes bytes(8 + payload, 0xa5);
    Packet::put16(bytes, 0, 4000);
    Packet::put16(bytes, 2, kPorts[Below(3)]);
    Packet::put16(bytes, 4, OneIn(20) ? Below(64) : bytes.size());
    Packet::put16(bytes, 6, 0);
    return bytes;
  }

  Bytes Options() {
    if (!OneIn(3)) {
      return {};
    }
    Bytes bytes;
    while (bytes.size() < 4 + Below(30)) {
      switch (Below(6)) {
        case 0:
          bytes.insert(bytes.end(), {131, 7, OneIn(2) ? uint8_t{8} : uint8_t{4}, 10, 0, 0, 2});
          break;
        case 1:
          bytes.insert(bytes.end(), {7, 7, 4, 0, 0, 0, 0});  // record route
          break;
        case 2:
          bytes.insert(bytes.end(), {148, 4, 0, 0});  // router alert
          break;
        default:
          bytes.push_back(1);
      }
    }
    bytes.resize(std::min<size_t>(40, (bytes.size() + 3) / 4 * 4));
    return bytes;
  }

  std::vector<Bytes> Ipv4() {
    const std::string source = kSources[Below(2)];
    const Bytes options = Options();
    const Bytes datagram = Datagram(8 * Below(6));
    const Packet below = Tagged();
    const auto frame = [&](uint16_t fragment, const Bytes& part) {
      return Packet(below)
          .ipv4(source, "10.0.0.2", static_cast<unsigned>(options.size() / 4), fragment)
          .poke16(4, id_)
          .poke(20, options)
          .proto(OneIn(12) ? 6 : 17)
          .payload(part)
          .bytes();
    };
    if (!OneIn(4) || datagram.size() < 16) {
      return {frame(OneIn(10) ? 0x4000 : 0, datagram)};
    }
    std::vector<Bytes> frames;
    const size_t step = 8 * (1 + Below(2));
    for (size_t at = 0; at < datagram.size(); at += step) {
      const size_t end = std::min(at + step, datagram.size());
      frames.push_back(
          frame(static_cast<uint16_t>(at / 8 | (end < datagram.size() ? 0x2000 : 0)), Part(datagram, at, end)));
    }
    return frames;
  }

  std::vector<Bytes> Ipv6() {
    const std::string source = kSources[2 + Below(2)];
    const Bytes datagram = Datagram(8 * Below(6));
    const bool fragments = OneIn(4) && datagram.size() >= 16;
    Packet below = Tagged().ipv6(source, "2001:db8::2");
    const uint32_t before = OneIn(2) ? 0 : Below(12);
    for (uint32_t i = 0; i < before; ++i) {
      Extension(below, i == 0);
    }
    if (!fragments) {
      if (OneIn(5)) {
        below.fragment6(0);
      }
      Packet whole = below;
      return {whole.proto(OneIn(12) ? 6 : 17).payload(datagram).bytes()};
    }
    std::vector<Bytes> frames;
    const size_t step = 8 * (1 + Below(2));
    for (size_t at = 0; at < datagram.size(); at += step) {
      const size_t end = std::min(at + step, datagram.size());
      Packet one = below;
      one.fragment6(static_cast<uint16_t>(at | (end < datagram.size() ? 1 : 0))).poke16(6, id_);
      frames.push_back(one.proto(17).payload(Part(datagram, at, end)).bytes());
    }
    return frames;
  }

  // Options of padding only, so that Linux takes them.
  void Extension(Packet& packet, bool first) {
    const uint8_t extra = OneIn(8) ? static_cast<uint8_t>(Below(30)) : 0;
    if (first && OneIn(2)) {
      packet.extension(0).poke(2, {1, 4});
    } else if (OneIn(6)) {
      packet.extension(43).poke(2, {OneIn(2) ? uint8_t{0} : uint8_t{4}, OneIn(3) ? uint8_t{1} : uint8_t{0}});
    } else {
      packet.extension(60, extra).poke(2, {1, static_cast<uint8_t>(4 + 8 * extra)});
    }
  }

  // Flips bits behind the addresses, or cuts the frame.
  void Damage(Bytes& frame) {
    if (OneIn(3)) {
      frame.resize(14 + Below(static_cast<uint32_t>(frame.size() - 14)));
      return;
    }
    for (uint32_t flips = 1 + Below(3); flips > 0; --flips) {
      frame[12 + Below(static_cast<uint32_t>(frame.size() - 12))] ^= static_cast<uint8_t>(1U << Below(8));
    }
  }

  // Linux checks the IPv4 header's sum before anything that is of interest here.
  void Resum(Bytes& frame) {
    if (frame.size() < l3_ + 20 || frame[l3_] >> 4 != 4) {
      return;
    }
    const size_t end = std::min<size_t>(frame.size(), l3_ + (frame[l3_] & 0x0f) * 4);
    if (end < l3_ + 12) {
      return;
    }
    Packet::put16(frame, l3_ + 10, 0);
    const uint16_t sum = OnesSum(Part(frame, l3_, end));
    Packet::put16(frame, l3_ + 10, static_cast<uint16_t>(~sum));
  }

  static Bytes Part(const Bytes& all, size_t from, size_t to) {
    return {all.begin() + static_cast<std::ptrdiff_t>(from), all.begin() + static_cast<std::ptrdiff_t>(to)};
  }

  std::mt19937 random_;
  uint16_t id_ = 0;
  size_t l3_ = 14;
};

class LinuxDelivery : public Programs {
 protected:
  void SetUp() override {
    // One CPU and one queue keep the order of frames.
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(sched_getcpu(), &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
    SetUpDevices(
        "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 "
        "net.ipv4.conf.all.accept_source_route=1 net.ipv4.conf.default.accept_source_route=1 "
        "net.ipv6.conf.all.accept_source_route=1 net.ipv6.conf.default.accept_source_route=1 && "
        "ip link add wire type veth peer name port address 02:00:00:00:00:01 && "
        "sysctl -qw net.ipv6.conf.wire.disable_ipv6=1 && ip link set wire up && ip link set lo up && "
        "ip addr add 10.0.0.2/24 dev port && ip addr add 2001:db8::2/64 dev port nodad && "
        "ip link set port up");
    if (IsSkipped()) {
      return;
    }
    has_vlans_ = shell(
        "ip link add link port name port.7 type vlan id 7 2>/dev/null && "
        "ip link add link port.7 name port.7.9 type vlan id 9 && ip link set port.7 up && "
        "ip link set port.7.9 up");
    set_rules({Rule().vlan(kVlan).drop()}, kByVlan);
    ask_for_all();
    wire_.emplace("wire");
    marker_listener_.emplace(kMarkerPort);
    for (const uint16_t port : kPorts) {
      listeners_.emplace_back(port);
      ASSERT_TRUE(wire_->valid() && marker_listener_->valid() && listeners_.back().valid());
    }
  }

  void use(uint32_t bank) {
    config_.rule_bank = bank;
    apply();
  }

  // Sends the frames, and returns the datagrams that Linux made of them. A marker behind them tells when it is through.
  std::vector<Delivery> deliver(const std::vector<Bytes>& frames) {
    for (const Bytes& frame : frames) {
      wire_->send(frame);  // fails for a frame without a whole Ethernet header, which Linux would not receive
    }
    EXPECT_TRUE(wire_->send(marker_));
    EXPECT_TRUE(marker_listener_->receive({.tv_sec = 10, .tv_usec = 0})) << "Linux does not take the marker";
    std::vector<Delivery> all;
    for (Listener& listener : listeners_) {
      while (std::optional<Delivery> one = listener.receive()) {
        all.push_back(*std::move(one));
      }
    }
    return all;
  }

  // A rule for each source and port.
  void ask_for_all() {
    std::vector<RuleConfig> rules;
    for (const char* source : kSources) {
      for (const uint16_t port : kPorts) {
        rules.push_back(Rule().proto(17).src(source).dst_port(port).drop());
      }
    }
    set_rules(rules, kBySourceAndPort);
  }

  // Returns the number of the rule for the datagram.
  uint32_t ask_for(const Delivery& delivery) {
    use(kBySourceAndPort);
    for (uint32_t rule = 0; rule < std::size(kSources) * std::size(kPorts); ++rule) {
      if (delivery.source == kSources[rule / std::size(kPorts)] && delivery.port == kPorts[rule % std::size(kPorts)]) {
        return rule;
      }
    }
    set_rules({Rule().proto(17).src(delivery.source).dst_port(delivery.port).drop()}, kBySourceAndPort);
    odd_source_ = true;  // damage made it
    return 0;
  }

  // Returns true if one of the frames was kept from Linux as unreadable. Checks that otherwise one was kept from it by
  // the rule for the datagram.
  bool check_programs(const std::vector<Bytes>& frames, const Delivery& delivery) {
    const uint32_t rule = ask_for(delivery);
    const uint64_t before = rule_hits(kBySourceAndPort, rule).packets;
    bool unreadable = false;
    for (const Bytes& frame : frames) {
      const std::string said = verdict(frame);
      EXPECT_NE("malformed", said) << "Linux takes it";
      unreadable = unreadable || said == "unreadable";
    }
    EXPECT_TRUE(unreadable || rule_hits(kBySourceAndPort, rule).packets > before)
        << "Linux delivers to port " << delivery.port << " from " << delivery.source;
    if (odd_source_) {
      odd_source_ = false;
      ask_for_all();
    }
    if (delivery.netdev == "port") {
      return unreadable;
    }
    use(kByVlan);
    for (const Bytes& frame : frames) {
      const std::string said = verdict(frame);
      EXPECT_TRUE(said == "drop" || said == "unreadable") << said << ", and Linux delivers it by " << delivery.netdev;
    }
    return unreadable;
  }

  // The same for the dataplane's parser.
  void check_headers(const std::vector<Bytes>& frames, const Delivery& delivery) {
    bool agrees = false;
    for (const Bytes& frame : frames) {
      const Headers headers = Parse(frame.data(), static_cast<uint32_t>(frame.size()));
      agrees = agrees || headers.network == Network::kUnreadable ||
               (headers.has_ports() && headers.protocol == SLUICE_PROTO_UDP &&
                HeaderAt<Ports>(frame.data(), headers.l4_offset).destination.host() == delivery.port &&
                source(frame, headers) == delivery.source && (delivery.netdev == "port" || headers.vlan == kVlan));
    }
    EXPECT_TRUE(agrees) << "Linux delivers to port " << delivery.port << " from " << delivery.source << " by "
                        << delivery.netdev;
  }

  static std::string source(const Bytes& frame, const Headers& headers) {
    char text[INET6_ADDRSTRLEN];
    const bool ipv4 = headers.network == Network::kIpv4;
    inet_ntop(ipv4 ? AF_INET : AF_INET6, frame.data() + headers.l3_offset + (ipv4 ? 12 : 8), text, sizeof(text));
    return text;
  }

  void check(const std::vector<Bytes>& frames, const std::string& name) {
    for (const Delivery& delivery : deliver(frames)) {
      SCOPED_TRACE(name);
      (check_programs(frames, delivery) ? unreadable_ : read_) += 1;
      check_headers(frames, delivery);
      by_vlan_ += delivery.netdev == "port" ? 0 : 1;
      of_fragments_ += frames.size() > 1 ? 1 : 0;
    }
  }

  bool has_vlans_ = false;  // false: the kernel has no VLAN devices, and takes only priority tags off
  std::optional<Wire> wire_;
  std::vector<Listener> listeners_;
  std::optional<Listener> marker_listener_;
  const Bytes marker_ = Packet().eth().ipv4("10.0.0.9", "10.0.0.2").udp(1, kMarkerPort).checksums().bytes();
  bool odd_source_ = false;
  int read_ = 0, unreadable_ = 0, by_vlan_ = 0, of_fragments_ = 0;  // datagrams
};

TEST_F(LinuxDelivery, IsOfPacketsThatWeReadAsLinuxDoesOrNotAtAll) {
  Stacks stacks(20261129);
  for (int i = 0; i < 6000 && !HasFailure(); ++i) {
    check(stacks.Next(), "stack " + std::to_string(i));
  }
  RecordProperty("read", read_);
  RecordProperty("unreadable", unreadable_);
  EXPECT_GT(read_, 1000);
  EXPECT_GT(unreadable_, 100);
  if (has_vlans_) {
    EXPECT_GT(by_vlan_, 100);
  }
  EXPECT_GT(of_fragments_, 100);
}

// The fuzzer's corpus has other addresses and ports in it; the frames are sent as they are, and with ours.
TEST_F(LinuxDelivery, OfTheCorpus) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_HEADERS_CORPUS)) {
    std::ifstream in(entry.path(), std::ios::binary);
    check({Bytes(std::istreambuf_iterator<char>(in), {})}, entry.path().filename());
    ++files;
  }
  EXPECT_GT(files, 30);
  EXPECT_GT(read_, 0);
  EXPECT_GT(unreadable_, 0);
}

}  // namespace
}  // namespace sluice::bpf_test
