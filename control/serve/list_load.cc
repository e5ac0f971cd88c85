#include "control/serve/list_load.h"

#include <utility>

namespace sluice {

ListLoad::ListLoad(Job job, std::function<void()> done)
    : loaded_(absl::UnavailableError("the lists are being loaded")) {
  thread_ = std::thread([this, job = std::move(job), done = std::move(done)] {
    loaded_ = job([this] { return !give_up_.load(std::memory_order_relaxed); });
    done_.store(true, std::memory_order_release);
    done();
  });
}

ListLoad::~ListLoad() {
  give_up_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) {
    thread_.join();
  }
}

absl::StatusOr<LoadedLists> ListLoad::Finish() {
  thread_.join();
  return std::move(loaded_);
}

}  // namespace sluice
