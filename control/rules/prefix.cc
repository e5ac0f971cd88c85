#include "control/rules/prefix.h"

#include <arpa/inet.h>

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

}  // namespace

std::string ParsePrefix(const std::string& text, Prefix& prefix) {
  prefix = {};
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
  const uint32_t most = prefix.family == 4 ? 32 : 128;
  const std::optional<uint32_t> bits =
      slash == std::string::npos ? most : ParseNumberUpTo(text.substr(slash + 1), most);
  if (!bits.has_value()) {
    return absl::StrCat(Quoted(text), ": the prefix length must be 0..", most);
  }
  prefix.bits = *bits;
  bool stray_bits = false;
  for (uint32_t index = 0; index < most / 8; ++index) {
    const uint8_t beyond = BitsBeyond(prefix.bits, index);
    stray_bits |= (prefix.address[index] & beyond) != 0;
    prefix.address[index] &= static_cast<uint8_t>(~beyond);
  }
  if (stray_bits) {
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

}  // namespace sluice
