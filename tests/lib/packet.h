// SPDX-License-Identifier: Apache-2.0
//
// Builds test packets, in the order of the wire:
//
//   Packet().eth().vlan(10).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).payload(20).checksums().bytes()
//
// Every layer sets the type field of the layer before it. bytes() first fills in lengths, then applies poke(), which
// makes malformed packets, then fills in checksums if checksums() was called. Otherwise they are 0.
//
// The checksums here are slow and obvious on purpose: the tests of dataplane/net/checksum.h compare with them.
#ifndef SLUICE_TESTS_LIB_PACKET_H_
#define SLUICE_TESTS_LIB_PACKET_H_

#include <arpa/inet.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

using Bytes = std::vector<uint8_t>;

using Mac = std::array<uint8_t, 6>;

inline constexpr Mac kPortMac = {0x02, 0, 0, 0, 0, 0x01};
inline constexpr Mac kOtherMac = {0x02, 0, 0, 0, 0, 0x02};
inline constexpr Mac kBroadcastMac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
inline constexpr Mac kPeerMac = {0x02, 0, 0, 0, 0, 0x99};

// The sum of RFC 1071, two bytes at a time in network order; folded, not complemented.
inline uint16_t OnesSum(const Bytes& data, uint32_t sum = 0) {
  for (size_t i = 0; i < data.size(); ++i) {
    sum += i % 2 == 0 ? data[i] << 8 : data[i];
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

inline Bytes AddressBytes(int family, const std::string& text) {
  Bytes out(family == AF_INET ? 4 : 16);
  if (inet_pton(family, text.c_str(), out.data()) != 1) {
    throw std::invalid_argument(text);
  }
  return out;
}

class Packet {
 public:
  Packet& eth(const Mac& dst = kPortMac, const Mac& src = kPeerMac) {
    begin();
    add(Bytes(dst.begin(), dst.end()));
    add(Bytes(src.begin(), src.end()));
    return type16();
  }
  Packet& ethertype(uint16_t type) { return next(type), *this; }
  Packet& vlan(uint16_t id, uint16_t tpid = 0x8100) {
    next(tpid);
    begin();
    add16(id);
    return type16();
  }

  // `option_words`: 4-byte words of options (no-operation).
  Packet& ipv4(const std::string& src, const std::string& dst, unsigned option_words = 0, uint16_t fragment = 0) {
    next(0x0800);
    const size_t at = begin();
    ip_ = at;
    ipv6_ = false;
    add({static_cast<uint8_t>(0x45 + option_words), 0, 0, 0, 0, 1});
    add16(fragment);
    add({64, 0, 0, 0});
    type8_at(at + 9);
    add(AddressBytes(AF_INET, src));
    add(AddressBytes(AF_INET, dst));
    add(Bytes(4 * option_words, 1));
    at_end([at](Bytes& all) { put16(all, at + 2, all.size() - at); });
    return *this;
  }
  Packet& ipv6(const std::string& src, const std::string& dst) {
    next(0x86dd);
    const size_t at = begin();
    ip_ = at;
    ipv6_ = true;
    add({0x60, 0, 0, 0, 0, 0, 59, 64});
    type8_at(at + 6);
    add(AddressBytes(AF_INET6, src));
    add(AddressBytes(AF_INET6, dst));
    at_end([at](Bytes& all) { put16(all, at + 4, all.size() - at - 40); });
    return *this;
  }
  // Hop-by-hop (0), routing (43) or destination options (60), 8 * (1 + extra) bytes.
  Packet& extension(uint8_t proto, uint8_t extra = 0) {
    next(proto);
    const size_t at = begin();
    add({59, extra, 1, 4, 0, 0, 0, 0});
    add(Bytes(8 * extra, 0));
    type8_at(at);
    return *this;
  }
  Packet& extensions(int count, uint8_t proto) {
    for (int i = 0; i < count; ++i) {
      extension(proto);
    }
    return *this;
  }
  Packet& ah(uint8_t words = 4) {  // 4 * (2 + words) bytes
    next(51);
    const size_t at = begin();
    add({59, words, 0, 0, 0, 0, 0, 0});
    add(Bytes(4 * words, 0));
    type8_at(at);
    return *this;
  }
  Packet& fragment6(uint16_t offset_and_more) {
    next(44);
    const size_t at = begin();
    add({59, 0});
    add16(offset_and_more);
    add({0, 0, 0, 7});
    type8_at(at);
    return *this;
  }

  Packet& tcp(uint16_t src, uint16_t dst, unsigned option_words = 0) {
    next(6);
    begin_transport(6);
    add16(src);
    add16(dst);
    add(Bytes(8, 0));
    add({static_cast<uint8_t>((5 + option_words) << 4), 0x10, 0xff, 0xff, 0, 0, 0, 0});
    add(Bytes(4 * option_words, 1));
    return *this;
  }
  Packet& udp(uint16_t src, uint16_t dst) {
    next(17);
    const size_t at = begin_transport(17);
    add16(src);
    add16(dst);
    add(Bytes(4, 0));
    at_end([at](Bytes& all) { put16(all, at + 4, all.size() - at); });
    return *this;
  }
  Packet& sctp(uint16_t src, uint16_t dst) {
    next(132);
    begin();
    add16(src);
    add16(dst);
    add(Bytes(8, 0));
    return *this;
  }
  Packet& icmp(uint8_t type = 8) { return echo(1, type); }
  Packet& icmp6(uint8_t type = 128) { return echo(58, type); }
  // Neighbour solicitation (135) or advertisement (136).
  Packet& neighbour(uint8_t type, const std::string& target) { return icmp6(type).add(AddressBytes(AF_INET6, target)); }
  Packet& proto(uint8_t number) { return next(number), begin(), *this; }

  Packet& arp(const std::string& sender, const std::string& target, uint8_t operation = 1) {
    next(0x0806);
    begin();
    add({0, 1, 8, 0, 6, 4, 0, operation});
    add(Bytes(6, 0x11)).add(AddressBytes(AF_INET, sender));
    return add(Bytes(6, 0)).add(AddressBytes(AF_INET, target));
  }

  Packet& payload(size_t size) { return add(Bytes(size, 0xa5)); }
  Packet& payload(const Bytes& bytes) { return add(bytes); }
  // Adds Ethernet's padding: bytes behind the packet that no length field counts.
  Packet& padding(size_t size) {
    padding_ = size;
    return *this;
  }

  // Overwrites bytes of the current layer after the lengths have been filled in.
  Packet& poke(size_t offset, Bytes values) {
    const size_t at = layer_ + offset;
    pokes_.push_back([at, values = std::move(values)](Bytes& all) {
      for (size_t i = 0; i < values.size(); ++i) {
        all.at(at + i) = values[i];
      }
    });
    return *this;
  }
  Packet& poke16(size_t offset, uint16_t value) {
    return poke(offset, {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)});
  }
  // Cuts the frame to `keep` bytes of the current layer; the lengths still promise more.
  Packet& cut(size_t keep) {
    const size_t size = layer_ + keep;
    pokes_.push_back([size](Bytes& all) { all.resize(size); });
    return *this;
  }

  // Fills in correct checksums in the IPv4 header and in TCP, UDP, ICMP or ICMPv6 over the rest of the packet.
  Packet& checksums() {
    checksums_ = Checksums::kComplete;
    return *this;
  }
  // Fills in TCP's or UDP's checksum as a sender leaves it to a device: the pseudo header's sum, not complemented.
  Packet& partial_checksums() {
    checksums_ = Checksums::kPartial;
    return *this;
  }

  Bytes bytes() const {
    Bytes all = bytes_;
    for (const auto& finish : finishers_) {
      finish(all);
    }
    const size_t end = all.size();
    all.insert(all.end(), padding_, 0);
    for (const auto& poke : pokes_) {
      poke(all);
    }
    if (checksums_ != Checksums::kNone) {
      sum(all, end);
    }
    return all;
  }

  static void put16(Bytes& all, size_t at, size_t value) {
    all.at(at) = static_cast<uint8_t>(value >> 8);
    all.at(at + 1) = static_cast<uint8_t>(value);
  }

 private:
  enum class Checksums { kNone, kPartial, kComplete };

  Packet& echo(uint8_t protocol, uint8_t type) {
    next(protocol);
    begin_transport(protocol);
    return add({type, 0, 0, 0, 0, 0, 0, 0});
  }
  size_t begin_transport(uint8_t protocol) {
    protocol_ = protocol;
    return transport_ = begin();
  }

  static Bytes part(const Bytes& all, size_t from, size_t to) {
    return {all.begin() + static_cast<std::ptrdiff_t>(from), all.begin() + static_cast<std::ptrdiff_t>(to)};
  }
  void sum(Bytes& all, size_t end) const {
    if (!ipv6_) {
      put16(all, ip_ + 10, 0);
      put16(all, ip_ + 10, static_cast<uint16_t>(~OnesSum(part(all, ip_, ip_ + (all.at(ip_) & 0x0fU) * 4))));
    }
    if (transport_ == 0) {
      return;
    }
    const size_t addresses = ip_ + (ipv6_ ? 8 : 12);
    const uint16_t pseudo = protocol_ == 1 ? 0  // ICMP over IPv4 has no pseudo header
                                           : OnesSum(part(all, addresses, addresses + (ipv6_ ? 32 : 8)),
                                                     protocol_ + static_cast<uint32_t>(end - transport_));
    const size_t field = transport_ + (protocol_ == 6 ? 16 : protocol_ == 17 ? 6 : 2);
    if (checksums_ == Checksums::kPartial) {
      put16(all, field, pseudo);
      return;
    }
    put16(all, field, 0);
    const uint16_t complete = static_cast<uint16_t>(~OnesSum(part(all, transport_, end), pseudo));
    put16(all, field, protocol_ == 17 && complete == 0 ? 0xffff : complete);
  }

  size_t begin() { return layer_ = bytes_.size(); }
  Packet& add(const Bytes& more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  Packet& add16(uint16_t value) { return add({static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)}); }
  void at_end(std::function<void(Bytes&)> finish) { finishers_.push_back(std::move(finish)); }

  // Sets the place and width of the field into which the next layer writes its number.
  Packet& type16() {
    type_at_ = bytes_.size();
    type_bytes_ = 2;
    return add({0x88, 0xb5});  // the local experimental ethertype, which stays if no layer follows
  }
  void type8_at(size_t at) {
    type_at_ = at;
    type_bytes_ = 1;
  }
  void next(uint16_t type) {
    if (type_bytes_ == 2) {
      put16(bytes_, type_at_, type);
    }
    if (type_bytes_ == 1) {
      bytes_.at(type_at_) = static_cast<uint8_t>(type);
    }
  }

  Bytes bytes_;
  size_t layer_ = 0;
  size_t ip_ = 0;         // offset of the last IP header
  size_t transport_ = 0;  // offset of the transport header behind it; 0 if there is none with a checksum
  uint8_t protocol_ = 0;  // the number of that transport protocol
  bool ipv6_ = false;
  Checksums checksums_ = Checksums::kNone;
  size_t type_at_ = 0;
  int type_bytes_ = 0;
  size_t padding_ = 0;
  std::vector<std::function<void(Bytes&)>> finishers_;
  std::vector<std::function<void(Bytes&)>> pokes_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_LIB_PACKET_H_
