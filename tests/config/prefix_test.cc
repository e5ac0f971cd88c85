#include "control/rules/prefix.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice {
namespace {

Prefix Parsed(const std::string& text) {
  Prefix prefix;
  EXPECT_EQ(ParsePrefix(text, prefix), "");
  return prefix;
}

TEST(PrefixTest, TextReadsBackAtEveryLength) {
  for (const char* address : {"0.0.0.0", "::"}) {
    const uint32_t most = std::string(address) == "::" ? 128 : 32;
    for (uint32_t bits = 0; bits <= most; ++bits) {
      const Prefix prefix = Parsed(std::string(address) + "/" + std::to_string(bits));
      EXPECT_EQ(prefix.bits, bits);
      EXPECT_EQ(Parsed(PrefixText(prefix)), prefix);
    }
  }
}

// The last bit of a prefix may be set, the bit behind it may not.
TEST(PrefixTest, StrayBitsAreFoundAtEveryLength) {
  for (uint32_t bits = 1; bits <= 128; ++bits) {
    Prefix last{6, 128, {}};
    last.address[(bits - 1) / 8] = static_cast<uint8_t>(0x80 >> ((bits - 1) % 8));
    const std::string address = PrefixText(last).substr(0, PrefixText(last).find('/'));
    Prefix prefix;
    EXPECT_EQ(ParsePrefix(address + "/" + std::to_string(bits), prefix), "") << bits;
    EXPECT_NE(ParsePrefix(address + "/" + std::to_string(bits - 1), prefix), "") << bits;
  }
}

TEST(PrefixTest, Ipv4WrittenAsIpv6IsNoPrefixOfPackets) {
  Prefix prefix;
  EXPECT_EQ(ParsePrefix("::ffff:192.0.2.0/120", prefix),
            "'::ffff:192.0.2.0/120' is IPv4 written as IPv6, which no packet has; 192.0.2.0/24 is allowed");
  EXPECT_EQ(PrefixText(Parsed("::/64")), "::/64");
  PrefixNotes notes;
  EXPECT_EQ(ParseLoosePrefix("::ffff:10.1.2.3/104", prefix, notes), "");
  EXPECT_EQ(PrefixText(prefix), "10.0.0.0/8");
  EXPECT_TRUE(notes.host_bits && notes.ipv4_mapped);
}

TEST(PrefixTest, ContainsItselfAndLongerOnes) {
  EXPECT_TRUE(Contains(Parsed("10.0.0.0/8"), Parsed("10.0.0.0/8")));
  EXPECT_TRUE(Contains(Parsed("10.0.0.0/9"), Parsed("10.127.1.2")));
  EXPECT_FALSE(Contains(Parsed("10.0.0.0/9"), Parsed("10.128.0.0/9")));
  EXPECT_FALSE(Contains(Parsed("10.0.0.0/9"), Parsed("10.0.0.0/8")));
  EXPECT_TRUE(Contains(Parsed("::/0"), Parsed("2001:db8::1")));
  EXPECT_TRUE(Contains(Parsed("2001:db8::1"), Parsed("2001:db8::1")));
  EXPECT_FALSE(Contains(Parsed("2001:db8::1"), Parsed("2001:db8::2")));
  EXPECT_FALSE(Contains(Parsed("::/0"), Parsed("10.0.0.1")));
}

TEST(PrefixTest, TrieKeysOfFamiliesFieldsAndBanksDiffer) {
  std::set<uint32_t> tables;
  for (const char* text : {"0.0.0.0/0", "::/0"}) {
    for (const uint32_t field : {SLUICE_FIELD_SRC, SLUICE_FIELD_DST}) {
      for (uint32_t bank = 0; bank < SLUICE_RULE_BANKS; ++bank) {
        const sluice_prefix key = TrieKey(Parsed(text), field, bank);
        EXPECT_EQ(key.prefixlen, uint32_t{SLUICE_PREFIX_TABLE_BITS});
        EXPECT_TRUE(tables.insert(key.table).second);
      }
    }
  }
  EXPECT_EQ(TrieKey(Parsed("10.0.0.0/8"), 0, 0).prefixlen, uint32_t{SLUICE_PREFIX_TABLE_BITS + 8});
}

}  // namespace
}  // namespace sluice
