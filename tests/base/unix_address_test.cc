#include "dataplane/base/unix_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

constexpr size_t kLongest = 107;  // unix(7): sun_path has 108 bytes, including the final zero

TEST(UnixAddress, HoldsThePath) {
  for (const std::string& path :
       {std::string("a"), std::string("/run/sluice/agent.sock"), std::string(kLongest, 'p')}) {
    const absl::StatusOr<UnixAddress> address = UnixAddress::Of(path);
    ASSERT_TRUE(address.ok()) << address.status();
    const auto* raw = reinterpret_cast<const sockaddr_un*>(address->get());
    EXPECT_EQ(raw->sun_family, AF_UNIX);
    EXPECT_EQ(std::string(raw->sun_path), path);
    EXPECT_EQ(address->size_bytes(), sizeof(sockaddr_un));
  }
}

TEST(UnixAddress, RefusesAPathThatDoesNotFit) {
  for (const std::string& path : {std::string(), std::string(kLongest + 1, 'p')}) {
    const absl::Status refused = UnixAddress::Of(path).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("'" + path + "' cannot be a socket's path"));
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("1 to 107"));
  }
}

}  // namespace
}  // namespace sluice
