#include "control/kernel/links.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

class LinksTest : public NetnsTest {};

std::vector<std::string> AsText(const std::vector<sluice_address>& addresses) {
  std::vector<std::string> texts;
  for (const sluice_address& address : addresses) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.addr_be, text, sizeof(text));
    texts.emplace_back(text);
  }
  std::sort(texts.begin(), texts.end());
  return texts;
}

TEST_F(LinksTest, VethPairHasOneQueueTheMtuAndNoAddress) {
  ASSERT_OK(CreateVeth("near0", "far0", 1504));
  for (const char* name : {"near0", "far0"}) {
    const absl::StatusOr<Link> link = GetLink(name);
    ASSERT_OK(link);
    EXPECT_EQ(link->name, name);
    EXPECT_GT(link->ifindex, 0);
    EXPECT_EQ(link->mtu_bytes, 1504u);
    EXPECT_EQ(link->rx_queues, 1u);
    EXPECT_EQ(link->tx_queues, 1u);
    EXPECT_FALSE(link->up);
    EXPECT_NE(link->mac, (std::array<uint8_t, 6>{}));
    EXPECT_OK(SetLinkUp(name, true));
    EXPECT_TRUE(GetLink(name)->up);
    EXPECT_EQ(GetLink(name)->carrier, name == std::string("far0")) << "a veth end has one when both are up";
  }
  const absl::StatusOr<std::vector<sluice_address>> addresses = LocalAddresses();
  ASSERT_OK(addresses);
  EXPECT_EQ(AsText(*addresses), std::vector<std::string>()) << "the kernel must not make an IPv6 link-local address";

  EXPECT_OK(SetLinkUp("near0", false));
  EXPECT_FALSE(GetLink("near0")->up);
  EXPECT_FALSE(GetLink("far0")->carrier);
  EXPECT_OK(DeleteLink("near0"));
  EXPECT_EQ(GetLink("far0").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(LinksTest, DeletingAMissingNetdevIsNoError) {
  EXPECT_OK(DeleteLink("nothing0"));
}

TEST_F(LinksTest, SecondPairOfTheSameNameIsRefusedAndLeavesTheFirst) {
  ASSERT_OK(CreateVeth("near0", "far0", 1500));
  const int ifindex = GetLink("near0")->ifindex;
  const absl::Status status = CreateVeth("near0", "far1", 1500);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("near0"), absl::string_view::npos) << status;
  EXPECT_EQ(GetLink("near0")->ifindex, ifindex);
}

TEST_F(LinksTest, UnknownNetdevIsNotFound) {
  for (const char* name : {"nothing0", "", "a-name-far-too-long-for-the-kernel"}) {
    EXPECT_EQ(GetLink(name).status().code(), absl::StatusCode::kNotFound) << name;
    EXPECT_EQ(SetLinkUp(name, true).code(), absl::StatusCode::kNotFound) << name;
  }
}

TEST_F(LinksTest, PromiscuousModeIsSetAndCleared) {
  MakePort("port0", "wire0", 1);
  EXPECT_FALSE(GetLink("port0")->promiscuous);
  EXPECT_OK(SetPromiscuous("port0", true));
  EXPECT_TRUE(GetLink("port0")->promiscuous);
  EXPECT_OK(SetPromiscuous("port0", false));
  EXPECT_FALSE(GetLink("port0")->promiscuous);
  EXPECT_TRUE(GetLink("port0")->up) << "other flags stay";
}

TEST_F(LinksTest, ListsAddressesOfBothFamiliesWithoutLoopbacks) {
  MakePort("d0", "d1", 1);
  Shell("ip addr add 192.0.2.1/24 dev d0");
  Shell("ip addr add 192.0.2.9/24 dev d0");
  Shell("ip addr add 198.51.100.1 peer 198.51.100.2 dev d0");
  Shell("ip -6 addr add 2001:db8::1/64 dev d0 nodad");
  Shell("ip addr add 203.0.113.7/32 dev lo");
  const absl::StatusOr<std::vector<sluice_address>> addresses = LocalAddresses();
  ASSERT_OK(addresses);
  EXPECT_EQ(AsText(*addresses),
            (std::vector<std::string>{"192.0.2.1", "192.0.2.9", "198.51.100.1", "2001:db8::1", "203.0.113.7"}));
}

TEST_F(LinksTest, AnMtuThatTheKernelRefusesIsNamed) {
  MakePort("port0", "wire0", 1);
  EXPECT_THAT(std::string(SetMtu("port0", 70000).message()),
              testing::EndsWith("; refused: an MTU of 70000 bytes, which follows the port's"));
}

}  // namespace
}  // namespace sluice
