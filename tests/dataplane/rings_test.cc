#include "dataplane/io/rings.h"

#include <gtest/gtest.h>

#include "tests/dataplane/fake_kernel.h"

namespace sluice {
namespace {

TEST(ProducerRing, TakesItsSizeAndNoMoreAcrossTheWrap) {
  FakeRing<uint64_t> kernel(32, kNearWrap);
  FillRing ring(kernel.memory());
  for (int lap = 0; lap < 3; ++lap) {
    EXPECT_EQ(ring.Room(1), 32U);
    uint32_t index = 0;
    ASSERT_EQ(ring.Reserve(32, &index), 32U);
    for (uint32_t i = 0; i < 32; ++i) {
      ring.Address(index + i) = i;
    }
    EXPECT_EQ(kernel.filled(), 0U) << "nothing is published before Submit";
    ring.Submit(32);
    EXPECT_EQ(ring.untaken(), 32U);
    EXPECT_EQ(ring.Reserve(1, &index), 0U);
    for (uint32_t i = 0; i < 32; ++i) {
      EXPECT_EQ(kernel.Get(), i);
    }
  }
}

TEST(ProducerRing, ReservesAllOrNothing) {
  FakeRing<uint64_t> kernel(8, kNearWrap);
  FillRing ring(kernel.memory());
  uint32_t index = 0;
  ASSERT_EQ(ring.Reserve(6, &index), 6U);
  EXPECT_EQ(ring.Reserve(3, &index), 0U);
  EXPECT_EQ(ring.Reserve(2, &index), 2U);
}

TEST(ProducerRing, GoesOnWhereAPredecessorStopped) {
  FakeRing<xdp_desc> kernel(8, kNearWrap);
  uint32_t index = 0;
  {
    TxRing first(kernel.memory());
    ASSERT_EQ(first.Reserve(5, &index), 5U);
    first.Submit(3);  // two entries are reserved and never published
  }
  TxRing second(kernel.memory());
  EXPECT_EQ(second.submitted(), kNearWrap + 3);
  EXPECT_EQ(second.untaken(), 3U);
  EXPECT_EQ(second.Room(8), 5U);
}

TEST(ConsumerRing, PeeksAcrossTheWrap) {
  FakeRing<xdp_desc> kernel(32, kNearWrap);
  RxRing ring(kernel.memory());
  uint32_t index = 0;
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.Peek(64, &index), 0U);
  for (uint64_t i = 0; i < 32; ++i) {
    kernel.Put({i, 60, 0});
  }
  EXPECT_TRUE(kernel.full());
  EXPECT_FALSE(ring.empty());
  ASSERT_EQ(ring.Peek(20, &index), 20U);
  EXPECT_EQ(ring.Descriptor(index + 19).addr, 19U);
  ring.Release(20);
  EXPECT_EQ(kernel.filled(), 12U);
  ASSERT_EQ(ring.Peek(64, &index), 12U);
  EXPECT_EQ(ring.Descriptor(index + 11).addr, 31U);
  ring.Release(12);
  EXPECT_TRUE(ring.empty());
}

TEST(ConsumerRing, FindsEntriesThatADeadPredecessorLeft) {
  FakeRing<xdp_desc> kernel(8, kNearWrap);
  for (uint64_t i = 0; i < 6; ++i) {
    kernel.Put({i, 60, 0});
  }
  uint32_t index = 0;
  {
    RxRing first(kernel.memory());
    ASSERT_EQ(first.Peek(4, &index), 4U);
    first.Release(2);  // two entries are peeked at and never released, so the successor finds them
  }
  RxRing second(kernel.memory());
  ASSERT_EQ(second.Peek(8, &index), 4U);
  EXPECT_EQ(second.Descriptor(index).addr, 2U);
}

}  // namespace
}  // namespace sluice
