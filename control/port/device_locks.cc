#include "control/port/device_locks.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr char kRunFolder[] = "/run/sluice";

// The lock is not in the folder itself: a descriptor there would keep bpffs from being unmounted.
std::string LockOf(const std::string& pin_folder) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::weakly_canonical(pin_folder, error);
  return absl::StrCat(kRunFolder, "/lock/",
                      absl::StrReplaceAll(error ? pin_folder : path.string(), {{"%", "%25"}, {"/", "%2F"}}));
}

}  // namespace

absl::StatusOr<DeviceLocks> DeviceLocks::Take(const std::vector<PortConfig>& ports, const std::string& pin_root,
                                              absl::string_view owner) {
  DeviceLocks locks;
  for (const PortConfig& port : ports) {
    absl::StatusOr<NetdevLock> netdev = NetdevLock::Take(port.netdev);
    if (absl::IsNotFound(netdev.status())) {
      continue;  // NetdevPort::BringUp finds it under another name, or says that it is missing
    }
    if (!netdev.ok()) {
      return netdev.status();
    }
    locks.netdevs_.push_back(*std::move(netdev));
  }
  std::error_code error;
  std::filesystem::create_directories(kRunFolder, error);
  for (const PortConfig& port : ports) {
    const std::string folder = absl::StrCat(pin_root, "/", port.netdev);
    absl::StatusOr<LockFile> pins = LockFile::Take(LockOf(folder), owner);
    if (absl::IsAlreadyExists(pins.status())) {
      return absl::AlreadyExistsError(absl::StrCat("another sluice-agent has its maps in ", folder, ": ",
                                                   pins.status().message(), "; give this one another --pin-root"));
    }
    if (!pins.ok()) {  // a machine without a writable /run
      spdlog::warn("{}; no other agent may use {}", std::string(pins.status().message()), folder);
      continue;
    }
    locks.pin_folders_.push_back(*std::move(pins));
  }
  return locks;
}

}  // namespace sluice
