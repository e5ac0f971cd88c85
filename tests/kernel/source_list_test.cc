#include "control/rules/source_list.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "control/kernel/xdp_attachment.h"
#include "control/rules/steering_maps.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

sluice_prefix Host(uint32_t number) {
  sluice_prefix prefix{};
  prefix.prefixlen = SLUICE_PREFIX_TABLE_BITS + 32;
  prefix.table = SLUICE_PREFIX_TABLE(4, 0, 0);
  prefix.addr_be[0] = htonl(number);
  return prefix;
}

sluice_prefix Net(uint32_t number, uint32_t bits) {
  sluice_prefix prefix = Host(number);
  prefix.prefixlen = SLUICE_PREFIX_TABLE_BITS + bits;
  return prefix;
}

class BlocklistTest : public NetnsTest {};

TEST_F(BlocklistTest, CountsDifferentPrefixes) {
  absl::StatusOr<SourceList> list = SourceList::Make({Host(1), Host(2), Host(1), Net(0x0a000000, 8)});
  ASSERT_OK(list);
  EXPECT_EQ(list->size(), 3u);
  EXPECT_EQ(*list->Add(std::vector{Host(2), Host(3), Host(0x0a000001)}), 2u);
  EXPECT_EQ(list->size(), 5u);
  EXPECT_EQ(*list->Remove(std::vector{Host(3), Host(4)}), 1u);
  EXPECT_EQ(list->size(), 4u);
}

TEST_F(BlocklistTest, NamesTheLongestPrefix) {
  absl::StatusOr<SourceList> list = SourceList::Make({Net(0x0a000000, 8), Net(0x0a010000, 16)});
  ASSERT_OK(list);
  EXPECT_EQ(*list->Covering(Host(0x0a010203)), 16u);
  EXPECT_EQ(*list->Covering(Host(0x0a020304)), 8u);
  EXPECT_EQ(list->Covering(Host(0x0b000000)).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BlocklistTest, AMillionPrefixes) {
  std::vector<sluice_prefix> prefixes;
  for (uint32_t i = 0; i < 1'000'000; ++i) {
    prefixes.push_back(Host(i * 4093));  // all different, all over the address space
  }
  absl::StatusOr<SourceList> list = SourceList::Make(prefixes);
  ASSERT_OK(list);
  EXPECT_EQ(list->size(), prefixes.size());
  EXPECT_OK(list->Covering(Host(999'999 * 4093U)));
  EXPECT_FALSE(list->Covering(Host(1)).ok());
  const absl::StatusOr<SourceList> adopted = SourceList::Adopt(UniqueFd(dup(list->fd())));
  ASSERT_OK(adopted);
  EXPECT_EQ(adopted->size(), prefixes.size());
}

TEST_F(BlocklistTest, APortHasOneOrNone) {
  MakePort("port0", "wire0", 1);
  ASSERT_OK(XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_, ModeSetting::kCopy));
  absl::StatusOr<SteeringMaps> maps = SteeringMaps::Open(pin_dir_);
  ASSERT_OK(maps);
  ASSERT_OK(maps->SetList(ListKind::kBlock, -1));
  EXPECT_FALSE(*maps->OpenList(ListKind::kBlock));
  {
    const absl::StatusOr<SourceList> list = SourceList::Make({Host(7)});
    ASSERT_OK(list);
    ASSERT_OK(maps->SetList(ListKind::kBlock, list->fd()));
  }
  absl::StatusOr<UniqueFd> kept = maps->OpenList(ListKind::kBlock);
  ASSERT_OK(kept);
  ASSERT_TRUE(*kept) << "the port's map keeps the list alive without a descriptor";
  const absl::StatusOr<SourceList> adopted = SourceList::Adopt(*std::move(kept));
  ASSERT_OK(adopted);
  EXPECT_EQ(adopted->size(), 1u);
  EXPECT_OK(adopted->Covering(Host(7)));
  ASSERT_OK(maps->SetList(ListKind::kBlock, -1));
  EXPECT_FALSE(*maps->OpenList(ListKind::kBlock));
}

}  // namespace
}  // namespace sluice
