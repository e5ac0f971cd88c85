// Wakes a thread on another core out of poll(), as an AF_XDP socket wakes a worker, and measures how long that takes.
//
//   thread on --from                      thread on --to
//     sleep for --period-us                 poll(eventfd)          the core has nothing else to do: it halts
//     stamp the time, write the eventfd ──► read the clock, read the eventfd
//
// Prints JSON: {"count": N, "p50_ns": …, "p99_ns": …}, from before write() until poll() has returned.
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <thread>

#include "absl/strings/str_format.h"
#include "dataplane/base/unique_fd.h"
#include "tests/traffic/clock.h"
#include "tests/traffic/histogram.h"

namespace sluice::bench {
namespace {

using flowgen::NowNs;

bool PinTo(uint32_t core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  return pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores) == 0;
}

struct Plan {
  uint32_t from = 0;
  uint32_t to = 1;
  uint32_t period_us = 1000;
  uint32_t count = 1000;
};

class Wakeup {
 public:
  explicit Wakeup(const Plan& plan) : plan_(plan), event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

  // Returns false if the thread may not run on a core, or if there is no eventfd.
  bool Measure() {
    if (!event_ || !PinTo(plan_.from)) {
      return false;
    }
    std::thread sleeper(&Wakeup::Sleep, this);
    prctl(PR_SET_TIMERSLACK, 1);  // ns
    for (uint32_t i = 0; i < plan_.count && !failed_; ++i) {
      flowgen::SleepUntilNs(NowNs() + plan_.period_us * flowgen::kNsPerUs);
      const uint64_t one = 1;
      // Relaxed: the eventfd orders the store, since the sleeper loads the time only after it was woken.
      written_ns_.store(NowNs(), std::memory_order_relaxed);
      (void)!write(event_.get(), &one, sizeof(one));
    }
    sleeper.join();
    return !failed_;
  }

  const flowgen::Histogram& took() const { return took_; }

 private:
  void Sleep() {
    if (!PinTo(plan_.to)) {
      failed_ = true;
      return;
    }
    pollfd entry = {.fd = event_.get(), .events = POLLIN, .revents = 0};
    for (uint64_t woken = 0; woken < plan_.count;) {
      poll(&entry, 1, -1);
      const int64_t now_ns = NowNs();
      uint64_t writes = 0;
      if (read(event_.get(), &writes, sizeof(writes)) == sizeof(writes)) {
        took_.Add(now_ns - written_ns_.load(std::memory_order_relaxed));
        woken += writes;
      }
    }
  }

  const Plan plan_;
  const UniqueFd event_;
  std::atomic<int64_t> written_ns_{0};
  std::atomic<bool> failed_{false};
  flowgen::Histogram took_;  // written by the sleeper
};

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Plan plan;
  CLI::App app("How long it takes to wake a thread on another core out of poll()");
  app.add_option("--from", plan.from, "core that wakes")->capture_default_str();
  app.add_option("--to", plan.to, "core that sleeps")->capture_default_str();
  app.add_option("--period-us", plan.period_us, "between two wake-ups")->capture_default_str();
  app.add_option("--count", plan.count, "wake-ups")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  sluice::bench::Wakeup wakeup(plan);
  if (!wakeup.Measure()) {
    std::fputs("wakeup: a thread cannot be pinned, or there is no eventfd\n", stderr);
    return 1;
  }
  absl::PrintF("{\"count\": %d, \"p50_ns\": %d, \"p99_ns\": %d}\n", wakeup.took().count(),
               wakeup.took().Percentile(0.5), wakeup.took().Percentile(0.99));
  return 0;
}
