#include "control/rules/prefix.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "control/rules/rule.h"

namespace sluice {
namespace {

// Quotes a bounded part of the text, escaped: users hand over whole files that are no lists of prefixes, and a
// terminal or a protobuf string cannot hold every byte.
std::string Quoted(const std::string& text) {
  constexpr size_t kShown = 60;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kShown)), text.size() > kShown ? "…'" : "'");
}

// Returns the bits of `byte` number `index` that lie beyond a prefix of that length.
uint8_t BitsBeyond(uint32_t prefix_bits, uint32_t index) {
  const uint32_t start = index * 8;
  return prefix_bits <= start       ? 0xff
         : prefix_bits >= start + 8 ? 0
                                    : static_cast<uint8_t>(0xff >> (prefix_bits - start));
}

constexpr uint32_t kMappedBits = 96;  // of the prefix ::ffff:0:0/96

uint32_t BitsOfFamily(uint8_t family) {
  return family == 4 ? 32 : 128;
}

bool IsIpv4Mapped(const Prefix& prefix) {
  constexpr std::array<uint8_t, kMappedBits / 8> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return prefix.family == 6 && prefix.bits >= kMappedBits &&
         std::equal(kMapped.begin(), kMapped.end(), prefix.address.begin());
}

}  // namespace

std::string ParseLoosePrefix(const std::string& text, Prefix& prefix, PrefixNotes& notes) {
  prefix = {};
  notes = {};
  const size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  // inet_pton stops at a NUL and accepts what is before it.
  const bool has_nul = text.find('\0') != std::string::npos;
  if (!has_nul && inet_pton(AF_INET, address.c_str(), prefix.address.data()) == 1) {
    prefix.family = 4;
  } else if (!has_nul && inet_pton(AF_INET6, address.c_str(), prefix.address.data()) == 1) {
    prefix.family = 6;
  } else {
    return absl::StrCat(Quoted(text), " is no IPv4 or IPv6 address or prefix, such as 10.0.0.0/8 or 2001:db8::/32");
  }
  const std::string length = slash == std::string::npos ? "" : text.substr(slash + 1);
  const uint32_t most = BitsOfFamily(prefix.family);
  const std::optional<uint32_t> bits = slash == std::string::npos ? most : ParseNumberUpTo(length, most);
  if (!bits.has_value() || (length.size() > 1 && length.front() == '0')) {
    return absl::StrCat(Quoted(text), ": the prefix length must be 0..", most);
  }
  prefix.bits = *bits;
  if (IsIpv4Mapped(prefix)) {
    notes.ipv4_mapped = true;
    std::copy_n(prefix.address.begin() + kMappedBits / 8, 4, prefix.address.begin());
    std::fill(prefix.address.begin() + 4, prefix.address.end(), 0);
    prefix.family = 4;
    prefix.bits -= kMappedBits;
  }
  for (uint32_t index = 0; index < BitsOfFamily(prefix.family) / 8; ++index) {
    const uint8_t beyond = BitsBeyond(prefix.bits, index);
    notes.host_bits |= (prefix.address[index] & beyond) != 0;
    prefix.address[index] &= static_cast<uint8_t>(~beyond);
  }
  return "";
}

std::string ParsePrefix(const std::string& text, Prefix& prefix) {
  PrefixNotes notes;
  if (std::string problem = ParseLoosePrefix(text, prefix, notes); !problem.empty()) {
    return problem;
  }
  if (notes.ipv4_mapped) {
    return absl::StrCat(Quoted(text), " is IPv4 written as IPv6, which no packet has; ", PrefixText(prefix),
                        " is allowed");
  }
  if (notes.host_bits) {
    return absl::StrCat(Quoted(text), " has bits beyond the prefix; ", PrefixText(prefix), " is allowed");
  }
  return "";
}

std::string PrefixText(const Prefix& prefix) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(prefix.family == 4 ? AF_INET : AF_INET6, prefix.address.data(), text, sizeof(text));
  return absl::StrCat(text, "/", prefix.bits);
}

bool Contains(const Prefix& outer, const Prefix& inner) {
  if (outer.family != inner.family || outer.bits > inner.bits) {
    return false;
  }
  const size_t whole = outer.bits / 8;
  const uint32_t rest = outer.bits % 8;
  return std::memcmp(outer.address.data(), inner.address.data(), whole) == 0 &&
         (rest == 0 || ((outer.address[whole] ^ inner.address[whole]) >> (8 - rest)) == 0);
}

sluice_prefix TrieKey(const Prefix& prefix, uint32_t field, uint32_t bank) {
  sluice_prefix key{};
  key.prefixlen = SLUICE_PREFIX_TABLE_BITS + prefix.bits;
  key.table = SLUICE_PREFIX_TABLE(prefix.family, field, bank);
  static_assert(sizeof(key.addr_be) == sizeof(prefix.address));
  std::memcpy(key.addr_be, prefix.address.data(), sizeof(key.addr_be));
  return key;
}

Prefix PrefixOf(const sluice_prefix& key) {
  Prefix prefix;
  prefix.family = static_cast<uint8_t>(key.table);  // its lowest byte
  prefix.bits = key.prefixlen - SLUICE_PREFIX_TABLE_BITS;
  std::memcpy(prefix.address.data(), key.addr_be, sizeof(key.addr_be));
  return prefix;
}

}  // namespace sluice
