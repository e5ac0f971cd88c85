#include "dataplane/worker/worker.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "dataplane/base/clock.h"

namespace sluice {
namespace {

// A busy worker reads the clock once in this many rounds: some 25 ns against 64 rounds of a microsecond and more.
constexpr uint32_t kRoundsPerClockRead = 64;
// An idle worker yields once in this many rounds, which take some microseconds. A system call of 300 ns in each round
// would be most of the time between a packet's arrival and the look that finds it.
constexpr uint32_t kIdleRoundsPerYield = 16;
// A worker that has been awake for this long stops listening to its sockets (wait_set.h). To listen again takes a
// system call of about a microsecond for each socket, so 16 of them cost no more than 2 % of the time.
constexpr int64_t kListensForNs = 1'000'000;

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(uint32_t index, uint32_t core, Polling polling,
                                                      NetworkFunction& function, WorkerStats& stats, Waker& waker) {
  std::unique_ptr<Worker> worker(new Worker(polling, function, stats, waker));
  if (!worker->waits_for_.ok()) {
    return absl::ResourceExhaustedError(absl::StrCat("no epoll for worker ", index, ": ", strerror(errno)));
  }
  try {
    worker->thread_ = std::thread([loop = worker.get(), index] {
      // A thread names itself: the name of another is a file in /proc, which the confined process may not open.
      pthread_setname_np(pthread_self(), absl::StrCat("worker-", index).c_str());
      loop->Loop();
    });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat("no thread for worker ", index, ": ", error.what()));
  }
  if (absl::Status pinned = worker->Pin(core); !pinned.ok()) {
    return pinned;
  }
  return worker;
}

Worker::Worker(Polling polling, NetworkFunction& function, WorkerStats& stats, Waker& waker)
    : polling_(polling),
      function_(function),
      waker_(waker),
      stats_(stats),
      accounted_until_ns_(MonotonicNs()),
      last_work_ns_(accounted_until_ns_) {
  lanes_.reserve(kMaxLanes);
  waits_for_.Add(waker_.poll_fd(), true);
}

Worker::~Worker() {
  if (thread_.joinable()) {
    Run([this] { ended_ = true; });
    thread_.join();
  }
}

absl::Status Worker::Pin(uint32_t core) {
  if (core >= CPU_SETSIZE) {
    return absl::InvalidArgumentError(absl::StrCat("there is no core ", core));
  }
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  const int error = pthread_setaffinity_np(thread_.native_handle(), sizeof(cores), &cores);
  if (error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("a worker cannot run on core ", core, ": ", strerror(error)));
  }
  core_ = core;
  return absl::OkStatus();
}

void Worker::Run(absl::FunctionRef<void()> order) {
  // seq_cst: it is also news for a worker about to sleep (waker.h).
  order_.store(&order, std::memory_order_seq_cst);
  waker_.Wake();
  // Acquire, with the release in TakeOrder: all that the worker has written is visible to us, and by our next order to
  // the worker that runs it.
  order_.wait(&order, std::memory_order_acquire);
}

void Worker::TakeLane(Lane& lane) {
  lanes_.push_back(&lane);
  for (const QueuePair& pair : lane.pairs()) {
    waits_for_.Add(pair.poll_fd(), false);
  }
  // From now on a lane that hands frames to this one wakes us.
  lane.transit().inbox().SetWaker(&waker_);
  lane.kernel_path().inbox().SetWaker(&waker_);
}

void Worker::GiveUpLane(Lane& lane) {
  lanes_.erase(std::remove(lanes_.begin(), lanes_.end(), &lane), lanes_.end());
  for (const QueuePair& pair : lane.pairs()) {
    waits_for_.Remove(pair.poll_fd());
  }
}

void Worker::Loop() {
  stats_.thread.Set(static_cast<uint64_t>(gettid()));
  while (!ended_) {
    stats_.beats.Add(1);
    TakeOrder();
    const uint32_t moved = PollLanes();
    Account(moved);
    if (moved == 0) {
      MaySleep() ? Sleep() : YieldNowAndThen();
    } else {
      stats_.busy_rounds.Add(1);
    }
  }
  stats_.thread.Set(0);
}

void Worker::TakeOrder() {
  if (order_.load(std::memory_order_relaxed) == nullptr) {
    return;
  }
  // Acquire: all that the control thread prepared, and that a lane's former worker wrote, is visible.
  const absl::FunctionRef<void()>* order = order_.load(std::memory_order_acquire);
  (*order)();
  order_.store(nullptr, std::memory_order_release);
  order_.notify_one();
}

uint32_t Worker::PollLanes() {
  uint32_t moved = 0;
  for (Lane* lane : lanes_) {
    moved += lane->Poll(function_);
  }
  return moved;
}

// Idle rounds have time to read the clock, so each of them does, and the first busy round starts from a fresh reading.
// Busy rounds read it now and then.
void Worker::Account(uint32_t moved) {
  if (moved > 0 && !was_busy_) {
    spin_policy_.Learn(accounted_until_ns_ - last_work_ns_, moved);
  }
  if (moved > 0 && ++rounds_unaccounted_ < kRoundsPerClockRead) {
    was_busy_ = true;
    return;
  }
  const int64_t now_ns = MonotonicNs();
  if (listens_ && now_ns - woken_ns_ > kListensForNs) {
    Listen(false);
  }
  const bool busy = moved > 0 || was_busy_;
  (busy ? stats_.busy_ns : stats_.idle_ns).Add(static_cast<uint64_t>(now_ns - accounted_until_ns_));
  accounted_until_ns_ = now_ns;
  if (busy) {
    last_work_ns_ = now_ns;
  }
  was_busy_ = moved > 0;
  rounds_unaccounted_ = 0;
}

bool Worker::MaySleep() const {
  if (lanes_.empty()) {
    return !ended_;
  }
  switch (polling_) {
    case Polling::kBusy:
      return false;
    case Polling::kInterrupt:
      return true;
    case Polling::kAdaptive:
      return !spin_policy_.KeepsSpinning(accounted_until_ns_ - last_work_ns_);
  }
  return false;
}

// The threads that deliver packets to us may be waiting for this very core: ksoftirqd with softirqs that the kernel put
// off, or a NAPI that is a thread. They get the core while there is nothing to do, not only when our time slice is
// over.
void Worker::YieldNowAndThen() {
  if (++idle_rounds_ % kIdleRoundsPerYield == 0) {
    sched_yield();
  }
}

void Worker::Sleep() {
  absl::Duration bound = absl::Milliseconds(kBeatEveryMs);
  for (const Lane* lane : lanes_) {
    bound = std::min(bound, lane->SleepBound());
  }
  Listen(true);
  waker_.AboutToSleep();
  if (!HasNews()) {
    stats_.sleeps.Add(1);
    if (waits_for_.Wait(static_cast<int>(absl::ToInt64Milliseconds(bound))) == waker_.poll_fd()) {
      waker_.Clear();
    }
  }
  waker_.Awake();
  woken_ns_ = MonotonicNs();
  stats_.idle_ns.Add(static_cast<uint64_t>(woken_ns_ - accounted_until_ns_));
  accounted_until_ns_ = woken_ns_;
}

// Listens to the sockets of all lanes, or to none. A lane that may not receive leaves frames in its rings that would
// end every sleep at once, so nobody listens to its sockets.
void Worker::Listen(bool wanted) {
  for (const Lane* lane : lanes_) {
    const bool listened = wanted && lane->MayReceive();
    for (const QueuePair& pair : lane->pairs()) {
      waits_for_.Listen(pair.poll_fd(), listened);
    }
  }
  listens_ = wanted;
}

bool Worker::HasNews() const {
  return order_.load(std::memory_order_seq_cst) != nullptr ||
         std::any_of(lanes_.begin(), lanes_.end(), [](const Lane* lane) { return lane->HasNews(); });
}

}  // namespace sluice
