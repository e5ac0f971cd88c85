// packet_cost: sends recorded frames through the product's lanes, for callgrind to count instructions.
//
//   valgrind --tool=callgrind --toggle-collect='*CountedRound*' packet_cost --frames frames.pcap --lanes 16
//
// Prints {"frames": ..., "compiler": ...}: the number of frames that the counted part received, processed, sent and
// completed, and the compiler of the program. Without valgrind it runs the same and counts nothing. The counted part is
// Lane::Poll of one lane after the other, like in a worker, after a warm-up; replay.h lists what is left out.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/functions/function_factory.h"
#include "tests/cost/recording.h"
#include "tests/cost/replay.h"

namespace sluice::cost {
namespace {

#ifdef __clang__
constexpr char kCompiler[] = "clang++";
constexpr int kCompilerVersion = __clang_major__;
#else
constexpr char kCompiler[] = "g++";
constexpr int kCompilerVersion = __GNUC__;
#endif

// Enough rounds of full bursts to use every frame of a lane once.
constexpr uint32_t kWarmUpRounds = LaneLayout(1, 2048).frame_count / kBurstFrames;

struct Options {
  std::string frames;
  std::string function = "reflect";
  uint32_t lanes = 1;
  uint32_t busy_lanes = 0;  // the lanes that receive; 0: all
  uint32_t burst = kBurstFrames;
  uint32_t passes = 16;
};

class Bench {
 public:
  Bench(const Options& options, std::vector<std::string> recording)
      : options_(options), recording_(std::move(recording)), stats_(std::make_unique<StatsSegment>()) {}

  absl::Status Open() {
    const uint32_t ports = options_.function == "forward" ? 2 : 1;
    absl::StatusOr<MadeFunction> made = MakeFunction(options_.function, ports);
    if (!made.ok()) {
      return made.status();
    }
    function_ = std::move(made->function);
    for (uint32_t index = 0; index < options_.lanes; ++index) {
      absl::StatusOr<std::unique_ptr<ReplayLane>> lane =
          ReplayLane::Open(index, ports, stats_->lanes[index], recording_);
      if (!lane.ok()) {
        return lane.status();
      }
      lanes_.push_back(*std::move(lane));
    }
    return absl::OkStatus();
  }

  // Returns the number of frames completed in the counted rounds. Fails if a frame was not completed.
  absl::StatusOr<uint64_t> Run() {
    const uint64_t rounds = uint64_t{options_.passes} * recording_.size() / options_.burst;
    for (uint32_t round = 0; round < kWarmUpRounds; ++round) {
      Round(/*counted=*/false);
    }
    const uint64_t before = completed_;
    for (uint64_t round = 0; round < rounds; ++round) {
      Round(/*counted=*/true);
    }
    if (failed_ || completed_ != delivered_) {
      return absl::InternalError(absl::StrCat(delivered_, " frames received, ", completed_, " sent"));
    }
    return completed_ - before;
  }

 private:
  void Round(bool counted) {
    const uint32_t busy = options_.busy_lanes == 0 ? options_.lanes : options_.busy_lanes;
    const uint32_t ports = static_cast<uint32_t>(lanes_.front()->lane().pairs().size());
    for (uint32_t lane = 0; lane < busy; ++lane) {
      failed_ |= !lanes_[lane]->Deliver(options_.burst);
      delivered_ += uint64_t{options_.burst} * ports;
    }
    if (counted) {
      CountedRound();
    } else {
      PollLanes();
    }
    for (const std::unique_ptr<ReplayLane>& lane : lanes_) {
      completed_ += lane->Complete();
    }
  }

  // callgrind counts from the entry of this function to its return, so it must not be inlined.
  [[gnu::noinline]] void CountedRound() { PollLanes(); }
  void PollLanes() {
    for (const std::unique_ptr<ReplayLane>& lane : lanes_) {
      lane->lane().Poll(*function_);
    }
  }

  const Options options_;
  const std::vector<std::string> recording_;
  const std::unique_ptr<StatsSegment> stats_;
  std::unique_ptr<NetworkFunction> function_;
  std::vector<std::unique_ptr<ReplayLane>> lanes_;
  uint64_t delivered_ = 0;
  uint64_t completed_ = 0;
  bool failed_ = false;
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Sends recorded frames through lanes, for callgrind to count instructions.");
  app.add_option("--frames", options.frames, "pcap file with the frames to receive")->required();
  app.add_option("--function", options.function, "the network function")->capture_default_str();
  app.add_option("--lanes", options.lanes, "how many are polled")
      ->check(CLI::Range(1U, kMaxPairLanes))
      ->capture_default_str();
  app.add_option("--busy-lanes", options.busy_lanes, "how many of them receive; 0: all")->capture_default_str();
  app.add_option("--burst", options.burst, "frames that each port of a lane receives a round")
      ->check(CLI::Range(1U, kBurstFrames))
      ->capture_default_str();
  app.add_option("--passes", options.passes, "how often each lane receives the recording")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  absl::StatusOr<std::vector<std::string>> recording = ReadRecording(options.frames);
  absl::Status status = recording.status();
  if (status.ok() && (recording->size() % options.burst != 0 || options.busy_lanes > options.lanes)) {
    status =
        absl::InvalidArgumentError("the recording is not a whole number of bursts, or more lanes are busy than are");
  }
  absl::StatusOr<uint64_t> frames = 0;
  if (status.ok()) {
    Bench bench(options, *std::move(recording));
    status = bench.Open();
    if (status.ok()) {
      frames = bench.Run();
      status = frames.status();
    }
  }
  if (!status.ok()) {
    std::fprintf(stderr, "packet_cost: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  std::printf("{\"frames\": %llu, \"compiler\": \"%s %d\"}\n", static_cast<unsigned long long>(*frames), kCompiler,
              kCompilerVersion);
  return 0;
}

}  // namespace
}  // namespace sluice::cost

int main(int argc, char** argv) {
  return sluice::cost::Main(argc, argv);
}
