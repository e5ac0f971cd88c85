#include "tests/bench/load/generator.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/bench/load/live_frames.skel.h"
#include "tests/traffic/netif.h"

namespace sluice::liveload {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// The largest count that the kernel takes, which has 32 bits.
constexpr int kRepeat = INT32_MAX;
// Frames between two runs of the softirqs. At a limited rate most calls of the program send no frame, some 30 ns each,
// and frames leave at the end of a batch.
constexpr uint32_t kFullSpeedBatch = 64;
constexpr uint32_t kPacedBatch = 16;
// The interval at which the thread that ends the window looks at the time, and repeats its signal.
constexpr auto kLook = std::chrono::milliseconds(10);

std::atomic<bool> stopped{false};

void Stop(int /*signal*/) {
  stopped.store(true, std::memory_order_relaxed);
}

// BPF_PROG_TEST_RUN ends with EINTR on a signal, which needs a handler without SA_RESTART.
void StopOnSignals() {
  struct sigaction action {};
  action.sa_handler = Stop;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    sigaction(signal, &action, nullptr);
  }
}

absl::Status Enter(const std::string& netns) {
  return netns.empty() ? absl::OkStatus() : flowgen::EnterNetns(netns);
}

void SleepUntil(Clock::time_point end) {
  while (!stopped.load(std::memory_order_relaxed) && Clock::now() < end) {
    std::this_thread::sleep_until(std::min(end, Clock::now() + kLook));
  }
}

Clock::duration Of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
}

Counts Difference(const Counts& late, const Counts& early) {
  return {late.sent - early.sent,
          {late.sink.received - early.sink.received, late.sink.bytes - early.sink.bytes,
           late.sink.wrong - early.sink.wrong, late.sink.foreign - early.sink.foreign}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Generator>> Generator::Open(const Options& options) {
  std::unique_ptr<Generator> made(new Generator(options));
  if (absl::Status entered = Enter(options.netns); !entered.ok()) {
    return entered;
  }
  const absl::StatusOr<flowgen::NetifInfo> tx = flowgen::FindNetif(options.tx);
  if (!tx.ok()) {
    return tx.status();
  }
  made->ifindex_ = tx->index;
  if (absl::Status loaded = made->Load(tx->mac); !loaded.ok()) {
    return loaded;
  }
  if (absl::Status entered = Enter(options.rx_netns); !entered.ok()) {
    return entered;
  }
  const absl::StatusOr<flowgen::NetifInfo> rx = flowgen::FindNetif(options.rx);
  if (!rx.ok()) {
    return rx.status();
  }
  absl::Status ready =
      made->sink_.Attach(rx->index, made->programs_->progs.load_sink, made->programs_->maps.load_counts);
  if (ready.ok()) {
    ready = Enter(options.netns);
  }
  if (ready.ok() && options.queues > 1) {
    ready = made->FeedQueues();
  }
  if (!ready.ok()) {
    return ready;
  }
  return made;
}

Generator::~Generator() {
  if (programs_ != nullptr) {
    live_frames::destroy(programs_);
  }
}

absl::Status Generator::Load(const flowgen::MacAddress& src_mac) {
  programs_ = live_frames::open();
  if (programs_ == nullptr) {
    return absl::ErrnoToStatus(errno, "opening the BPF object");
  }
  auto& set = *programs_->rodata;
  std::copy(src_mac.begin(), src_mac.end(), set.source_mac);
  std::copy(options_.dst_mac.begin(), options_.dst_mac.end(), set.destination_mac);
  const bool swapped = options_.expected == Macs::kSwapped;
  std::copy(src_mac.begin(), src_mac.end(), swapped ? set.expected_destination : set.expected_source);
  std::copy(options_.dst_mac.begin(), options_.dst_mac.end(), swapped ? set.expected_source : set.expected_destination);
  set.expects_macs = options_.expected != Macs::kAny;
  set.flows = options_.flows;
  set.queues = options_.queues;
  set.ifindex = static_cast<uint32_t>(ifindex_);
  set.size_count = static_cast<uint32_t>(options_.sizes.size());
  std::copy(options_.sizes.begin(), options_.sizes.end(), set.sizes);
  set.interval_ns_256 = options_.rate_pps > 0 ? static_cast<uint64_t>(256e9 / options_.rate_pps) : 0;
  if (const int error = live_frames::load(programs_); error != 0) {
    return absl::ErrnoToStatus(-error, "loading the BPF programs");
  }
  return absl::OkStatus();
}

// Attaches load_to_queue to clsact. Nothing detaches it: the hook vanishes with its namespace.
absl::Status Generator::FeedQueues() {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_, .attach_point = BPF_TC_INGRESS);
  LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = bpf_program__fd(programs_->progs.load_to_queue),
              .flags = BPF_TC_F_REPLACE, .handle = 1, .priority = 1);
  if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST) {
    return absl::ErrnoToStatus(-error, absl::StrCat("clsact of ", options_.tx));
  }
  if (const int error = bpf_tc_attach(&hook, &filter); error != 0) {
    return absl::ErrnoToStatus(-error, absl::StrCat("clsact program of ", options_.tx));
  }
  return absl::OkStatus();
}

absl::StatusOr<Report> Generator::Run() {
  if (options_.cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(*options_.cpu, &cpus);
    if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0) {
      return absl::InvalidArgumentError(absl::StrCat("cannot run on CPU ", *options_.cpu));
    }
  }
  StopOnSignals();
  Report report;
  std::atomic<bool> ended{false};
  std::thread window([this, &report, &ended, sender = pthread_self()] {
    // Signals are for the sending thread. This thread may run on every CPU, so that the scheduler can keep it off the
    // sender's, which has no time to spare.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    cpu_set_t cpus;
    std::memset(&cpus, 0xff, sizeof(cpus));
    sched_setaffinity(0, sizeof(cpus), &cpus);
    SleepUntil(Clock::now() + Of(options_.warmup_s));
    const Counts before = Read();
    const Clock::time_point began = Clock::now();
    SleepUntil(options_.duration_s > 0 ? began + Of(options_.duration_s) : Clock::time_point::max());
    report.window = Difference(Read(), before);
    report.seconds = Seconds(Clock::now() - began).count();
    stopped.store(true, std::memory_order_relaxed);
    // Repeat the signal: one that comes just before the system call does not interrupt it.
    while (!ended.load(std::memory_order_acquire)) {
      pthread_kill(sender, SIGUSR1);
      std::this_thread::sleep_for(kLook);
    }
  });
  const absl::Status sent = SendUntilStopped();
  stopped.store(true, std::memory_order_relaxed);
  ended.store(true, std::memory_order_release);
  window.join();
  if (!sent.ok()) {
    return sent;
  }
  std::this_thread::sleep_for(Of(options_.settle_s));
  report.total = Read();
  return report;
}

absl::Status Generator::SendUntilStopped() {
  // The frame has the largest size; the program cuts each frame to its own size.
  std::vector<uint8_t> frame(*std::max_element(options_.sizes.begin(), options_.sizes.end()));
  xdp_md context{};
  context.data_end = static_cast<uint32_t>(frame.size());
  context.ingress_ifindex = static_cast<uint32_t>(ifindex_);
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_size_in = static_cast<uint32_t>(frame.size()),
              .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = kRepeat,
              .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
  run.batch_size = options_.rate_pps > 0 ? kPacedBatch : kFullSpeedBatch;
  while (!stopped.load(std::memory_order_relaxed)) {
    const int error = bpf_prog_test_run_opts(bpf_program__fd(programs_->progs.load_generate), &run);
    if (error != 0 && error != -EINTR) {
      return absl::ErrnoToStatus(-error, "BPF_PROG_TEST_RUN with live frames");
    }
  }
  if (programs_->bss->failed != 0) {
    return absl::InternalError(absl::StrCat(programs_->bss->failed, " frames did not get their size"));
  }
  return absl::OkStatus();
}

Counts Generator::Read() const {
  return {__atomic_load_n(&programs_->bss->sent, __ATOMIC_RELAXED), sink_.Read()};
}

}  // namespace sluice::liveload
