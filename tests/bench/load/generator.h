// Sends XDP live frames (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES), and counts the frames that come back.
//
//   Generator::Run ─ the kernel's loop ─ load_generate ──XDP_TX──► tx ══ device under test ══ rx ─ load_sink
//                                                      └─XDP_PASS─► clsact of tx, load_to_queue ─► tx
//
// The loop runs in the kernel, on the calling thread, and runs the softirqs of its CPU meanwhile, the receive side of
// tx's peer among them. It is entered once for billions of frames, since an entry costs as much as thousands of frames.
#ifndef SLUICE_TESTS_BENCH_LOAD_GENERATOR_H_
#define SLUICE_TESTS_BENCH_LOAD_GENERATOR_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/load/options.h"
#include "tests/bench/load/sink.h"

struct live_frames;

namespace sluice::liveload {

struct Counts {
  uint64_t sent = 0;  // handed to the kernel, which drops frames that find a ring full
  load_counters sink{};
};

struct Report {
  double seconds = 0;  // of the window
  Counts window;       // frames sent and received in the window
  Counts total;        // frames from the first one to the end of settling
};

class Generator {
 public:
  // Loads and attaches everything, in the namespaces of the interfaces. Leaves the calling thread in tx's namespace.
  static absl::StatusOr<std::unique_ptr<Generator>> Open(const Options& options);
  ~Generator();

  // Sends until the window is over, or the calling thread gets a SIGINT or SIGTERM. Call it once.
  absl::StatusOr<Report> Run();

 private:
  explicit Generator(const Options& options) : options_(options) {}
  absl::Status Load(const flowgen::MacAddress& src_mac);
  absl::Status FeedQueues();
  absl::Status SendUntilStopped();
  Counts Read() const;

  const Options options_;
  int ifindex_ = 0;
  live_frames* programs_ = nullptr;
  Sink sink_;
};

}  // namespace sluice::liveload

#endif  // SLUICE_TESTS_BENCH_LOAD_GENERATOR_H_
