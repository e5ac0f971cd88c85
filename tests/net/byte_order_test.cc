#include "dataplane/net/byte_order.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace sluice {
namespace {

TEST(ByteOrder, StandsInMemoryAsOnTheWire) {
  const be16 port(0x1234);
  const uint8_t port_bytes[] = {0x12, 0x34};
  EXPECT_EQ(std::memcmp(&port, port_bytes, sizeof(port)), 0);
  const be32 address(0x0a000102);
  const uint8_t address_bytes[] = {10, 0, 1, 2};
  EXPECT_EQ(std::memcmp(&address, address_bytes, sizeof(address)), 0);
}

TEST(ByteOrder, GoesThereAndBack) {
  for (uint32_t value = 0; value <= 0xffff; ++value) {
    const auto half = static_cast<uint16_t>(value);
    ASSERT_EQ(be16(half).host(), half);
    ASSERT_EQ(be16(half).wire(), htons(half));
    ASSERT_EQ(be16::FromWire(htons(half)), be16(half));
  }
  for (const uint32_t value : {0U, 1U, 0x01020304U, 0x80000000U, 0xffffffffU}) {
    EXPECT_EQ(be32(value).host(), value);
    EXPECT_EQ(be32(value).wire(), htonl(value));
    EXPECT_EQ(be32::FromWire(htonl(value)), be32(value));
  }
}

TEST(ByteOrder, IsReadFromAnyAddress) {
  const uint8_t bytes[] = {9, 0x12, 0x34, 0x56, 0x78};
  EXPECT_EQ(reinterpret_cast<const be16*>(bytes + 1)->host(), 0x1234);
  EXPECT_EQ(reinterpret_cast<const be32*>(bytes + 1)->host(), 0x12345678U);
}

TEST(ByteOrder, ComparesByValue) {
  EXPECT_EQ(be16(7), be16(7));
  EXPECT_NE(be16(7), be16(7 << 8));
  EXPECT_NE(be32(7), be32(8));
}

// A forgotten conversion must not compile.
static_assert(!std::is_convertible_v<uint16_t, be16> && !std::is_convertible_v<be16, uint16_t>);
static_assert(!std::is_convertible_v<be16, be32> && !std::is_convertible_v<be32, int>);

}  // namespace
}  // namespace sluice
