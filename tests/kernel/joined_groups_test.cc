#include "control/kernel/joined_groups.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "control/kernel/links.h"
#include "dataplane/base/unique_fd.h"
#include "gmock/gmock.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

std::string Text(const sluice_address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.addr_be, text, sizeof(text));
  return text;
}

std::vector<std::string> Texts(const std::vector<DeviceGroup>& groups) {
  std::vector<std::string> texts;
  for (const DeviceGroup& one : groups) {
    texts.push_back(one.netdev + " " + Text(one.group));
  }
  return texts;
}

TEST(JoinedGroupsText, ListsOfTheKernel) {
  EXPECT_THAT(Texts(ParseIgmp("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
                              "1\tlo        :     1      V3\n"
                              "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
                              "2\teth0.100  :     2      V3\n"
                              "\t\t\t\t120000E0     1 0:00000000\t\t0\n"
                              "\t\t\t\t010000E0     1 0:00000000\t\t0")),
              ElementsAre("lo 224.0.0.1", "eth0.100 224.0.0.18", "eth0.100 224.0.0.1"));
  EXPECT_THAT(Texts(ParseIgmp6("1    lo              ff020000000000000000000000000001     1 0000000C 0\n"
                               "2    eth0            ff0200000000000000000001ff00abcd     2 00000004 0\n")),
              ElementsAre("lo ff02::1", "eth0 ff02::1:ff00:abcd"));
}

TEST(JoinedGroupsText, OtherLinesArePassedOver) {
  EXPECT_THAT(ParseIgmp(""), IsEmpty());
  EXPECT_THAT(ParseIgmp("\t\t\t\t010000E0 1\n"), IsEmpty()) << "a group of no device";
  EXPECT_THAT(ParseIgmp("2\teth0 : 1 V3\n\t\t\t\t010000E\n\t\t\t\t0100zzE0\n\t\n"), IsEmpty());
  EXPECT_THAT(ParseIgmp6("2 eth0\n2 eth0 ff02\n2 eth0 zz020000000000000000000000000001 1\n\n"), IsEmpty());
}

class JoinedGroupsTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (!IsSkipped()) {
      MakePort("port0", "wire0", 1);
    }
  }
  static std::vector<std::string> On(const std::string& netdev) {
    const absl::StatusOr<std::vector<sluice_address>> groups = JoinedGroups(GetLink(netdev)->ifindex);
    EXPECT_OK(groups);
    std::vector<std::string> texts;
    for (const sluice_address& group : *groups) {
      texts.push_back(Text(group));
    }
    return texts;
  }
  // Joins on a device, as long as the descriptor lives.
  static UniqueFd Join(const std::string& group, const std::string& netdev) {
    UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ip_mreqn request{};
    request.imr_ifindex = GetLink(netdev)->ifindex;
    inet_pton(AF_INET, group.c_str(), &request.imr_multiaddr);
    EXPECT_EQ(setsockopt(fd.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)), 0) << strerror(errno);
    return fd;
  }
};

TEST_F(JoinedGroupsTest, AreThoseOfTheDeviceAlone) {
  Shell("sysctl -qw net.ipv6.conf.port0.disable_ipv6=1");
  Shell("ip addr add 10.7.0.2/24 dev port0");
  EXPECT_THAT(On("port0"), ElementsAre("224.0.0.1"));
  {
    const UniqueFd vrrp = Join("224.0.0.18", "port0");
    const UniqueFd elsewhere = Join("224.0.0.251", "wire0");
    EXPECT_THAT(On("port0"), ElementsAre("224.0.0.1", "224.0.0.18")) << "wire0 is the veth's other end";
  }
  EXPECT_THAT(On("port0"), ElementsAre("224.0.0.1")) << "left";
}

TEST_F(JoinedGroupsTest, AllHostsNeedsAnAddressOrAnotherGroup) {
  Shell("sysctl -qw net.ipv6.conf.port0.disable_ipv6=1");
  EXPECT_THAT(On("port0"), IsEmpty());
  const UniqueFd stream = Join("239.1.2.3", "port0");
  EXPECT_THAT(On("port0"), ElementsAre("224.0.0.1", "239.1.2.3"));
}

TEST_F(JoinedGroupsTest, Ipv6OnlyWhereItIsOn) {
  Shell("sysctl -qw net.ipv6.conf.port0.disable_ipv6=0");
  Shell("ip addr add 2001:db8::2/64 dev port0 nodad");
  EXPECT_THAT(On("port0"), Contains("ff02::1"));
  Shell("sysctl -qw net.ipv6.conf.port0.disable_ipv6=1");
  EXPECT_THAT(On("port0"), IsEmpty()) << "the kernel keeps them on its list";
}

TEST_F(JoinedGroupsTest, ThoseOfDevicesOnTop) {
  if (Output("ip link add link port0 name top type macvlan && ip link set top up && echo made || true").find("made") ==
      std::string::npos) {
    GTEST_SKIP() << "this kernel has no macvlan";
  }
  EXPECT_THAT(On("port0"), Not(Contains("224.0.0.18")));
  const UniqueFd vrrp = Join("224.0.0.18", "top");
  EXPECT_THAT(On("port0"), Contains("224.0.0.18"));
  EXPECT_THAT(On("wire0"), Not(Contains("224.0.0.18")));
}

TEST_F(JoinedGroupsTest, ADeviceThatIsGoneHasNone) {
  const int ifindex = GetLink("port0")->ifindex;
  Shell("ip link del port0");
  const absl::StatusOr<std::vector<sluice_address>> groups = JoinedGroups(ifindex);
  ASSERT_OK(groups);
  EXPECT_THAT(*groups, IsEmpty());
}

}  // namespace
}  // namespace sluice
