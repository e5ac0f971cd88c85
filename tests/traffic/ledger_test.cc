#include "tests/traffic/ledger.h"

#include <gtest/gtest.h>

namespace sluice::flowgen {
namespace {

constexpr int64_t kStartNs = 1'000'000'000;
constexpr int64_t kSpacingNs = 1'000'000;

// Returns the arrival of packet `number` of a flow (0 is its first), `late_ns` after it was due.
Arrival Packet(uint64_t number, uint32_t flow = 0, int64_t late_ns = 0) {
  return {.flow = flow,
          .sequence = static_cast<uint32_t>(kFirstSequence + number),
          .receive_ns = kStartNs + static_cast<int64_t>(number) * kSpacingNs + late_ns,
          .latency_ns = late_ns,
          .spacing_ns = number == 0 ? 0 : kSpacingNs};
}

Ledger OneFlow() {
  return Ledger(1, kStartNs, 0);
}

TEST(Ledger, InOrderIsExactAcrossTheWrap) {
  Ledger ledger = OneFlow();
  constexpr uint64_t kPackets = 2000;  // sequences start 256 below 2^32
  for (uint64_t i = 0; i < kPackets; ++i) {
    ASSERT_EQ(ledger.Record(Packet(i)), ArrivalKind::kFirst) << i;
  }
  ledger.Close(0, kPackets, kStartNs + kPackets * kSpacingNs);
  EXPECT_EQ(ledger.totals().received, kPackets);
  EXPECT_EQ(ledger.totals().lost(), 0);
  EXPECT_EQ(ledger.totals().reordered, 0u);
  EXPECT_EQ(ledger.totals().duplicated, 0u);
  EXPECT_EQ(ledger.totals().longest_gap_ns, 0);
  EXPECT_EQ(ledger.missing(), 0u);
}

TEST(Ledger, ReorderedAcrossTheWrap) {
  Ledger ledger = OneFlow();
  for (uint64_t i = 0; i < 250; ++i) {
    ledger.Record(Packet(i));
  }
  EXPECT_EQ(ledger.Record(Packet(260)), ArrivalKind::kFirst)
      << "the highest so far, and the first seen behind the wrap";
  EXPECT_EQ(ledger.missing(), 10u);
  EXPECT_EQ(ledger.Record(Packet(255)), ArrivalKind::kReordered) << "the last one before the wrap";
  EXPECT_EQ(ledger.Record(Packet(256)), ArrivalKind::kReordered);
  EXPECT_EQ(ledger.missing(), 8u);
  EXPECT_EQ(ledger.totals().reordered, 2u);
  EXPECT_EQ(ledger.totals().reorder_max_distance, 6u) << "255 behind 261, which was expected next";
}

TEST(Ledger, OnePacketThatOvertakesCountsTheOvertakenOnes) {
  Ledger ledger = OneFlow();
  for (const uint64_t i : {0, 4, 1, 2, 3, 5}) {
    ledger.Record(Packet(i));
  }
  EXPECT_EQ(ledger.totals().reordered, 3u);
  EXPECT_EQ(ledger.totals().received, 6u);
  EXPECT_EQ(ledger.missing(), 0u);
}

TEST(Ledger, DuplicatesAreNotReceivedTwiceNorReordered) {
  Ledger ledger = OneFlow();
  for (const uint64_t i : {0, 1, 1, 2, 0, 3, 3, 3}) {
    ledger.Record(Packet(i));
  }
  ledger.Close(0, 4, kStartNs);
  EXPECT_EQ(ledger.totals().duplicated, 4u);
  EXPECT_EQ(ledger.totals().received, 4u);
  EXPECT_EQ(ledger.totals().reordered, 0u);
  EXPECT_EQ(ledger.totals().lost(), 0);
}

TEST(Ledger, DuplicateOfAReorderedPacket) {
  Ledger ledger = OneFlow();
  for (const uint64_t i : {0, 2, 1, 1, 2}) {
    ledger.Record(Packet(i));
  }
  EXPECT_EQ(ledger.totals().reordered, 1u);
  EXPECT_EQ(ledger.totals().duplicated, 2u);
}

TEST(Ledger, LossAtTheBeginningInTheMiddleAndAtTheEnd) {
  Ledger ledger = OneFlow();
  for (const uint64_t i : {3, 4, 7}) {
    ledger.Record(Packet(i));
  }
  EXPECT_EQ(ledger.missing(), 5u) << "0 to 2, 5 and 6; packets after 7 are not known yet";
  ledger.Close(0, 10, kStartNs + 9 * kSpacingNs);
  EXPECT_EQ(ledger.totals().lost(), 7);
  EXPECT_EQ(ledger.flow(0).sent, 10u);
}

TEST(Ledger, NothingArrived) {
  Ledger ledger = OneFlow();
  ledger.Close(0, 10, kStartNs + 9 * kSpacingNs);
  EXPECT_EQ(ledger.totals().lost(), 10);
  EXPECT_EQ(ledger.totals().longest_gap_ns, 0);
}

TEST(Ledger, FlowsAreApart) {
  Ledger ledger(3, kStartNs, 0);
  ledger.Record(Packet(0, 0));
  ledger.Record(Packet(5, 1));
  ledger.Record(Packet(0, 2));
  ledger.Record(Packet(1, 0));
  ledger.Record(Packet(4, 1));
  EXPECT_EQ(ledger.flow(0).reordered, 0u);
  EXPECT_EQ(ledger.flow(1).reordered, 1u);
  EXPECT_EQ(ledger.flow(2).received, 1u);
  EXPECT_EQ(ledger.missing(), 4u);
}

TEST(Ledger, APacketThatWasNeverSentIsImpossible) {
  Ledger ledger = OneFlow();
  EXPECT_EQ(ledger.Record(Packet(0, 1)), ArrivalKind::kImpossible) << "no such flow";
  Arrival before_the_first = Packet(0);
  before_the_first.sequence -= 1;
  EXPECT_EQ(ledger.Record(before_the_first), ArrivalKind::kImpossible);
  EXPECT_EQ(ledger.Record(Packet(uint64_t{1} << 30)), ArrivalKind::kImpossible) << "a jump of a billion";
  EXPECT_EQ(ledger.totals().impossible, 3u);
  EXPECT_EQ(ledger.totals().received, 0u);
}

TEST(Ledger, GapIsBeyondTheFlowsOwnSpacing) {
  Ledger ledger = OneFlow();
  ledger.Record(Packet(0));
  ledger.Record(Packet(1));
  ledger.Record(Packet(2, 0, 5 * kSpacingNs));  // held for five spacings
  EXPECT_EQ(ledger.totals().longest_gap_ns, 5 * kSpacingNs);
  for (uint64_t i = 3; i < 8; ++i) {  // the packets behind it come at the same time
    ledger.Record(Packet(i, 0, (7 - static_cast<int64_t>(i)) * kSpacingNs));
  }
  EXPECT_EQ(ledger.totals().longest_gap_ns, 5 * kSpacingNs);
}

TEST(Ledger, GapAcrossLostPacketsIsTheTimeTheFlowWasBlocked) {
  Ledger ledger = OneFlow();
  ledger.Record(Packet(0));
  ledger.Record(Packet(11));  // ten packets are lost
  EXPECT_EQ(ledger.totals().longest_gap_ns, 10 * kSpacingNs);
}

TEST(Ledger, APauseOfTheSenderIsNoGap) {
  Ledger ledger = OneFlow();
  ledger.Record(Packet(0));
  Arrival after_pause = Packet(1, 0, 50 * kSpacingNs);
  after_pause.spacing_ns = 51 * kSpacingNs;
  ledger.Record(after_pause);
  EXPECT_EQ(ledger.totals().longest_gap_ns, 0);
}

TEST(Ledger, FlowThatNeverComesBackWasBlockedUntilTheLastSending) {
  Ledger ledger(2, kStartNs, 0);
  ledger.Record(Packet(0, 0));
  ledger.Record(Packet(0, 1));
  ledger.Close(0, 1, kStartNs);
  ledger.Close(1, 21, kStartNs + 20 * kSpacingNs);
  EXPECT_EQ(ledger.totals().longest_gap_ns, 20 * kSpacingNs);
  EXPECT_EQ(ledger.totals().longest_gap_flow, 1u);
}

TEST(Ledger, TimelineShowsTheLatencyOfEachInterval) {
  Ledger ledger(1, kStartNs, 10 * kSpacingNs);
  const auto record = [&](uint64_t sequence, int64_t latency_ns) {
    Arrival arrival = Packet(sequence);
    arrival.latency_ns = latency_ns;
    ledger.Record(arrival);
  };
  for (uint64_t i = 0; i < 9; ++i) {
    record(i, 10);
  }
  record(9, 15);
  record(10, 5);
  ledger.Close(0, 11, kStartNs + 10 * kSpacingNs);
  ASSERT_EQ(ledger.timeline().size(), 2u);
  EXPECT_EQ(ledger.timeline()[0].latency_p50_ns, 10);
  EXPECT_EQ(ledger.timeline()[0].latency_p99_ns, 15);
  EXPECT_EQ(ledger.timeline()[0].latency_max_ns, 15);
  EXPECT_EQ(ledger.timeline()[1].latency_max_ns, 5) << "the last interval, too";
}

TEST(Ledger, TimelineShowsTheMissingPacketsAtEachIntervalsEnd) {
  Ledger ledger(1, kStartNs, 10 * kSpacingNs);
  for (uint64_t i = 0; i < 10; ++i) {
    ledger.Record(Packet(i));
  }
  // Nothing arrives in the second interval. At the end of the third, five are missing. In the fourth, two come late.
  for (uint64_t i = 25; i < 30; ++i) {
    ledger.Record(Packet(i));
  }
  ledger.Record(Packet(24, 0, 7 * kSpacingNs));
  ledger.Record(Packet(23, 0, 9 * kSpacingNs));
  ASSERT_EQ(ledger.timeline().size(), 4u);
  EXPECT_EQ(ledger.timeline()[0].received, 10u);
  EXPECT_EQ(ledger.timeline()[1].received, 0u);
  EXPECT_EQ(ledger.timeline()[1].missing, 0u);
  EXPECT_EQ(ledger.timeline()[2].received, 5u);
  EXPECT_EQ(ledger.timeline()[2].missing, 15u);
  EXPECT_EQ(ledger.timeline()[2].longest_gap_ns, 15 * kSpacingNs);
  EXPECT_EQ(ledger.timeline()[3].received, 2u);
  EXPECT_EQ(ledger.timeline()[3].missing, 13u);
}

}  // namespace
}  // namespace sluice::flowgen
