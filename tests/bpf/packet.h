// SPDX-License-Identifier: Apache-2.0
//
// Test packets, written the way they are read on the wire:
//
//   Packet().eth().vlan(10).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).payload(20).bytes()
//
// Every layer sets the type field of the one before it. Lengths are filled in by bytes(); a poke()
// after a layer then overwrites bytes of that layer, which is how malformed packets are made.
#ifndef SLUICE_TESTS_BPF_PACKET_H_
#define SLUICE_TESTS_BPF_PACKET_H_

#include <arpa/inet.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sluice::bpf_test {

using Bytes = std::vector<uint8_t>;

inline constexpr uint8_t kPortMac[6] = {0x02, 0, 0, 0, 0, 0x01};
inline constexpr uint8_t kOtherMac[6] = {0x02, 0, 0, 0, 0, 0x02};

inline Bytes address(int family, const std::string& text) {
  Bytes out(family == AF_INET ? 4 : 16);
  if (inet_pton(family, text.c_str(), out.data()) != 1) {
    throw std::invalid_argument(text);
  }
  return out;
}

class Packet {
 public:
  Packet& eth(const uint8_t (&dst)[6] = kPortMac) {
    begin();
    add(Bytes(dst, dst + 6));
    add({0x02, 0, 0, 0, 0, 0x99});
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
    add({static_cast<uint8_t>(0x45 + option_words), 0, 0, 0, 0, 1});
    add16(fragment);
    add({64, 0, 0, 0});
    type8_at(at + 9);
    add(address(AF_INET, src));
    add(address(AF_INET, dst));
    add(Bytes(4 * option_words, 1));
    at_end([at](Bytes& all) { put16(all, at + 2, all.size() - at); });
    return *this;
  }
  Packet& ipv6(const std::string& src, const std::string& dst) {
    next(0x86dd);
    const size_t at = begin();
    add({0x60, 0, 0, 0, 0, 0, 59, 64});
    type8_at(at + 6);
    add(address(AF_INET6, src));
    add(address(AF_INET6, dst));
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
    begin();
    add16(src);
    add16(dst);
    add(Bytes(8, 0));
    add({static_cast<uint8_t>((5 + option_words) << 4), 0x10, 0xff, 0xff, 0, 0, 0, 0});
    add(Bytes(4 * option_words, 1));
    return *this;
  }
  Packet& udp(uint16_t src, uint16_t dst) {
    next(17);
    const size_t at = begin();
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
  Packet& icmp(uint8_t type = 8) { return next(1), begin(), add({type, 0, 0, 0, 0, 0, 0, 0}); }
  Packet& icmp6(uint8_t type = 128) { return next(58), begin(), add({type, 0, 0, 0, 0, 0, 0, 0}); }
  // Neighbour solicitation (135) or advertisement (136).
  Packet& neighbour(uint8_t type, const std::string& target) { return icmp6(type).add(address(AF_INET6, target)); }
  Packet& proto(uint8_t number) { return next(number), begin(), *this; }

  Packet& arp(const std::string& sender, const std::string& target, uint8_t operation = 1) {
    next(0x0806);
    begin();
    add({0, 1, 8, 0, 6, 4, 0, operation});
    add(Bytes(6, 0x11)).add(address(AF_INET, sender));
    return add(Bytes(6, 0)).add(address(AF_INET, target));
  }

  Packet& payload(size_t size) { return add(Bytes(size, 0xa5)); }
  // Behind the last header, and not part of any length: Ethernet's padding.
  Packet& padding(size_t size) {
    padding_ = size;
    return *this;
  }

  // Overwrites bytes of the current layer, after the lengths have been filled in.
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

  Bytes bytes() const {
    Bytes all = bytes_;
    for (const auto& finish : finishers_) {
      finish(all);
    }
    all.insert(all.end(), padding_, 0);
    for (const auto& poke : pokes_) {
      poke(all);
    }
    return all;
  }

  static void put16(Bytes& all, size_t at, size_t value) {
    all.at(at) = static_cast<uint8_t>(value >> 8);
    all.at(at + 1) = static_cast<uint8_t>(value);
  }

 private:
  size_t begin() { return layer_ = bytes_.size(); }
  Packet& add(const Bytes& more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  Packet& add16(uint16_t value) { return add({static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)}); }
  void at_end(std::function<void(Bytes&)> finish) { finishers_.push_back(std::move(finish)); }

  // Where the next layer writes its number, and how wide that field is.
  Packet& type16() {
    type_at_ = bytes_.size();
    type_bytes_ = 2;
    return add({0x88, 0xb5});  // local experimental, should no layer follow
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
  size_t type_at_ = 0;
  int type_bytes_ = 0;
  size_t padding_ = 0;
  std::vector<std::function<void(Bytes&)>> finishers_;
  std::vector<std::function<void(Bytes&)>> pokes_;
};

}  // namespace sluice::bpf_test

#endif  // SLUICE_TESTS_BPF_PACKET_H_
