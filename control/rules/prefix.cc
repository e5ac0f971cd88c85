#include "control/rules/prefix.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "control/rules/number.h"

namespace sluice {

namespace {

// Of whatever somebody took for a list of prefixes: not all of a line, nor what a terminal or a message cannot hold.
std::string Quoted(const std::string& text) {
  constexpr size_t kShown = 60;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kShown)), text.size() > kShown ? "…'" : "'");
}

}  // namespace

std::string ParsePrefix(const std::string& text, Prefix& prefix) {
  prefix = {};
  const size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  // inet_pton would stop at a NUL and take what is before it.
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
  for (uint32_t byte = 0; byte < most / 8; ++byte) {
    const uint32_t ones = std::min<uint32_t>(8, prefix.bits > byte * 8 ? prefix.bits - byte * 8 : 0);
    prefix.mask[byte] = static_cast<uint8_t>(0xff << (8 - ones));
    stray_bits |= (prefix.address[byte] & ~prefix.mask[byte]) != 0;
    prefix.address[byte] &= prefix.mask[byte];
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

}  // namespace sluice
