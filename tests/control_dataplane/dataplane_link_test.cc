// DataplaneLink on a real socket. The test is the dataplane at the other end too, so the peer is its own process. A
// test of Drop has a child for that, since Drop kills.
#include "control/dataplane/dataplane_link.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/kernel/thread_state.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unix_address.h"
#include "dataplane/contract/fd_channel.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr auto kWorks = [] { return absl::OkStatus(); };

const auto kNever = [] { return false; };

UniqueFd Memory() {
  return UniqueFd(memfd_create("dataplane_link_test", MFD_CLOEXEC));
}

// Tells whether two descriptors are of one file.
bool AreSame(const UniqueFd& a, const UniqueFd& b) {
  struct stat one {};
  struct stat other {};
  return fstat(a.get(), &one) == 0 && fstat(b.get(), &other) == 0 && one.st_ino == other.st_ino;
}

// The greeting of a dataplane with one port.
dataplane::Report HelloOf(bool configured, uint32_t held_lanes = 0) {
  dataplane::Report report;
  dataplane::Hello& hello = *report.mutable_hello();
  hello.set_contract_version(dataplane::CONTRACT_VERSION_CURRENT);
  hello.set_configured(configured);
  hello.set_held_lanes(held_lanes);
  if (configured) {
    hello.mutable_configuration()->add_ports()->set_name("wan");
  }
  return report;
}

dataplane::Report HeldLaneOf(uint32_t index) {
  dataplane::Report report;
  dataplane::LaneSpec& lane = *report.mutable_held_lane()->mutable_lane();
  lane.set_index(index);
  lane.set_kind(dataplane::LANE_KIND_PAIR);
  lane.set_frame_count(64);
  lane.set_frame_size_bytes(2048);
  dataplane::LaneSocket& socket = *lane.add_sockets();
  socket.set_xskmap_key(index);
  socket.set_fill_size(64);
  socket.set_completion_size(64);
  socket.set_rx_size(64);
  socket.set_tx_size(64);
  report.mutable_held_lane()->set_worker(index + 10);
  return report;
}

class DataplaneLinkTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<DataplaneLink> link = DataplaneLink::Listen(path(), getuid());
    ASSERT_TRUE(link.ok()) << link.status();
    link_.emplace(*std::move(link));
  }

  std::string path() const { return folder_.path() + "/dataplane.sock"; }

  // Connects as a dataplane does.
  UniqueFd Connect() const {
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const absl::StatusOr<UnixAddress> address = UnixAddress::Of(path());
    EXPECT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(connect(socket.get(), address->get(), address->size_bytes()), 0);
    return socket;
  }
  static void Send(const UniqueFd& socket, const dataplane::Report& report, const std::vector<int>& fds = {}) {
    EXPECT_EQ(SendMessage(socket.get(), report, fds), absl::OkStatus());
  }
  // Connects and sends a greeting without lanes.
  UniqueFd ConnectAndGreet() const {
    UniqueFd socket = Connect();
    Send(socket, HelloOf(false));
    return socket;
  }

  absl::StatusOr<Greeting> Accept(absl::Duration patience = kPatience) {
    return link_->Accept(SteadyTime::Now() + patience);
  }
  // Expects a greeting to be refused, and the next dataplane to be taken.
  void ExpectRefused(absl::StatusCode code, const std::string& words, absl::Duration patience = kPatience) {
    const absl::Status refused = Accept(patience).status();
    EXPECT_EQ(refused.code(), code) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(words));
    EXPECT_FALSE(link_->connected());
    const UniqueFd next = ConnectAndGreet();
    EXPECT_EQ(Accept().status(), absl::OkStatus());
    EXPECT_TRUE(link_->connected());
  }

  static pid_t StartProcess(const std::function<void()>& run) {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      run();
    }
    return child;
  }
  // Starts a process that connects, greets, and waits to be killed.
  pid_t StartDataplane() const {
    return StartProcess([this] {
      const UniqueFd socket = ConnectAndGreet();
      while (true) {
        pause();
      }
    });
  }

  static DataplaneLink::Survivor Survivor(pid_t pid) { return {pid, ReadThreadState(pid, pid)->started}; }
  // Starts a process that neither connects nor ends.
  static pid_t StartSilentProcess() {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (true) {
        pause();
      }
    }
    return child;
  }
  static bool HasEnded(pid_t child) { return waitpid(child, nullptr, WNOHANG) == child; }

  const TempFolder folder_;
  std::optional<DataplaneLink> link_;
};

TEST_F(DataplaneLinkTest, ANewDataplaneHasNothingToGive) {
  EXPECT_FALSE(link_->connected());
  EXPECT_EQ(link_->connection_fd(), -1);
  const UniqueFd socket = ConnectAndGreet();
  const absl::StatusOr<Greeting> greeting = Accept();
  ASSERT_TRUE(greeting.ok()) << greeting.status();
  EXPECT_FALSE(greeting->hello.configured());
  EXPECT_FALSE(greeting->stats);
  EXPECT_FALSE(greeting->state);
  EXPECT_TRUE(greeting->lanes.empty());
  EXPECT_TRUE(link_->connected());
  EXPECT_EQ(link_->pid(), getpid());
}

TEST_F(DataplaneLinkTest, ASurvivorGivesItsMemoriesAndLanes) {
  const UniqueFd stats = Memory(), state = Memory(), umem = Memory(), socket_0 = Memory(), map_0 = Memory();
  const UniqueFd socket = Connect();
  Send(socket, HelloOf(true, 2), {stats.get(), state.get()});
  Send(socket, HeldLaneOf(0), {umem.get(), socket_0.get(), map_0.get()});
  Send(socket, HeldLaneOf(3), {umem.get(), socket_0.get(), map_0.get()});
  const absl::StatusOr<Greeting> greeting = Accept();
  ASSERT_TRUE(greeting.ok()) << greeting.status();
  EXPECT_TRUE(AreSame(greeting->stats, stats));
  EXPECT_TRUE(AreSame(greeting->state, state));
  ASSERT_EQ(greeting->lanes.size(), 2U);
  EXPECT_EQ(greeting->lanes[0].spec.index(), 0U);
  EXPECT_EQ(greeting->lanes[0].worker, 10U);
  ASSERT_EQ(greeting->lanes[0].fds.size(), 3U);
  EXPECT_TRUE(AreSame(greeting->lanes[0].fds[0], umem));
  EXPECT_TRUE(AreSame(greeting->lanes[0].fds[1], socket_0));
  EXPECT_TRUE(AreSame(greeting->lanes[0].fds[2], map_0));
  EXPECT_EQ(greeting->lanes[1].spec.index(), 3U);
  EXPECT_EQ(greeting->lanes[1].worker, 13U);
  EXPECT_EQ(greeting->lanes[1].fds.size(), 3U);
}

TEST_F(DataplaneLinkTest, AFunctionNeedsNoStateMemory) {
  const UniqueFd stats = Memory();
  const UniqueFd socket = Connect();
  Send(socket, HelloOf(true), {stats.get()});
  const absl::StatusOr<Greeting> greeting = Accept();
  ASSERT_TRUE(greeting.ok()) << greeting.status();
  EXPECT_TRUE(AreSame(greeting->stats, stats));
  EXPECT_FALSE(greeting->state);
}

TEST_F(DataplaneLinkTest, NobodyConnects) {
  ExpectRefused(absl::StatusCode::kDeadlineExceeded, "no dataplane connected", absl::Milliseconds(1));
}

TEST_F(DataplaneLinkTest, ADataplaneThatSaysNothingIsSentAwayInTheEnd) {
  const UniqueFd socket = Connect();
  ExpectRefused(absl::StatusCode::kDeadlineExceeded, "does not greet");
}

TEST_F(DataplaneLinkTest, SilentOnesHoldUpNobody) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 12; ++i) {
    silent.push_back(Connect());
  }
  const SteadyTime begin = SteadyTime::Now();
  const absl::StatusOr<std::optional<Greeting>> none = link_->TakeIn();
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->has_value());
  const UniqueFd socket = ConnectAndGreet();
  const absl::StatusOr<std::optional<Greeting>> greeting = link_->TakeIn();
  EXPECT_LT(SteadyTime::Now() - begin, DataplaneLink::kGreetingBound) << "it waits for nobody";
  ASSERT_TRUE(greeting.ok()) << greeting.status();
  EXPECT_TRUE(greeting->has_value());
  EXPECT_TRUE(link_->connected());
  char byte;
  EXPECT_LE(recv(silent.front().get(), &byte, 1, 0), 0) << "it was sent away";
}

TEST_F(DataplaneLinkTest, ADataplaneThatGoesBeforeItGreets) {
  Connect().Reset();
  ExpectRefused(absl::StatusCode::kUnavailable, "");
}

TEST_F(DataplaneLinkTest, AGreetingBeginsWithHello) {
  const UniqueFd socket = Connect();
  Send(socket, HeldLaneOf(0));
  ExpectRefused(absl::StatusCode::kDataLoss, "Hello");
}

TEST_F(DataplaneLinkTest, AnotherVersionIsRefusedWithBothNumbersAndThePid) {
  const UniqueFd socket = Connect();
  dataplane::Report report = HelloOf(false);
  report.mutable_hello()->set_contract_version(dataplane::CONTRACT_VERSION_CURRENT + 1);
  Send(socket, report);
  ExpectRefused(absl::StatusCode::kFailedPrecondition,
                absl::StrCat("version ", dataplane::CONTRACT_VERSION_CURRENT + 1, ", the agent ",
                             static_cast<int>(dataplane::CONTRACT_VERSION_CURRENT), " (pid ", getpid(), ")"));
}

TEST_F(DataplaneLinkTest, AConfiguredDataplaneHasAStatsSegment) {
  const UniqueFd socket = Connect();
  Send(socket, HelloOf(true));
  ExpectRefused(absl::StatusCode::kDataLoss, "came with 0 descriptors");
}

TEST_F(DataplaneLinkTest, AConfiguredDataplaneHasTwoMemoriesAtMost) {
  const UniqueFd memory = Memory();
  const UniqueFd socket = Connect();
  Send(socket, HelloOf(true), {memory.get(), memory.get(), memory.get()});
  ExpectRefused(absl::StatusCode::kDataLoss, "came with 3 descriptors");
}

TEST_F(DataplaneLinkTest, ALaneComesWithTheDescriptorsOfItsSockets) {
  const UniqueFd memory = Memory();
  const UniqueFd socket = Connect();
  Send(socket, HelloOf(true, 1), {memory.get()});
  Send(socket, HeldLaneOf(0), {memory.get(), memory.get()});
  ExpectRefused(absl::StatusCode::kDataLoss, "lane 0 came with 2 descriptors");
}

TEST_F(DataplaneLinkTest, APromisedLaneComes) {
  const UniqueFd memory = Memory();
  const UniqueFd socket = Connect();
  Send(socket, HelloOf(true, 1), {memory.get()});
  ExpectRefused(absl::StatusCode::kDeadlineExceeded, "does not greet");
}

TEST_F(DataplaneLinkTest, AnotherUsersProcessIsNotRead) {
  constexpr uid_t kOther = 2000000001;
  const std::string other = folder_.path() + "/other.sock";
  const absl::StatusOr<DataplaneLink> link = DataplaneLink::Listen(path(), kOther);
  EXPECT_TRUE(absl::IsAlreadyExists(link.status())) << "a socket in use is not taken away";
  if (getuid() != 0) {
    GTEST_SKIP() << "needs root, to give the socket to another user";
  }
  absl::StatusOr<DataplaneLink> of_other = DataplaneLink::Listen(other, kOther);
  ASSERT_TRUE(of_other.ok()) << of_other.status();
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const absl::StatusOr<UnixAddress> address = UnixAddress::Of(other);
  ASSERT_EQ(connect(socket.get(), address->get(), address->size_bytes()), 0);
  Send(socket, HelloOf(false));
  EXPECT_EQ(of_other->Accept(SteadyTime::Now() + kPatience).status().code(), absl::StatusCode::kPermissionDenied)
      << "root is no dataplane, either";
  EXPECT_FALSE(of_other->connected());
  of_other->EndRefused();  // does not end this process
}

TEST_F(DataplaneLinkTest, ASecondDataplaneIsSentAway) {
  const UniqueFd first = ConnectAndGreet();
  ASSERT_TRUE(Accept().ok());
  const int connection = link_->connection_fd();
  const UniqueFd second = ConnectAndGreet();
  EXPECT_EQ(Accept().status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(link_->connection_fd(), connection);
  char byte;
  EXPECT_LE(recv(second.get(), &byte, 1, 0), 0) << "the second one's connection is closed";
}

TEST_F(DataplaneLinkTest, ACallGetsItsOwnReply) {
  const UniqueFd socket = ConnectAndGreet();
  ASSERT_TRUE(Accept().ok());
  const UniqueFd memory = Memory();
  const struct {
    uint64_t id;
    absl::StatusCode replied, returned;
    bool link_is_broken = false;
  } cases[] = {
      {1, absl::StatusCode::kOk, absl::StatusCode::kOk},
      {2, absl::StatusCode::kNotFound, absl::StatusCode::kNotFound},
      // Codes that stand for a broken link are no answer's.
      {3, absl::StatusCode::kUnavailable, absl::StatusCode::kInternal},
      {4, absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kInternal},
      {5, absl::StatusCode::kDataLoss, absl::StatusCode::kInternal},
      {9, absl::StatusCode::kOk, absl::StatusCode::kDataLoss, true},  // the reply to another call
  };
  uint64_t expected_id = 0;
  for (const auto& c : cases) {
    // One thread is both ends, so the reply is there before the request.
    dataplane::Report report;
    report.mutable_reply()->set_id(c.id);
    report.mutable_reply()->set_code(static_cast<uint32_t>(c.replied));
    report.mutable_reply()->set_message("its words");
    Send(socket, report);
    dataplane::Request request;
    request.mutable_remove_lane()->set_index(4);
    dataplane::Reply reply;
    const absl::Status s = link_->Call(request, {memory.get()}, SteadyTime::Now() + kPatience, kWorks, reply);
    EXPECT_EQ(s.code(), c.returned) << s;
    EXPECT_EQ(SaysLinkIsBroken(s), c.link_is_broken) << s;
    dataplane::Request received;
    const absl::StatusOr<std::vector<UniqueFd>> fds = ReceiveMessage(socket.get(), received);
    ASSERT_TRUE(fds.ok()) << fds.status();
    EXPECT_EQ(received.id(), ++expected_id);
    EXPECT_EQ(received.remove_lane().index(), 4U);
    ASSERT_EQ(fds->size(), 1U);
    EXPECT_TRUE(AreSame(fds->front(), memory));
  }
}

TEST_F(DataplaneLinkTest, ACallIsUnavailableWithoutADataplaneAndBoundedWithASilentOne) {
  dataplane::Reply reply;
  EXPECT_EQ(link_->Call({}, {}, SteadyTime::InfiniteFuture(), kWorks, reply).code(), absl::StatusCode::kUnavailable);
  UniqueFd socket = ConnectAndGreet();
  ASSERT_TRUE(Accept().ok());
  EXPECT_EQ(link_->Call({}, {}, SteadyTime::Now() + absl::Milliseconds(1), kWorks, reply).code(),
            absl::StatusCode::kDeadlineExceeded);
  const auto hangs = [] { return absl::InternalError("it hangs"); };
  EXPECT_EQ(link_->Call({}, {}, SteadyTime::InfiniteFuture(), hangs, reply), absl::DeadlineExceededError("it hangs"));
  socket.Reset();
  EXPECT_EQ(link_->Call({}, {}, SteadyTime::InfiniteFuture(), kWorks, reply).code(), absl::StatusCode::kUnavailable);
}

TEST_F(DataplaneLinkTest, ASurvivorIsWaitedForAsLongAsItMayLive) {
  int looks = 0;
  const auto three_looks = [&] { return ++looks <= 3; };
  EXPECT_FALSE(link_->AcceptSurvivor({}, three_looks, absl::InfiniteDuration())->has_value()) << "it does not come";
  EXPECT_EQ(looks, 4);

  const UniqueFd memory = Memory();
  const UniqueFd socket = Connect();
  Send(socket, HelloOf(true), {memory.get()});
  const absl::StatusOr<std::optional<Greeting>> greeting = link_->AcceptSurvivor(
      {}, [] { return true; }, kPatience);
  ASSERT_TRUE(greeting.ok()) << greeting.status();
  ASSERT_TRUE(greeting->has_value());
  EXPECT_TRUE((*greeting)->hello.configured());
  EXPECT_TRUE(link_->connected());
}

TEST_F(DataplaneLinkTest, ASurvivorThatHasEndedIsNotWaitedFor) {
  const pid_t ended = fork();
  if (ended == 0) {
    _exit(0);
  }
  const DataplaneLink::Survivor survivor = Survivor(ended);
  const SteadyTime begin = SteadyTime::Now();
  EXPECT_FALSE(link_->AcceptSurvivor(survivor, kNever, absl::InfiniteDuration())->has_value())
      << "it is a zombie at most";
  ASSERT_EQ(waitpid(ended, nullptr, 0), ended);
  EXPECT_FALSE(link_->AcceptSurvivor(survivor, kNever, absl::InfiniteDuration())->has_value()) << "it is gone";
  EXPECT_LT(SteadyTime::Now() - begin, kPatience);
}

TEST_F(DataplaneLinkTest, ASurvivorThatDoesNotComeIsKilled) {
  const pid_t silent = StartSilentProcess();
  EXPECT_FALSE(link_->AcceptSurvivor(Survivor(silent), kNever, absl::Milliseconds(200))->has_value());
  EXPECT_TRUE(HasEnded(silent));
}

TEST_F(DataplaneLinkTest, AStoppedSurvivorIsKilledLongBeforeTheBound) {
  const pid_t stopped = StartSilentProcess();
  kill(stopped, SIGSTOP);
  EXPECT_FALSE(link_->AcceptSurvivor(Survivor(stopped), kNever, absl::InfiniteDuration())->has_value());
  EXPECT_TRUE(HasEnded(stopped));
}

TEST_F(DataplaneLinkTest, AnotherProcessWithTheSurvivorsPidIsLeftAlone) {
  const pid_t other = StartSilentProcess();
  DataplaneLink::Survivor survivor = Survivor(other);
  ++survivor.started;
  EXPECT_FALSE(link_->AcceptSurvivor(survivor, kNever, absl::InfiniteDuration())->has_value());
  survivor.started = 0;
  EXPECT_FALSE(link_->AcceptSurvivor(survivor, kNever, absl::Milliseconds(200))->has_value())
      << "it may be the dataplane, or not";
  EXPECT_FALSE(HasEnded(other));
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
}

TEST_F(DataplaneLinkTest, ADataplaneThatHoldsNothingIsNoSurvivor) {
  const UniqueFd socket = ConnectAndGreet();
  const absl::StatusOr<std::optional<Greeting>> greeting = link_->AcceptSurvivor(Survivor(getpid()), kNever, kPatience);
  ASSERT_TRUE(greeting.ok()) << greeting.status();
  EXPECT_FALSE(greeting->has_value());
}

TEST_F(DataplaneLinkTest, OneThatGreetsWronglyIsKilled) {
  const pid_t child = StartProcess([this] {
    const UniqueFd socket = Connect();
    Send(socket, HeldLaneOf(0));
    while (true) {
      pause();
    }
  });
  EXPECT_TRUE(absl::IsDataLoss(Accept().status()));
  link_->EndRefused();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

TEST_F(DataplaneLinkTest, ADroppedDataplaneIsKilledUnlessItEndsInTime) {
  const pid_t child = StartDataplane();
  ASSERT_TRUE(Accept().ok());
  EXPECT_EQ(link_->pid(), child);
  link_->Drop(absl::Milliseconds(1));
  EXPECT_FALSE(link_->connected());
  EXPECT_EQ(link_->pid(), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

}  // namespace
}  // namespace sluice
