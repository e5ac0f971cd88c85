// The user as which the dataplane may run (dataplane_process.h).
#include <gmock/gmock.h>

#include <string>

#include "control/dataplane/dataplane_process.h"

namespace sluice {
namespace {

using testing::HasSubstr;

TEST(DataplaneUser, IsFoundByNameOrNumber) {
  const absl::StatusOr<UserIds> daemon = DataplaneUser("daemon");
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  EXPECT_EQ(daemon->uid, 1U);
  const absl::StatusOr<UserIds> number = DataplaneUser("2000000001");
  ASSERT_TRUE(number.ok()) << number.status();
  EXPECT_EQ(number->uid, 2000000001U);
  EXPECT_EQ(number->gid, 2000000001U);
}

TEST(DataplaneUser, AMissingOneComesWithTheCommandThatMakesIt) {
  const absl::Status missing = DataplaneUser("no-such-user").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(missing));
  EXPECT_THAT(std::string(missing.message()), HasSubstr("useradd --system"));
  EXPECT_THAT(std::string(missing.message()), HasSubstr(" no-such-user"));
  EXPECT_FALSE(DataplaneUser("").ok());
  EXPECT_FALSE(DataplaneUser("4294967295").ok()) << "setresuid() takes it for: leave as it is";
  EXPECT_FALSE(DataplaneUser("99999999999").ok());
}

TEST(DataplaneUser, NeitherRootNorNobody) {
  for (const char* name : {"root", "0", "nobody", "65534"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DataplaneUser(name).status())) << name;
  }
}

}  // namespace
}  // namespace sluice
