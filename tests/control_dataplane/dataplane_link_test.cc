// The agent's end of the socket, with a dataplane at the other end that this file plays.
#include "control/dataplane/dataplane_link.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "dataplane/base/unix_address.h"
#include "dataplane/contract/fd_channel.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

class DataplaneLinkTest : public testing::Test {
 protected:
  // A dataplane that has just started connects.
  void SetUp() override {
    absl::StatusOr<DataplaneLink> link = DataplaneLink::Listen(path_, getuid());
    ASSERT_TRUE(link.ok()) << link.status();
    link_.emplace(*std::move(link));
    peer_ = UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const absl::StatusOr<UnixAddress> address = UnixAddress::Of(path_);
    ASSERT_TRUE(address.ok() && connect(peer_.get(), address->get(), address->size_bytes()) == 0);
    dataplane::Report report;
    report.mutable_hello()->set_contract_version(dataplane::CONTRACT_VERSION_CURRENT);
    ASSERT_TRUE(SendMessage(peer_.get(), report).ok());
    ASSERT_TRUE(link_->Accept(absl::Now() + kPatience).ok());
  }
  // Returns what a call says that the dataplane answers so.
  absl::Status CallAnswered(absl::StatusCode code, const std::string& message) {
    std::thread dataplane([&] {
      dataplane::Request request;
      ASSERT_TRUE(ReceiveMessage(peer_.get(), request).ok());
      dataplane::Report report;
      report.mutable_reply()->set_id(request.id());
      report.mutable_reply()->set_code(static_cast<uint32_t>(code));
      report.mutable_reply()->set_message(message);
      ASSERT_TRUE(SendMessage(peer_.get(), report).ok());
    });
    dataplane::Reply reply;
    absl::Status s = Call(absl::Now() + kPatience, reply);
    dataplane.join();
    return s;
  }
  absl::Status Call(absl::Time deadline, dataplane::Reply& reply) {
    dataplane::Request request;
    request.mutable_settle_takeover();
    return link_->Call(request, {}, deadline, reply);
  }

  static constexpr absl::Duration kPatience = absl::Seconds(10);
  TempFolder folder_;
  const std::string path_ = folder_.path() + "/dataplane.sock";
  std::optional<DataplaneLink> link_;
  UniqueFd peer_;
};

TEST_F(DataplaneLinkTest, ReturnsWhatWasAnswered) {
  EXPECT_TRUE(CallAnswered(absl::StatusCode::kOk, "").ok());
  const absl::Status refused = CallAnswered(absl::StatusCode::kFailedPrecondition, "not configured");
  EXPECT_EQ(refused, absl::FailedPreconditionError("not configured"));
}

TEST_F(DataplaneLinkTest, AnAnswerNeverPassesForABrokenLink) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kUnavailable, absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kDataLoss}) {
    const absl::Status s = CallAnswered(code, "the function says so");
    EXPECT_EQ(s, absl::InternalError("the function says so"));
    EXPECT_FALSE(SaysLinkIsBroken(s));
  }
}

TEST_F(DataplaneLinkTest, TellsABrokenLinkFromAnAnswer) {
  dataplane::Reply reply;
  EXPECT_TRUE(SaysLinkIsBroken(Call(absl::Now() + absl::Milliseconds(20), reply))) << "no answer in time";
  dataplane::Report report;
  report.mutable_reply()->set_id(4711);
  ASSERT_TRUE(SendMessage(peer_.get(), report).ok());
  EXPECT_TRUE(SaysLinkIsBroken(Call(absl::Now() + kPatience, reply))) << "the answer to something else";
  peer_.Reset();
  EXPECT_TRUE(SaysLinkIsBroken(Call(absl::Now() + kPatience, reply))) << "gone";
}

}  // namespace
}  // namespace sluice
