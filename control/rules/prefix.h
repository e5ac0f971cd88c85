// Address prefixes: parsing, printing, comparing, and their form as a key of the BPF tries. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_PREFIX_H_
#define SLUICE_CONTROL_RULES_PREFIX_H_

#include <array>
#include <cstdint>
#include <string>
#include <tuple>

#include "bpf/sluice_abi.h"

namespace sluice {

struct Prefix {
  uint8_t family = 0;                 // 4 or 6
  uint32_t bits = 0;                  // length
  std::array<uint8_t, 16> address{};  // network order, zero beyond `bits`; IPv4 uses the first four bytes

  bool operator==(const Prefix&) const = default;
  bool operator<(const Prefix& other) const {
    return std::tie(family, bits, address) < std::tie(other.family, other.bits, other.address);
  }
};

// Reads "10.0.0.0/8" or "2001:db8::1". Returns the problem and what is allowed, or "" when there is none.
std::string ParsePrefix(const std::string& text, Prefix& prefix);

// The same for lists from elsewhere: the prefix is put right where its meaning is plain, and `notes` tells how. An IPv4
// address written as IPv6 ("::ffff:192.0.2.1", RFC 4291 section 2.5.5.2) becomes IPv4: no packet has the former.
struct PrefixNotes {
  bool host_bits = false;  // the address had bits beyond the prefix
  bool ipv4_mapped = false;
};
std::string ParseLoosePrefix(const std::string& text, Prefix& prefix, PrefixNotes& notes);

// Returns "10.0.0.0/8".
std::string PrefixText(const Prefix& prefix);

// True when every address of `inner` is one of `outer`.
bool Contains(const Prefix& outer, const Prefix& inner);

// Returns the key under which a trie holds the prefix. `field`: SLUICE_FIELD_SRC or _DST in the rules' trie of that
// bank; 0 and bank 0 in the blocklist.
sluice_prefix TrieKey(const Prefix& prefix, uint32_t field, uint32_t bank);
// Returns the prefix of such a key.
Prefix PrefixOf(const sluice_prefix& key);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_PREFIX_H_
