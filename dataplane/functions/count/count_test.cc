#include "dataplane/functions/count/count.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/functions/count/descriptor.h"
#include "tests/dataplane/test_lane_context.h"
#include "tests/lib/packet.h"

namespace sluice::functions::count {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// State memory, as the agent keeps it while dataplanes come and go.
class Memory {
 public:
  explicit Memory(uint64_t sources)
      : bytes_(SourceTable::BytesFor(sources)),
        start_(static_cast<std::byte*>(std::aligned_alloc(64, bytes_)), &std::free) {
    std::fill_n(start_.get(), bytes_, std::byte{0});
  }
  std::span<std::byte> span() const { return {start_.get(), bytes_}; }

 private:
  size_t bytes_;
  std::unique_ptr<std::byte, void (*)(void*)> start_;
};

// An IPv4 packet of that source, `length` bytes long.
Bytes PacketFrom(uint32_t source, uint32_t length = 64) {
  constexpr uint32_t kHeaderBytes = 42;
  const std::string address =
      absl::StrCat(source >> 24, ".", source >> 16 & 0xff, ".", source >> 8 & 0xff, ".", source & 0xff);
  return Packet().eth().ipv4(address, "198.51.100.1").udp(1, 2).payload(length - kHeaderBytes).bytes();
}

class CountTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(Begin({{"sources", "1024"}}, /*adopted=*/false).ok()); }

  absl::Status Begin(const SettingTexts& settings, bool adopted) {
    settings_ = *Settings::Read(kDescriptor.settings, settings);
    count_ = std::make_unique<Count>();
    return count_->Start(settings_, {memory_.span(), adopted});
  }
  void Receive(Bytes packet, uint8_t port = 0) {
    Burst burst{};
    burst.count = 1;
    burst.frames[0] = {packet.data(), 0, static_cast<uint32_t>(packet.size()), port, Verdict()};
    burst.ParseHeaders();
    count_->Process(lane_, burst);
    EXPECT_EQ(burst.frames[0].verdict, Verdict::Transmit(1U - port));
  }
  absl::StatusOr<Page> Ask(const SettingTexts& arguments, const std::string& cursor = "", uint32_t rows = 256) {
    const CommandSpec& command = kDescriptor.commands[0];
    return count_->Query({&command, *Settings::Read(command.arguments, arguments), cursor, rows});
  }
  // Source -> packets, bytes; of all pages.
  std::map<std::string, std::pair<uint64_t, uint64_t>> All(uint32_t rows = 256) {
    std::map<std::string, std::pair<uint64_t, uint64_t>> all;
    std::string cursor;
    do {
      const absl::StatusOr<Page> page = Ask({}, cursor, rows);
      EXPECT_TRUE(page.ok()) << page.status();
      EXPECT_LE(page->rows.size(), rows);
      for (const std::vector<Page::Value>& row : page->rows) {
        auto& [packets, bytes] = all[std::get<std::string>(row[0])];
        packets += std::get<uint64_t>(row[1]);
        bytes += std::get<uint64_t>(row[2]);
      }
      cursor = page->next_cursor;
    } while (!cursor.empty());
    return all;
  }
  // Has the lane expire everything that is due at that time.
  void ExpireAll(int64_t now_ns) {
    lane_.SetNow(now_ns);
    for (uint32_t looked = 0; looked < 1024; looked += 64) {
      count_->Expire(lane_, 64);
    }
  }

  Memory memory_{1024};
  Settings settings_;
  std::unique_ptr<Count> count_;
  TestLaneContext lane_;
};

using Totals = std::pair<uint64_t, uint64_t>;

TEST_F(CountTest, CountsPacketsAndBytesBySource) {
  Receive(PacketFrom(0x0a000001, 64));
  Receive(PacketFrom(0x0a000001, 100), 1);
  Receive(PacketFrom(0x0a000002, 1514));
  EXPECT_EQ(All(), (std::map<std::string, Totals>{{"10.0.0.1", {2, 164}}, {"10.0.0.2", {1, 1514}}}));
  EXPECT_EQ(lane_.counter(kCreated).Get(), 2U);
}

TEST_F(CountTest, CountsIpv6AndTellsItFromIpv4) {
  const Bytes packet = Packet().eth().ipv6("a00:1::", "2001:db8::1").payload(8).bytes();  // the words of 10.0.0.1
  Receive(packet);
  Receive(PacketFrom(0x0a000001));
  EXPECT_EQ(All(), (std::map<std::string, Totals>{{"a00:1::", {1, 62}}, {"10.0.0.1", {1, 64}}}));
}

TEST_F(CountTest, PassesWhatItCannotCount) {
  Receive(Bytes(10));
  Receive(Bytes(60));
  EXPECT_TRUE(All().empty());
}

TEST_F(CountTest, AFullTableLosesNoPacketAndNoCountOfOthers) {
  constexpr uint32_t kMany = 5000;
  for (uint32_t source = 0; source < kMany; ++source) {
    Receive(PacketFrom(source));
  }
  const auto all = All(100);
  EXPECT_GT(all.size(), 900U) << "of 1024";
  EXPECT_EQ(all.size() + lane_.counter(kUncounted).Get(), kMany);
  for (const auto& [source, totals] : all) {
    EXPECT_EQ(totals, Totals(1, 64)) << source;
  }
}

TEST_F(CountTest, TopIsTheLargestByBytesInOrder) {
  for (uint32_t source = 1; source <= 50; ++source) {
    for (uint32_t packet = 0; packet < source; ++packet) {
      Receive(PacketFrom(source));
    }
  }
  const absl::StatusOr<Page> page = Ask({{"top", "3"}});
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->rows.size(), 3U);
  EXPECT_EQ(std::get<std::string>(page->rows[0][0]), "0.0.0.50");
  EXPECT_EQ(std::get<std::string>(page->rows[2][0]), "0.0.0.48");
  EXPECT_EQ(std::get<uint64_t>(page->rows[1][2]), 49U * 64);
  EXPECT_TRUE(page->next_cursor.empty());
  EXPECT_EQ(Ask({{"top", "200"}})->rows.size(), 50U) << "no more than there are";
}

TEST_F(CountTest, APageLooksAtABoundedPartOfTheTable) {
  constexpr uint64_t kSourcesAtMost = 1U << 18;
  Memory large(kSourcesAtMost);
  count_ = std::make_unique<Count>();
  ASSERT_TRUE(count_
                  ->Start(*Settings::Read(kDescriptor.settings, {{"sources", absl::StrCat(kSourcesAtMost)}}),
                          {large.span(), /*adopted=*/false})
                  .ok());
  for (uint32_t source = 1; source <= 3; ++source) {
    Receive(PacketFrom(source));
  }
  uint32_t pages = 0;
  uint32_t rows = 0;
  std::string cursor;
  do {
    const absl::StatusOr<Page> page = Ask({}, cursor);
    ASSERT_TRUE(page.ok()) << page.status();
    rows += page->rows.size();
    cursor = page->next_cursor;
    ++pages;
  } while (!cursor.empty());
  EXPECT_EQ(pages, 4U);
  EXPECT_EQ(rows, 3U) << "an empty page is not the end";
}

TEST_F(CountTest, AForeignCursorIsRefused) {
  for (const char* cursor : {"x", "-1", "1024", "99999999999999999999"}) {
    EXPECT_EQ(Ask({}, cursor).status().code(), absl::StatusCode::kInvalidArgument) << cursor;
  }
}

TEST_F(CountTest, AnIdleSourceIsForgottenAfterTheGrace) {
  lane_.SetNow(kSecond);
  Receive(PacketFrom(1));
  const int64_t idle = 300 * kSecond;
  ExpireAll(kSecond + idle - 1);
  ExpireAll(kSecond + idle - 1 + SourceTable::kGraceNs);
  EXPECT_EQ(All().size(), 1U) << "leaving";
  ExpireAll(kSecond + idle + 2 * SourceTable::kGraceNs);
  EXPECT_TRUE(All().empty());
  EXPECT_EQ(lane_.counter(kExpired).Get(), 1U);
}

TEST_F(CountTest, ASourceThatComesBackWhileItLeavesKeepsItsCounts) {
  lane_.SetNow(kSecond);
  Receive(PacketFrom(1));
  ExpireAll(301 * kSecond);
  Receive(PacketFrom(1));
  ExpireAll(303 * kSecond);
  EXPECT_EQ(All(), (std::map<std::string, Totals>{{"0.0.0.1", {2, 128}}}));
}

TEST_F(CountTest, TheIdleTimeChangesWhileItRuns) {
  lane_.SetNow(kSecond);
  Receive(PacketFrom(1));
  ASSERT_TRUE(count_->Apply(*Settings::Read(kDescriptor.settings, {{"sources", "1024"}, {"idle", "10s"}})).ok());
  ExpireAll(12 * kSecond);
  ExpireAll(14 * kSecond);
  EXPECT_TRUE(All().empty());
}

TEST_F(CountTest, ExpiryComesAroundFourTimesInTheIdleTime) {
  lane_.SetNow(kSecond);
  int64_t now = kSecond;
  for (uint32_t looked = 0; looked < 1024; looked += 64) {
    lane_.SetNow(now);
    now = count_->Expire(lane_, 64);
  }
  EXPECT_LE(now - kSecond, 75 * kSecond);
  EXPECT_GT(now - kSecond, 60 * kSecond);
}

TEST_F(CountTest, ASuccessorGoesOnWithTheCounts) {
  Receive(PacketFrom(1));
  Receive(PacketFrom(2));
  ASSERT_TRUE(Begin({{"sources", "1024"}}, /*adopted=*/true).ok());
  Receive(PacketFrom(1));
  EXPECT_EQ(All(), (std::map<std::string, Totals>{{"0.0.0.1", {2, 128}}, {"0.0.0.2", {1, 64}}}));
}

TEST_F(CountTest, AnEntryThatADeadProcessWasWritingIsFreeAgain) {
  for (uint32_t source = 0; source < 1000; ++source) {
    Receive(PacketFrom(source));
  }
  const size_t before = All().size();
  auto* entries = reinterpret_cast<SourceEntry*>(memory_.span().data() + 64);
  const auto live = std::find_if(entries, entries + 1024, [](const SourceEntry& entry) { return entry.state == 2; });
  live->state = 1;  // CLAIMED
  ASSERT_TRUE(Begin({{"sources", "1024"}}, /*adopted=*/true).ok());
  EXPECT_EQ(All().size(), before - 1);
  EXPECT_EQ(live->state, 0U);
}

TEST_F(CountTest, MemoryThatHoldsAnotherTableIsRefused) {
  memory_.span()[0] ^= std::byte{1};
  EXPECT_EQ(Begin({{"sources", "1024"}}, /*adopted=*/true).code(), absl::StatusCode::kFailedPrecondition);
  memory_.span()[0] ^= std::byte{1};
  Memory smaller(512);
  std::copy_n(memory_.span().begin(), smaller.span().size(), smaller.span().begin());
  EXPECT_EQ(Count().Start(settings_, {smaller.span(), true}).code(), absl::StatusCode::kFailedPrecondition);
}

// Lanes that count the same and different sources at once: nothing is counted twice or not at all.
TEST_F(CountTest, LanesCountAtTheSameTime) {
  constexpr uint32_t kPackets = 20'000;
  constexpr uint32_t kSourcesSeen = 37;
  std::vector<std::thread> lanes;
  for (uint32_t lane = 0; lane < 4; ++lane) {
    lanes.emplace_back([this] {
      TestLaneContext context;
      std::vector<Bytes> packets;
      for (uint32_t source = 0; source < kSourcesSeen; ++source) {
        packets.push_back(PacketFrom(source));
      }
      for (uint32_t i = 0; i < kPackets; ++i) {
        Bytes& packet = packets[i % kSourcesSeen];
        Burst burst{};
        burst.count = 1;
        burst.frames[0] = {packet.data(), 0, static_cast<uint32_t>(packet.size()), 0, Verdict()};
        burst.ParseHeaders();
        count_->Process(context, burst);
      }
    });
  }
  for (std::thread& lane : lanes) {
    lane.join();
  }
  const auto all = All();
  uint64_t sum = 0;
  for (const auto& [source, totals] : all) {
    sum += totals.first;
  }
  EXPECT_EQ(all.size(), kSourcesSeen);
  EXPECT_EQ(sum, 4U * kPackets);
}

}  // namespace
}  // namespace sluice::functions::count
